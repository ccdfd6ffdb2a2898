"""A known mark over cut-outs: alpha gets back what it was below the mark, and nothing else changes."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.marks import Mark, logo, scaled, text
from model.imaging import Limits
from model.watermark.files import clean
from model.watermark.template import Quality, Rule, Template
from tests.unit.model.watermark.scenes import texture

Pixels = NDArray[np.uint8]
LIMITS = Limits(max_bytes=10**8, max_pixels=10**7)
WIDE, HIGH, OPACITY = 280, 220, 0.6
#: Top and left of each mark: the goods' outline crosses both.
MARKS = {"logo": (scaled(logo(60), 0.9), 150, 20), "letters": (text(150, "DOE SHIRTS"), 120, 110)}


def goods(rng: np.random.Generator) -> Pixels:
    """An ellipse of smooth texture on transparent ground, with a smooth edge: ``uint8 [H, W, 4]``."""
    drawn = Image.new("L", (WIDE * 4, HIGH * 4))
    ImageDraw.Draw(drawn).ellipse((200, 40, 760, 800), fill=255)
    alpha = np.asarray(drawn.resize((WIDE, HIGH), Image.Resampling.BOX))
    return np.dstack((texture(rng, HIGH, WIDE) * (alpha > 0)[..., None], alpha))


def laid(cut: Pixels, mark: Mark, top: int, left: int) -> tuple[Pixels, NDArray[np.bool_]]:
    """``cut`` under the mark, as programs lay paint over paint, and where the mark is."""
    layer = np.zeros((HIGH, WIDE, 4), np.uint8)
    tall, wide = mark.coverage.shape
    layer[top : top + tall, left : left + wide, :3] = np.rint(mark.colour)
    layer[top : top + tall, left : left + wide, 3] = np.rint(mark.coverage * OPACITY * 255)
    over = Image.alpha_composite(Image.fromarray(cut), Image.fromarray(layer))
    return np.asarray(over), layer[..., 3] > 0


def template_of(mark: Mark, top: int, left: int) -> Template:
    rule = Rule("top-left", "pixels", top, left, WIDE, HIGH)
    quality = Quality(
        samples=8, without=0, informative=8, error=0.004, opacity=OPACITY, z=20, margin=0, ghost=0, strength_spread=0,
        jitter_px=0,
    )  # fmt: skip
    mask = np.where(mark.coverage >= 0.5, np.uint8(255), np.uint8(0))
    return Template((mark.coverage * OPACITY).astype(np.float32), mark.colour, mask, rule, quality)


def saved(pixels: Pixels, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.fixture(scope="module", params=MARKS)
def scene(request: pytest.FixtureRequest) -> tuple[Template, Pixels, Pixels, NDArray[np.bool_]]:
    mark, top, left = MARKS[request.param]
    cut = goods(np.random.default_rng(6))
    given, where = laid(cut, mark, top, left)
    return template_of(mark, top, left), cut, given, where


def test_alpha_is_what_it_was_below_the_mark(scene: tuple[Template, Pixels, Pixels, NDArray[np.bool_]]) -> None:
    template, cut, given, where = scene
    cleaned = clean(saved(given, "PNG"), [template], limits=LIMITS)
    assert cleaned.record["alpha"] == "repaired"
    after = np.asarray(Image.open(io.BytesIO(cleaned.data)))
    ground = where & (cut[..., 3] == 0)
    assert ground.sum() > 100
    assert given[ground][:, 3].mean() > 20
    assert after[ground][:, 3].max() == 0
    assert (after[where & (cut[..., 3] == 255)][:, 3] == 255).all()
    outline = where & (cut[..., 3] > 0) & (cut[..., 3] < 255)
    assert np.abs(after[outline].astype(int) - cut[outline])[:, 3].mean() < 8
    far = cv2.dilate(where.astype(np.uint8), np.ones((15, 15), np.uint8)) == 0
    assert (after[far] == given[far]).all()


def test_the_goods_colours_come_back(scene: tuple[Template, Pixels, Pixels, NDArray[np.bool_]]) -> None:
    template, cut, given, where = scene
    cleaned = clean(saved(given, "WEBP", lossless=True, exact=True), [template], limits=LIMITS)
    after = np.asarray(Image.open(io.BytesIO(cleaned.data)))
    inner = where & (cut[..., 3] == 255)
    before, now = (np.abs(one[inner].astype(int) - cut[inner])[:, :3].mean() for one in (given, after))
    assert now < before / 5
    # Nowhere does the mark's colour show on the goods' edge.
    edge = where & (cut[..., 3] > 0) & (cut[..., 3] < 255) & (after[..., 3] > 0)
    before, now = (np.abs(one[edge].astype(int) - cut[edge])[:, :3].mean() for one in (given, after))
    assert now < before / 2


def test_a_mark_in_the_colours_alone_leaves_alpha(scene: tuple[Template, Pixels, Pixels, NDArray[np.bool_]]) -> None:
    template, cut, given, _ = scene
    kept = np.dstack((given[..., :3], cut[..., 3]))
    cleaned = clean(saved(np.ascontiguousarray(kept), "PNG"), [template], limits=LIMITS)
    after = np.asarray(Image.open(io.BytesIO(cleaned.data)))
    assert (after[..., 3] == cut[..., 3]).all()

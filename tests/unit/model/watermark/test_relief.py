"""A mark that lies a part of a pixel beside its template's place, as it does in pictures that were resized."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.marks import logo, text
from model.watermark.estimate import estimate
from model.watermark.ghost import relief_of
from model.watermark.place import Place, place_of
from model.watermark.remove import prepare, remove
from model.watermark.template import Quality, Rule, Template
from tests.unit.model.watermark.scenes import jpeg, samples, texture
from tests.unit.model.watermark.test_logo_search import psnr
from tests.unit.model.watermark.test_look_alikes import HIGH, WIDE, look_alike

Pixels = NDArray[np.uint8]
TOP, LEFT = 120, 40


def aside(down: float, across: float) -> tuple[Pixels, Pixels, Template]:
    """A picture, the same under a mark this far from its place, in px, and the mark's template."""
    mark = text(24, "NORDIC WEAR")
    tall, wide = mark.coverage.shape
    alpha = np.zeros((HIGH, WIDE), np.float32)
    alpha[TOP : TOP + tall, LEFT : LEFT + wide] = mark.coverage * 0.5
    colour = np.full((HIGH, WIDE, 3), 255, np.float32)
    step = np.array([[1, 0, across], [0, 1, down]], np.float32)
    moved = np.clip(cv2.warpAffine(alpha, step, (WIDE, HIGH), flags=cv2.INTER_CUBIC), 0, 1)[..., None]
    original = (look_alike(1, np.random.default_rng(4)) * 0.5).astype(np.uint8)
    given = np.rint(original * (1 - moved) + colour * moved).astype(np.uint8)
    with Image.open(io.BytesIO(jpeg(given))) as coded:
        shown = np.array(coded)
    rule = Rule("top-left", "pixels", 0, 0, WIDE, HIGH, sizes=((HIGH, WIDE),))
    mask = np.where(alpha > 0.25, np.uint8(255), np.uint8(0))
    return original, shown, Template(alpha, colour, mask, rule, Quality(0, 0, 0, 0.01, 0.5, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(("down", "across"), [(0.4, 0.0), (-0.3, 0.35), (0.0, -0.45)])
def test_a_mark_beside_its_place_by_a_part_of_a_pixel_leaves_no_relief(down: float, across: float) -> None:
    original, shown, template = aside(down, across)
    there = aside(0, 0)[1]
    zone = template.alpha > 0.02
    best, found = remove(there, template, noise=3), remove(shown, template, noise=3)
    assert best is not None and found is not None
    assert not found.residual
    assert psnr(found.pixels, original, zone) > psnr(best.pixels, original, zone) - 2.5
    prepared = prepare(shown, template, noise=3)
    assert prepared is not None and not prepared.plain.relief.shows


def test_a_mark_that_is_taken_off_beside_its_place_leaves_a_relief() -> None:
    original, _, template = aside(0, 0)
    moved = aside(0.4, -0.2)[1].astype(np.float32)
    alpha = template.alpha[..., None]
    clean = (moved - alpha * template.colour) / (1 - alpha)
    assert relief_of(clean, template.alpha, template.colour).shows
    assert not relief_of(original.astype(np.float32), template.alpha, template.colour).shows


@pytest.mark.parametrize(
    "place",
    [Place(), Place(0.4, -0.2), Place(-0.3, 0.35), Place(taller=0.3, wider=0.5), Place(0.2, -0.5, 0.0, -0.6)],
    ids=["in place", "lower", "higher", "larger", "aside and narrower"],
)
def test_the_place_and_the_size_of_a_mark_are_told_to_a_tenth_of_a_pixel(place: Place) -> None:
    mark = np.pad(text(120).coverage, 6) * np.float32(0.5)
    colour = np.full((*mark.shape, 3), 255, np.float32)
    laid = place.laid(mark)[0][..., None]
    ground = texture(np.random.default_rng(2), *mark.shape).astype(np.float32) * 0.5
    given = ground * (1 - laid) + colour * laid
    assert np.abs(place_of(given, mark, colour).values - place.values).max() < 0.1


def test_the_place_of_an_opaque_mark_is_not_told() -> None:
    mark = np.pad(logo(60).coverage, 6)
    laid = Place(0.4, 0.3).laid(mark)[0][..., None]
    ground = texture(np.random.default_rng(2), *mark.shape).astype(np.float32) * 0.5
    colour = np.full((*mark.shape, 3), 255, np.float32)
    assert place_of(ground * (1 - laid) + colour * laid, mark, colour) == Place()


def test_a_template_from_pictures_of_several_sizes_is_sharp() -> None:
    rng = np.random.default_rng(5)
    fine = np.pad(text(880).coverage, 40) * np.float32(0.5)
    pictures = []
    for _ in range(26):
        # Sizes of whole pixels, and corners beside whole pixels by the picture's own rounding.
        factor = float(rng.choice((0.8, 1.0, 1.25)))
        tall, wide = (round(side / 8 * factor) for side in fine.shape)
        high, broad = (round((side / 8 + 60) * factor) for side in fine.shape)
        alpha = np.zeros((high, broad, 1), np.float32)
        top, left = round(0.97 * high) - tall, round(0.97 * broad) - wide
        mark = cv2.resize(fine, (wide, tall), interpolation=cv2.INTER_AREA)
        alpha[top : top + tall, left : left + wide, 0] = mark
        pictures.append(np.rint(texture(rng, high, broad) * 0.7 * (1 - alpha) + 255 * alpha).astype(np.uint8))
    (found,) = estimate(samples(pictures), force=True).templates
    opacity = found.alpha[found.alpha > 0.1]
    assert np.quantile(opacity, 0.9) > 0.4
    soft = (found.alpha > 0.05) & (found.alpha < 0.3)
    assert soft.sum() < 1.4 * (found.alpha > 0.3).sum()

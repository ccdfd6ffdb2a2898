"""Catalogues of look-alikes: a few garments, each in several colours and slightly moved, as posed photos are."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.marks import Mark, Scene, logo, placed, text, tile
from model.errors import TemplateRefused
from model.watermark.estimate import estimate
from model.watermark.evidence import apart, evidence, look_alikes
from model.watermark.remove import remove
from model.watermark.sighting import look
from tests.unit.model.watermark.scenes import samples

Pixels = NDArray[np.uint8]
ORIGINALS = Path(__file__).parents[4] / "samples" / "originals"
WIDE, HIGH = 180, 240
TEXT = Scene(text(90, "SHOP"), 0.5, (0.5, 0.5), sizes=((WIDE, HIGH),))
DISC = Scene(logo(48), 0.6, (1, 1), margin=8, sizes=((WIDE, HIGH),))


@cache
def garments() -> tuple[Pixels, ...]:
    """The sample garments, each cut to an oval and laid on white."""
    shown = []
    for number, path in enumerate(sorted(ORIGINALS.glob("garment-*.png"))):
        pixels = cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB)
        garment = np.asarray(cv2.resize(pixels, (WIDE, HIGH), interpolation=cv2.INTER_AREA), np.uint8)
        oval = np.zeros((HIGH, WIDE), np.uint8)
        rng = np.random.default_rng(number)
        middle = WIDE / 2 + rng.uniform(-14, 14), HIGH / 2 + rng.uniform(-20, 4)
        sides = float(rng.uniform(100, 140)), float(rng.uniform(150, 190))
        cv2.ellipse(oval, (middle, sides, float(rng.uniform(-20, 20))), 255, -1, cv2.LINE_AA)
        share = (oval / 255)[..., None]
        shown.append(np.rint(garment * share + 255 * (1 - share)).astype(np.uint8))
    return tuple(shown)


def look_alike(number: int, rng: np.random.Generator) -> Pixels:
    """One of the garments in another colour, moved by a pixel or two."""
    garment = garments()[number % len(garments())]
    turned = cv2.cvtColor(garment, cv2.COLOR_RGB2HSV)
    turned[..., 0] = (turned[..., 0].astype(int) + int(rng.integers(180))) % 180
    turned[..., 2] = turned[..., 2] * rng.uniform(0.6, 1)
    shade = np.asarray(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB), np.float32)
    # White paper stays white.
    paper = (garment.min(axis=2) > 235)[..., None]
    recoloured = np.where(paper, garment, shade).astype(np.uint8)
    moved = cv2.getRotationMatrix2D((WIDE / 2, HIGH / 2), float(rng.uniform(-1, 1)), float(rng.uniform(0.98, 1.02)))
    return np.asarray(cv2.warpAffine(recoloured, moved, (WIDE, HIGH), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def marked_look_alikes(scenes: list[Scene], count: int) -> list[tuple[Pixels, Pixels, NDArray[np.float32]]]:
    """Pictures as given, their originals, and the true opacity; the scenes take turns."""
    rng, out = np.random.default_rng(0), []
    for number in range(count):
        scene, original = scenes[number % len(scenes)], look_alike(number, rng)
        coverage, colour = placed(scene, WIDE, HIGH, rng)
        alpha = (coverage * scene.alpha)[..., None]
        given = np.rint(original * (1 - alpha) + colour * alpha).astype(np.uint8)
        out.append((given, original, alpha[..., 0]))
    return out


def test_look_alikes_without_a_mark_give_no_template() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(TemplateRefused) as refused:
        estimate(samples([look_alike(number, rng) for number in range(36)]))
    assert refused.value.code == "mark_not_found"
    assert "from-logo" in str(refused.value) and "from-mark" in str(refused.value)


def test_pictures_of_one_garment_count_as_one() -> None:
    rng = np.random.default_rng(2)
    number = len(garments())
    thumbs = np.stack([
        cv2.resize(look_alike(index, rng), (24, 24), interpolation=cv2.INTER_AREA) for index in range(4 * number)
    ]).astype(np.float32)  # fmt: skip
    alike = look_alikes(thumbs)
    assert apart(alike) < 2 * number
    # One garment alone shares its outlines with itself, and nothing else.
    own = [look_alike(0, rng) for _ in range(8)]
    assert evidence(own, np.ones((8, 8), np.bool_)) is None


def test_the_template_of_a_mark_on_look_alikes_is_the_mark_alone() -> None:
    shown = marked_look_alikes([TEXT], 30)
    (template,) = estimate(samples([given for given, _, _ in shown])).templates
    true = np.max([alpha for _, _, alpha in shown], axis=0) > 0.02
    rows, columns = np.flatnonzero(true.any(axis=1)), np.flatnonzero(true.any(axis=0))
    extent = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    assert all(abs(side - own) <= 14 for side, own in zip(template.alpha.shape, extent, strict=True))
    quality = template.quality
    assert quality.found >= 0.9 * quality.tested and quality.clean >= 0.8 * quality.tested > 0
    rng = np.random.default_rng(3)
    far = cv2.dilate(true.astype(np.uint8), np.ones((17, 17), np.uint8)) == 0
    for number in range(6):
        given, _, _ = shown[number]
        removal = remove(given, template, noise=0.6)
        assert removal is not None and not removal.residual
        assert (removal.pixels == given)[far].all()
        assert look(look_alike(number, rng), template) is None


def test_a_mark_in_any_of_four_corners_is_found_in_all_of_them() -> None:
    corners = [replace(DISC, anchor=anchor) for anchor in ((0, 0), (1, 0), (0, 1), (1, 1))]
    # 7 has no common factor with 6 garments: each garment comes into each corner.
    shown = marked_look_alikes([corners[number] for number in (0, 1, 2, 3, 2, 0, 1)], 36)
    templates = estimate(samples([given for given, _, _ in shown])).templates
    assert sum(one.quality.samples for one in templates) == 36
    for given, original, alpha in shown[:7]:
        removals = [remove(given, template, noise=0.6) for template in templates]
        zone = alpha > 0.02
        before = np.square(given.astype(float) - original)[zone].mean()
        after = [np.square(one.pixels.astype(float) - original)[zone].mean() for one in removals if one is not None]
        assert min(after) < before / 4


def test_a_repeated_mark_comes_off_goods_in_the_middle_of_white() -> None:
    cell = tile(72)
    grey = Mark(cell.coverage, np.full_like(cell.colour, 128))
    shown = marked_look_alikes([Scene(grey, 0.4, None, sizes=((WIDE, HIGH),))], 30)
    (template,) = estimate(samples([given for given, _, _ in shown])).templates
    lattice = template.rule.lattice
    assert lattice is not None
    # The staggered rows repeat twice in a cell.
    assert abs(np.linalg.det(lattice.matrix)) == pytest.approx(cell.coverage.size / 2, rel=0.02)
    for given, original, alpha in shown[:6]:
        removal = remove(given, template, noise=0.6)
        assert removal is not None and not removal.residual
        zone = alpha > 0.02
        before = np.square(given.astype(float) - original)[zone].mean()
        assert np.square(removal.pixels.astype(float) - original)[zone].mean() < before / 10


def test_an_opaque_logo_on_white_leaves_white() -> None:
    opaque = replace(DISC, alpha=1.0)
    shown = marked_look_alikes([opaque], 30)
    (template,) = estimate(samples([given for given, _, _ in shown])).templates
    around = cv2.dilate((shown[0][2] > 0.02).astype(np.uint8), np.ones((21, 21), np.uint8)) > 0
    on_white = [one for one in shown if one[1][around].min() > 250]
    assert on_white
    for given, original, alpha in on_white:
        removal = remove(given, template, noise=0.6)
        assert removal is not None and not removal.residual
        assert np.abs(removal.pixels.astype(int) - original)[alpha > 0.02].mean() < 2

"""Templates of a known mark: from a logo's file and one picture, and from a mark that is painted over."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.marks import Mark, Scene, logo, placed, scaled, text
from model.errors import TemplateRefused
from model.watermark.known import from_logo, from_mark
from model.watermark.remove import remove
from tests.unit.model.watermark.scenes import samples, texture

Pixels = NDArray[np.uint8]
WIDE, HIGH = 260, 200


def laid(mark: Mark, opacity: float, top: int, left: int, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A picture with the mark at a place, and its original."""
    original = texture(rng, HIGH, WIDE)
    tall, wide = mark.coverage.shape
    part = slice(top, top + tall), slice(left, left + wide)
    alpha, given = (mark.coverage * opacity)[..., None], original.astype(np.float32)
    given[part] = given[part] * (1 - alpha) + mark.colour * alpha
    return np.rint(given).astype(np.uint8), original


def test_a_logo_is_found_in_one_picture_with_its_place_size_and_opacity() -> None:
    rng, disc = np.random.default_rng(0), logo(60)
    given, original = laid(scaled(disc, 0.8), 0.6, 90, 130, rng)
    (template,) = from_logo(disc.coverage, disc.colour, samples([given])).templates
    assert template.rule.corner(HIGH, WIDE) == pytest.approx((90, 130), abs=1)
    assert template.alpha.shape == pytest.approx((48, 48), abs=2)
    assert template.quality.opacity == pytest.approx(0.6, abs=0.08)
    removal = remove(given, template, noise=0.6)
    assert removal is not None
    zone = np.abs(given.astype(int) - original).max(axis=2) > 0
    before, after = (np.square(one.astype(float) - original)[zone].mean() for one in (given, removal.pixels))
    assert after < before / 10


@pytest.mark.parametrize(
    ("top", "left", "anchor"), [(145, 205, "bottom-right"), (5, 6, "top-left"), (74, 104, "middle-centre")]
)
def test_a_logo_lies_by_the_nearest_corner_in_pictures_of_other_sizes(top: int, left: int, anchor: str) -> None:
    rng, disc = np.random.default_rng(2), logo(50)
    shown = [laid(disc, 0.6, top, left, rng)[0] for _ in range(2)]
    (template,) = from_logo(disc.coverage, disc.colour, samples(shown)).templates
    assert template.rule.anchor == anchor
    assert template.rule.corner(HIGH, WIDE) == pytest.approx((top, left), abs=1)


def test_a_logo_laid_anywhere_is_found_in_every_picture() -> None:
    rng, disc = np.random.default_rng(1), logo(50)
    places = [(int(rng.integers(HIGH - 50)), int(rng.integers(WIDE - 50))) for _ in range(5)]
    shown = [laid(disc, 0.5, top, left, rng)[0] for top, left in places]
    (template,) = from_logo(disc.coverage, disc.colour, samples(shown)).templates
    assert template.rule.anywhere and template.quality.samples == 5
    for given, (top, left) in zip(shown, places, strict=True):
        removal = remove(given, template, noise=0.6)
        assert removal is not None
        rows, columns = np.nonzero(removal.changed)
        assert (rows.min(), columns.min()) == (pytest.approx(top, abs=3), pytest.approx(left, abs=3))


def test_a_logo_that_no_picture_shows_is_refused_with_the_ways_that_remain() -> None:
    rng, disc = np.random.default_rng(2), logo(60)
    with pytest.raises(TemplateRefused, match="from-mark") as refused:
        from_logo(disc.coverage, disc.colour, samples([texture(rng, HIGH, WIDE) for _ in range(3)]))
    assert refused.value.code == "mark_not_found"


def test_a_mark_painted_over_in_one_picture_is_found_in_the_others() -> None:
    rng, scene = np.random.default_rng(3), Scene(text(110, "SHOP"), 0.5, (1, 1), margin=8, sizes=((WIDE, HIGH),))
    coverage, colour = placed(scene, WIDE, HIGH, rng)
    alpha = (coverage * scene.alpha)[..., None]
    originals = [texture(rng, HIGH, WIDE) for _ in range(4)]
    given = [np.rint(one * (1 - alpha) + colour * alpha).astype(np.uint8) for one in originals]
    painted = np.asarray(cv2.dilate((coverage > 0.05).astype(np.uint8) * 255, np.ones((3, 3), np.uint8)), np.uint8)
    (template,) = from_mark(given[0], painted, samples(given[1:])).templates
    assert template.quality.samples == 4
    removal = remove(given[2], template, noise=0.6)
    assert removal is not None
    zone = alpha[..., 0] > 0.02
    before, after = (np.square(one.astype(float) - originals[2])[zone].mean() for one in (given[2], removal.pixels))
    assert after < before / 4
    with pytest.raises(TemplateRefused, match="paints nothing"):
        from_mark(given[0], np.zeros_like(painted), samples(given[1:]))

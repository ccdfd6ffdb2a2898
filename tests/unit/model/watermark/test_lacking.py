"""Parts of a mark that its template lacks are found by what the pictures share around it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.marks import Scene, placed, text
from model.watermark.estimate import estimate, same_mark
from model.watermark.lacking import Shown, parts
from model.watermark.template import Quality
from tests.unit.model.watermark.scenes import samples, texture

HIGH, WIDE, HALF = 70, 220, 110
Values = NDArray[np.float32]


def half_hidden(ink: int, count: int, shapes: int = 0) -> tuple[list[NDArray[np.uint8]], Values, Values]:
    """Pictures whose mark lies on its own colour in the right half of most of them, its opacity, and its colour."""
    scene = Scene(text(150, "SHOP SAMPLE", (ink,) * 3), 0.5, (0.5, 0.5), sizes=((WIDE, HIGH),))
    pictures = []
    for number in range(count):
        rng = np.random.default_rng(number)
        original = texture(rng, HIGH, WIDE)
        # Shapes that make products of which no two look alike.
        for _ in range(shapes):
            middle, axes = rng.integers(0, (WIDE, HIGH)), rng.integers(8, 50, 2)
            colour = [int(level) for level in rng.integers(20, 235, 3)]
            cv2.ellipse(original, [int(at) for at in middle], [int(side) for side in axes], 0, 0, 360, colour, -1)
        if number % 4:
            # No two products end at one place.
            corners = [(HALF + int(rng.integers(-40, 20)), row) for row in (0, HIGH)]
            cv2.fillPoly(original, [np.array([*corners, (WIDE, HIGH), (WIDE, 0)])], (ink,) * 3)
        coverage, ink_colour = placed(scene, WIDE, HIGH, rng)
        alpha = coverage * np.float32(scene.alpha)
        share = alpha[..., None]
        pictures.append(np.rint(original * (1 - share) + ink_colour * share).astype(np.uint8))
    return pictures, alpha, ink_colour


def found_by(
    pictures: list[NDArray[np.uint8]], groups: list[NDArray[np.intp]], alpha: Values, colour: Values
) -> NDArray[np.bool_]:
    return parts(Shown(np.stack(pictures), alpha, colour), groups, alpha, colour)


def each(count: int) -> list[NDArray[np.intp]]:
    return [np.array([number]) for number in range(count)]


def known_half(alpha: Values) -> Values:
    known = alpha.copy()
    known[:, HALF:] = 0
    return known


@pytest.mark.parametrize("ink", [255, 70])
def test_letters_that_lie_on_their_own_colour_in_most_pictures_are_found(ink: int) -> None:
    pictures, alpha, colour = half_hidden(ink, 48)
    found = found_by(pictures, each(48), known_half(alpha), colour)
    letters = alpha > 0.25
    letters[:, :HALF] = False
    assert found[letters].mean() > 0.9
    near = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert not (found & ~near).any()


def test_nothing_is_found_beside_a_mark_that_is_whole() -> None:
    pictures, alpha, colour = half_hidden(255, 48)
    found = found_by(pictures, each(48), alpha, colour)
    near = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert not (found & ~near).any()


def test_pictures_that_look_alike_count_as_one() -> None:
    pictures, alpha, colour = half_hidden(255, 48)
    # The pictures that show the right half are one and the same product; the others reach 20 px into it.
    groups = [np.arange(0, 48, 4), *(np.array([number]) for number in range(48) if number % 4)]
    found = found_by(pictures, groups, known_half(alpha), colour)
    assert not found[:, HALF + 20 :].any()


def test_an_estimate_takes_in_what_its_first_template_lacks() -> None:
    pictures, alpha, _ = half_hidden(130, 48, shapes=6)
    (found,) = estimate(samples(pictures), force=True).templates
    top, left = found.rule.corner(HIGH, WIDE)
    laid = np.zeros_like(alpha)
    laid[top : top + found.alpha.shape[0], left : left + found.alpha.shape[1]] = found.alpha
    assert (laid[alpha > 0.25] > 0.15).mean() > 0.95
    assert np.abs(laid - alpha)[alpha > 0.25].mean() < 0.1


@pytest.mark.parametrize(
    ("opacity", "error", "same"),
    [
        (0.388, 0.006, True),
        (0.418, 0.0056, True),
        (0.34, 0.0067, False),
        (0.92, 0.11, False),
        (0.92, 0.006, False),
        (0.38, 0.05, False),
    ],
)
def test_parts_that_make_another_mark_of_it_are_goods(opacity: float, error: float, same: bool) -> None:
    def quality(opacity: float, error: float) -> Quality:
        return Quality(
            samples=36, without=0, informative=30, error=error, opacity=opacity, z=5, margin=1, ghost=0.1,
            strength_spread=0, jitter_px=0,
        )  # fmt: skip

    assert same_mark(quality(0.38, 0.0057), quality(opacity, error)) is same

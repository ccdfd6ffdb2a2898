"""Plain ground in a hole, and the shade that is left below a mark."""

from __future__ import annotations

import numpy as np
import pytest

from model.repair.ground import Ground
from model.repair.rest import shade_of

rng = np.random.default_rng(0)
#: Cloth to the left, white ground to the right.
PICTURE = np.full((96, 192, 3), 255, np.float32)
PICTURE[:, :96] = rng.uniform(60, 140, (96, 96, 3)).astype(np.float32)
#: A stroke across both.
HOLE = np.zeros((96, 192), np.uint8)
HOLE[40:54, 20:172] = 255


def test_plain_ground_goes_on_in_a_narrow_hole_as_far_as_the_fill_agrees() -> None:
    marked, guess = PICTURE.copy(), PICTURE.copy()
    marked[43:51, 23:169] *= 0.5
    guess[40:54, 150:172] = 230
    plain = Ground(marked, guess, HOLE, HOLE, 0.8).plain
    assert plain[40:54, 124:132].all()
    assert not plain[:, :96].any()
    assert not plain[:, 150:].any()
    assert not plain[HOLE == 0].any()


def test_deep_in_a_hole_no_ground_is_plain() -> None:
    """A thing of the picture may lie there whole."""
    hole = np.zeros((96, 192), np.uint8)
    hole[30:60, 110:190] = 255
    plain = Ground(PICTURE, PICTURE, hole, hole, 0.8).plain
    assert plain[32:36, 140:160].all()
    assert not plain[43:47, 140:160].any()


@pytest.mark.parametrize(("columns", "clear"), [(slice(0, 192), True), (slice(64, 96), False)])
def test_a_shade_shows_where_all_windows_have_it(columns: slice, *, clear: bool) -> None:
    guess = np.full((96, 192, 3), 120, np.float32)
    clean = guess + rng.normal(0, 2, guess.shape).astype(np.float32)
    clean[:, columns] *= 0.98
    opacity, error = shade_of(Ground(guess, guess, HOLE, HOLE, 0.8), clean, HOLE > 0)
    assert (opacity > 2 * error) is clear
    if clear:
        assert opacity == pytest.approx(0.02, abs=0.004)


def test_few_windows_tell_no_shade() -> None:
    guess = np.full((96, 192, 3), 120, np.float32)
    small = np.zeros_like(HOLE)
    small[40:54, 40:60] = 255
    assert shade_of(Ground(guess, guess, small, small, 0.8), guess * np.float32(0.9), small > 0) == (0, 1)

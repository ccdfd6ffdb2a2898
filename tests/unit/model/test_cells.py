"""Cells of a grid: the same as by looking at each."""

from __future__ import annotations

import numpy as np
import pytest

from model.cells import extent, touched_cells


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (64, 64), (65, 130), (300, 41)])
@pytest.mark.parametrize(("down", "across"), [(8, 8), (16, 16), (8, 16), (16, 8), (32, 32), (24, 24)])
def test_a_cell_is_touched_where_any_of_its_pixels_is(shape: tuple[int, int], down: int, across: int) -> None:
    rng = np.random.default_rng(0)
    for share in (0.0, 0.001, 0.05, 1.0):
        mask = np.where(rng.random(shape) < share, rng.integers(1, 256, shape), 0).astype(np.uint8)
        expected = [
            [mask[top : top + down, left : left + across].any() for left in range(0, shape[1], across)]
            for top in range(0, shape[0], down)
        ]
        assert touched_cells(mask, down, across).tolist() == np.array(expected).tolist()


def test_the_extent_is_the_smallest_box() -> None:
    mask = np.zeros((40, 50), np.uint8)
    assert extent(mask)[2:] == (0, 0)
    mask[3, 7] = mask[30, 41] = 1
    assert extent(mask) == (7, 3, 35, 28)

"""Which cells of a grid over a picture hold a masked pixel, at a cost that follows the mask's extent."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]


def touched_cells(mask: Mask, down: int, across: int) -> NDArray[np.bool_]:
    """The cells of ``down`` x ``across`` px that hold a pixel of ``mask`` which is not 0: ``bool [rows, columns]``.

    The last row and column of cells may reach beyond the mask. ``across`` is a multiple of 8.
    """
    height, width = mask.shape
    cells = np.zeros((-(-height // down), -(-width // across)), np.bool_)
    left, top, wide, tall = extent(mask)
    if not wide:
        return cells
    rows = slice(top // down, -(-(top + tall) // down))
    columns = slice(left // across, -(-(left + wide) // across))
    part = mask[rows.start * down : rows.stop * down, columns.start * across : columns.stop * across]
    count, per_row = rows.stop - rows.start, columns.stop - columns.start
    padded = np.zeros((count * down, per_row * across), np.uint8)
    padded[: part.shape[0], : part.shape[1]] = part
    # Eight pixels at a time.
    words = padded.view(np.uint64).reshape(count, down, per_row, across // 8)
    cells[rows, columns] = np.bitwise_or.reduce(np.bitwise_or.reduce(words, axis=1), axis=2) != 0
    return cells


def extent(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, width and height of the smallest box with all pixels of ``mask`` that are not 0; 0, 0, 0, 0: none."""
    left, top, wide, tall = cv2.boundingRect(mask)
    return left, top, wide, tall

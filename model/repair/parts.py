"""Parts of a mask: groups of paint that lie near to each other, such as the letters of a word."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from model.cells import extent

Mask = NDArray[np.uint8]
Window = tuple[slice, slice]
#: Paint nearer than this belongs to one part; a part's window reaches this far beyond it, in px.
GROUP_PX, CONTEXT_PX = 16, 24
_MOST_PARTS = 64


def parts_of(core: Mask) -> Iterator[tuple[Window, Mask]]:
    """Windows around the parts of ``core`` (``uint8 [H, W]``), and in each the paint of its part alone.

    Windows begin at even places, where samples of colour in a JPEG begin. Very many parts are one.
    """
    left, top, wide, tall = extent(core)
    if not wide:
        return
    first_row, first_column = _even(top - CONTEXT_PX), _even(left - CONTEXT_PX)
    painted = core[first_row : top + tall + CONTEXT_PX, first_column : left + wide + CONTEXT_PX]
    grouped = cv2.dilate(painted, np.ones((2 * GROUP_PX + 1,) * 2, np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(grouped, connectivity=8)
    if count - 1 > _MOST_PARTS:
        yield (slice(0, core.shape[0]), slice(0, core.shape[1])), core
        return
    margin = CONTEXT_PX - GROUP_PX
    for label in range(1, count):
        left, top, width, height = (int(value) for value in boxes[label][:4])
        rows = slice(_even(top - margin), top + height + margin)
        columns = slice(_even(left - margin), left + width + margin)
        part = np.where(labels[rows, columns] == label, painted[rows, columns], np.uint8(0))
        rows = slice(rows.start + first_row, rows.stop + first_row)
        columns = slice(columns.start + first_column, columns.stop + first_column)
        yield (rows, columns), np.ascontiguousarray(part)


def nearer_to(others: NDArray[np.bool_], part: Mask) -> NDArray[np.bool_]:
    """``bool [H, W]``: the pixels that are nearer to ``others`` (``bool [H, W]``) than to ``part`` (``[H, W]``)."""
    if not others.any():
        return np.zeros(part.shape, np.bool_)
    far, near = (
        cv2.distanceTransform(np.where(flags, np.uint8(0), np.uint8(1)), cv2.DIST_L2, cv2.DIST_MASK_5)
        for flags in (part > 0, others)
    )
    return np.asarray(near < far)


def _even(place: int) -> int:
    return max(place, 0) // 2 * 2

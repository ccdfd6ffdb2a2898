"""Pieces of a part that no single mark explains: two words in two colours are two marks, each fitted for itself."""

from __future__ import annotations

import cv2
import numpy as np

from model.repair.ground import Ground, Mask

#: Least painted pixels of a blob whose shift is told, and of a piece; and most blobs.
_LEAST_BLOB, _LEAST_PIECE, _MOST_BLOBS = 100, 800, 64
#: Blobs that differ by fewer levels are of one colour, whatever is below them.
_ALIKE = 8.0
#: Rounds in which blobs join the nearer of two shifts.
_ROUNDS = 4


def pieces_by_colour(ground: Ground) -> list[Mask]:
    """The two groups of the paint's blobs that the mark shifts to different colours, ``uint8 [H, W]`` each.

    Empty where the paint is one blob or one opaque colour, or a group is too small to be fitted.
    """
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(ground.painted, connectivity=8)
    if not 3 <= count <= _MOST_BLOBS + 1:
        return []
    sizes = boxes[1:, cv2.CC_STAT_AREA]
    large = sizes >= _LEAST_BLOB
    if np.count_nonzero(large) < 2:
        return []
    of_paint = labels > 0
    order, ends = np.argsort(labels[of_paint], kind="stable"), np.cumsum(sizes)[:-1]
    levels, shifts = (
        np.stack([np.median(blob, axis=0) for blob in np.split(values[of_paint][order], ends)])
        for values in (ground.marked, ground.marked - ground.guess)
    )
    if np.ptp(levels[large], axis=0).max() < _ALIKE:
        return []
    apart = np.square(shifts[large, None] - shifts[None, large]).sum(axis=2)
    middles = shifts[large][list(np.unravel_index(int(np.argmax(apart)), apart.shape))]
    for _ in range(_ROUNDS):
        second = np.square(shifts - middles[1]).sum(axis=1) < np.square(shifts - middles[0]).sum(axis=1)
        groups = (~second, second)
        if min(int(sizes[group].sum()) for group in groups) < _LEAST_PIECE:
            return []
        middles = np.stack([np.average(shifts[group], axis=0, weights=sizes[group]) for group in groups])
    return [np.where(np.isin(labels, np.flatnonzero(group) + 1), np.uint8(255), np.uint8(0)) for group in groups]

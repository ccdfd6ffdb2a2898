"""Measures how far a written picture is from what was to be written, where a person can see it.

Peak signal-to-noise ratio: ``10 log10(peak² / mean squared difference)``, in dB, over all colour channels together.
Alpha counts for itself, and colour under alpha 0 does not count.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
Mask = NDArray[np.uint8]

#: Rows that are compared at once, which bounds the memory of a comparison.
_BAND = 512


def similarity_db(meant: Samples, written: Samples, where: Mask, *, alpha: bool) -> float:
    """The ratio of ``written`` to ``meant`` (both ``[H, W, C]`` of one dtype) where ``where`` is not 0; ``inf``: equal.

    ``alpha``: the last channel is alpha; then the lower ratio, of colour and of alpha, counts.
    """
    if meant.shape != written.shape or meant.dtype != written.dtype:
        return -math.inf
    colours = meant.shape[2] - alpha
    squares, counts = np.zeros(2), np.zeros(2)
    for top in range(0, len(meant), _BAND):
        rows = slice(top, top + _BAND)
        old, new, inside = meant[rows], written[rows], np.ascontiguousarray(where[rows])
        shown = inside
        if alpha:
            squares[1] += _squares(old[..., colours:], new[..., colours:], inside)
            counts[1] += np.count_nonzero(inside)
            visible = (old[..., colours] > 0) | (new[..., colours] > 0)
            shown = np.where(visible, inside, np.uint8(0))
        squares[0] += _squares(old[..., :colours], new[..., :colours], shown)
        counts[0] += np.count_nonzero(shown) * colours
    peak = float(np.iinfo(meant.dtype).max)
    ratios = [
        math.inf if square == 0 else 10 * math.log10(peak * peak * count / square)
        for square, count in zip(squares, counts, strict=True)
    ]
    return min(ratios)


def _squares(old: Samples, new: Samples, where: Mask) -> float:
    """The sum of squared differences."""
    apart = cv2.norm(np.ascontiguousarray(old), np.ascontiguousarray(new), cv2.NORM_L2, where)
    return float(apart) ** 2

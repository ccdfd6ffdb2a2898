"""Two scales: the fill of a smaller copy gives the structure of a wide hole, that in full size the detail.

The smaller copy is filled in one pass that sees the whole region. Its low frequencies replace those of the larger fill;
at the rim of the hole both agree with the picture, so the correction fades there by itself.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.hole import Mask

#: The correction's smoothness, in pixels of the smaller copy.
_SIGMA = 1.0


def smaller(pixels: NDArray[np.uint8], hole: Mask, factor: int) -> tuple[NDArray[np.uint8], Mask]:
    """``pixels`` and ``hole`` (sides multiples of ``factor``) reduced ``factor`` times, known pixels averaged alone."""
    known = (hole == 0).astype(np.float32)
    weight = _means(known, factor)
    sums = _means(pixels * known[..., None], factor)
    means = sums / np.maximum(weight, 1e-6)[..., None]
    # A cell with any known pixel is known by it; only wholly masked cells are left to fill.
    return np.rint(means).astype(np.uint8), np.where(weight > 0, np.uint8(0), np.uint8(255))


def _means(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    size = (values.shape[1] // factor, values.shape[0] // factor)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def guided(fill: NDArray[np.float32], small: NDArray[np.uint8], hole: Mask, factor: int) -> NDArray[np.float32]:
    """``fill`` (``float32 [H, W, 3]``, in levels) with the low frequencies of ``small`` inside ``hole``.

    ``small`` is ``uint8`` of the whole region, ``factor`` times smaller; what of it lies beyond ``fill`` is padding.
    """
    height, width = fill.shape[:2]
    size = (small.shape[1] * factor, small.shape[0] * factor)
    large = cv2.resize(small.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)[:height, :width]
    difference = np.where((hole > 0)[..., None], large - fill, np.float32(0))
    return np.asarray(fill + cv2.GaussianBlur(difference, (0, 0), _SIGMA * factor), np.float32)

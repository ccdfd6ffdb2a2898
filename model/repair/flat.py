"""Flat ground is continued, not invented: a network leaves faint clouds where goods are near.

The rim of a part is flat where it hardly varies from pixel to pixel. If one plane fits it there, the fill gives way to
that plane where the two are near; where they are far apart, an edge of the picture may lie in the hole.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.opacity import Flags, Values
from model.repair.parts import parts_of
from model.repair.seam import spread

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]

#: Width of the rim, and side of the windows in which it is flat, in px; its deviation there, in levels.
_RIM_PX, _SIDE, _DEVIATION = 4, 9, 3.5
#: Share of flat rim around a pixel from which the ground counts, and counts alone; a part with less is left.
_SOME, _NEARLY_ALL, _LEAST = 0.4, 0.7, 0.1
#: Difference of fill and ground up to which the ground counts alone, and from which not at all, in levels.
_NEAR, _FAR = 16.0, 32.0
#: Rounds and pixels of a plane's fit, the smallest residual, and the share of the rim within so many levels of it.
_ROUNDS, _MOST_PIXELS, _SMALL, _FITTING, _LEVELS = 12, 2000, 0.25, 0.85, 6.0


def with_flat_ground(source: Pixels, fill: Pixels, hole: Mask) -> Pixels:
    """``fill`` with the flat ground of ``source`` (both ``uint8 [h, w, 3]``) continued in ``hole`` (``[h, w]``)."""
    result: Pixels = fill
    for window, part in parts_of(hole):
        others = (hole[window] > 0) & (part == 0)
        carried = _carried(source[window], fill[window], part, others)
        if carried is not None:
            if result is fill:
                result = fill.copy()
            result[window][part > 0] = carried
    return result


def _carried(source: Pixels, fill: Pixels, part: Mask, others: Flags) -> Pixels | None:
    """The fill of one part (``uint8 [n, 3]``) with the ground; ``None``: its rim is not flat."""
    inside = part > 0
    wide = np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)
    rim = (cv2.dilate(part, wide) > 0) & ~inside & ~others
    if not rim.any():
        return None
    flat = _flat(source, rim)
    if np.count_nonzero(flat) < _LEAST * np.count_nonzero(rim):
        return None
    slopes = _plane(source, flat)
    if slopes is None:
        return None
    rows, columns = np.nonzero(inside)
    ground = np.clip(_places(rows, columns, inside.shape) @ slopes, 0, 255).astype(np.float32)
    drawn = fill[inside].astype(np.float32)
    difference, covered = np.zeros(inside.shape, np.float32), inside.view(np.uint8)
    difference[inside] = np.abs(drawn - ground).max(axis=1)
    apart = _summed(difference)[inside] / _summed(covered)[inside]
    share = spread(flat.astype(np.float32)[..., None], rim.astype(np.float32))[..., 0][inside]
    trust = np.clip((share - _SOME) / (_NEARLY_ALL - _SOME), 0, 1) * np.clip((_FAR - apart) / (_FAR - _NEAR), 0, 1)
    return np.asarray(np.rint(drawn + (ground - drawn) * trust[:, None]), np.uint8)


def _flat(source: Pixels, rim: Flags) -> Flags:
    """Which pixels of the rim hardly vary from those of the rim around them."""
    weight = rim.view(np.uint8)
    own = source[rim].astype(np.float32)
    square = np.zeros(rim.shape, np.float32)
    square[rim] = np.square(own).mean(axis=1)
    count = _summed(weight)[rim]
    mean = _summed(cv2.copyTo(source, weight))[rim] / count[:, None]
    variance = _summed(square)[rim] / count - np.square(mean).mean(axis=1)
    flat = np.zeros(rim.shape, np.bool_)
    flat[rim] = variance <= _DEVIATION**2
    return flat


def _plane(source: Pixels, flat: Flags) -> NDArray[np.float64] | None:
    """``float64 [3, 3]``: the plane of least absolute residuals through the flat rim, for :func:`_places`.

    ``None``: none fits.
    """
    rows, columns = np.nonzero(flat)
    every = max(1, len(rows) // _MOST_PIXELS)
    rows, columns = rows[::every], columns[::every]
    where = _places(rows, columns, flat.shape)
    levels = source[rows, columns].astype(np.float64)
    weight = np.ones(levels.shape)
    slopes = np.zeros((3, 3))
    for _ in range(_ROUNDS):
        for channel in range(3):
            weighted = where * weight[:, channel, None]
            square = weighted.T @ where + np.diag((1e-3, 1e-3, 1e-9)) * len(rows)
            slopes[:, channel] = np.linalg.solve(square, weighted.T @ levels[:, channel])
        residual = np.abs(levels - where @ slopes)
        weight = 1 / np.maximum(residual, _SMALL)
    return slopes if (residual.max(axis=1) <= _LEVELS).mean() >= _FITTING else None


def _places(rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Pixels' places in a window: ``float64 [n, 3]``, the last one 1."""
    return np.column_stack((rows / shape[0] - 0.5, columns / shape[1] - 0.5, np.ones(len(rows))))


def _summed(values: NDArray[Any]) -> Values:
    """Sums over the windows of ``values`` (8 bits or float32)."""
    sums = cv2.boxFilter(values, cv2.CV_32F, (_SIDE, _SIDE), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(sums, np.float32)

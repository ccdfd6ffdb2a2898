"""Flat ground is continued, not invented: a network leaves faint clouds where goods are near.

The rim of a part is flat where it hardly varies from pixel to pixel. If one plane fits it there, the fill gives way to
that plane where the two are near; where they are far apart, an edge of the picture may lie in the hole.
"""

from __future__ import annotations

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
            inside = part > 0
            result[window][inside] = carried[inside]
    return result


def _carried(source: Pixels, fill: Pixels, part: Mask, others: Flags) -> Pixels | None:
    """The fill of one part with the ground; ``None``: its rim is not flat."""
    found = flat_ground(source, part, others)
    if found is None:
        return None
    ground, share = found
    inside = part > 0
    covered = inside.astype(np.float32)
    difference = np.abs(fill - ground).max(axis=2) * covered
    apart = _summed(difference) / np.maximum(_summed(covered), np.float32(1))
    trust = np.clip((share - _SOME) / (_NEARLY_ALL - _SOME), 0, 1) * np.clip((_FAR - apart) / (_FAR - _NEAR), 0, 1)
    return np.asarray(np.rint(fill + (ground - fill) * trust[..., None]), np.uint8)


def flat_ground(source: Pixels, part: Mask, others: Flags) -> tuple[Values, Values] | None:
    """The plane through the flat rim of ``part`` (``float32 [h, w, 3]``), and how much of the rim nearby is flat.

    That share is ``float32 [h, w]``, from 0 to 1. ``others``: further holes, whose pixels are no rim. ``None``: the rim
    is not flat.
    """
    wide = np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)
    rim = (cv2.dilate(part, wide) > 0) & (part == 0) & ~others
    if not rim.any():
        return None
    seen, weight = source.astype(np.float32), rim.astype(np.float32)
    count = np.maximum(_summed(weight), np.float32(1e-3))
    mean = _summed(seen * weight[..., None]) / count[..., None]
    variance = _summed(np.square(seen).mean(axis=2) * weight) / count - np.square(mean).mean(axis=2)
    flat = rim & (variance <= _DEVIATION**2)
    if np.count_nonzero(flat) < _LEAST * np.count_nonzero(rim):
        return None
    share = spread(flat.astype(np.float32)[..., None], weight)[..., 0]
    ground = _plane(seen, flat)
    return None if ground is None else (ground, np.asarray(share, np.float32))


def _plane(seen: Values, flat: Flags) -> Values | None:
    """``float32 [h, w, 3]``: the plane of least absolute residuals through the flat rim; ``None``: none fits."""
    rows, columns = np.nonzero(flat)
    every = max(1, len(rows) // _MOST_PIXELS)
    rows, columns = rows[::every], columns[::every]
    height, width = flat.shape
    where = np.column_stack((rows / height - 0.5, columns / width - 0.5, np.ones(len(rows))))
    levels = seen[rows, columns].astype(np.float64)
    weight = np.ones(levels.shape)
    slopes = np.zeros((3, 3))
    for _ in range(_ROUNDS):
        for channel in range(3):
            weighted = where * weight[:, channel, None]
            square = weighted.T @ where + np.diag((1e-3, 1e-3, 1e-9)) * len(rows)
            slopes[:, channel] = np.linalg.solve(square, weighted.T @ levels[:, channel])
        residual = np.abs(levels - where @ slopes)
        weight = 1 / np.maximum(residual, _SMALL)
    if (residual.max(axis=1) <= _LEVELS).mean() < _FITTING:
        return None
    down, across = np.mgrid[0:height, 0:width]
    places = np.stack((down / height - 0.5, across / width - 0.5, np.ones((height, width))), axis=2)
    return np.clip(places @ slopes, 0, 255).astype(np.float32)


def _summed(values: Values) -> Values:
    sums = cv2.boxFilter(values, -1, (_SIDE, _SIDE), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(sums, np.float32)

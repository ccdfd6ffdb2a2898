"""How far a mask has to be widened: as far as the mark still shows in the rings around it.

People paint too wide, exactly, or too tight; marks have soft edges, and JPEG smears them. Each pixel that the fill
takes beyond the mark is a true one lost, and the fill is worse for it. A ring is all pixels at one distance from the
paint. The share of the step from the ground to the mark that a ring still has tells whether the mark lies in it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.opacity import Flags, Values
from model.repair.parts import parts_of

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]

#: Most that a part of a mask is widened by, and the last ring beyond, which shows the ground, in px from the paint.
MOST_PX, _GROUND = 8, 13
#: The paint this far from its border shows the mark, in px; sides of the windows of local means.
_CORE, _MARK_SIDE, _GROUND_SIDE = 2.4, 13, 17
#: Weight of the other paint, for thin strokes; distance from other parts in which rings are not looked at, in px.
_BORDER, _OTHERS_PX = 0.03, 3
#: Least sum of weights of a local mean, and least pixels of a ring.
_LEAST_WEIGHT, _FEW = 0.02, 8
#: A ring's share counts above that of the ring this much further out, for pictures change slowly by themselves.
_FURTHER = 2
#: The mark shows where the share falls by this much, or is larger than the second; on smooth ground, where it falls by
#: less: by the texture's deviation, and in levels.
_SHOWS, _MUCH, _OF_TEXTURE, _LEVELS = 0.15, 0.5, 0.6, 1.0
#: Tint of the last ring from which on it is filled too, in levels.
_TINT = 6.0
#: Least step from the ground to the mark for a mask that is too tight, in deviations of the texture; else the most px.
_CLEAR, _UNSURE_PX = 2.5, 3


def fitted_hole(pixels: Pixels, painted: Mask) -> tuple[Mask, int]:
    """``uint8 [H, W]``: the paint, widened by what is left of the mark around it; and by how many px at most.

    ``pixels``: ``uint8 [H, W, 3]``, the marked picture; ``painted``: ``uint8 [H, W]``, over half = painted.
    """
    core = np.where(painted > 127, np.uint8(255), np.uint8(0))
    hole = core.copy()
    most = 0
    for window, part in parts_of(core):
        outside = np.asarray(cv2.distanceTransform(255 - part, cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)
        reach = _reach(pixels[window], part, outside, (core[window] > 0) & (part == 0))
        if reach:
            hole[window][outside <= reach] = 255
            most = max(most, reach)
    return hole, most


def _reach(pixels: Pixels, part: Mask, outside: Values, others: Flags) -> int:
    """The distance in px from the paint of one part up to which the mark shows."""
    seen = pixels.astype(np.float32)
    inside = cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_5)
    apart = cv2.dilate(others.astype(np.uint8), np.ones((2 * _OTHERS_PX + 1,) * 2, np.uint8)) == 0
    core = np.where(inside > _CORE, np.float32(1), np.float32(_BORDER) * (inside > 0))
    around = (outside > MOST_PX) & (outside <= _GROUND) & apart
    mark, has_mark = _local_mean(seen, core, _MARK_SIDE)
    ground, has_ground = _local_mean(seen, around.astype(np.float32), _GROUND_SIDE)
    known = has_mark & has_ground & apart
    to_mark, to_pixel = mark - ground, seen - ground
    ring = np.where(known & (part == 0), np.ceil(outside), 0).astype(np.int64).ravel()
    count, along, size = (
        np.bincount(ring, values.ravel(), _GROUND + 1)[1 : MOST_PX + _FURTHER + 1]
        for values in (np.ones(ring.shape), np.einsum("hwc,hwc->hw", to_mark, to_pixel), np.square(to_mark).sum(axis=2))
    )
    share = np.where(count >= _FEW, along / np.maximum(size, 1e-6), 0)
    left = share[:-_FURTHER] - share[_FURTHER:]
    near, far = ring == 1, around.ravel()
    if np.count_nonzero(near) < _FEW or not far.any():
        return 0
    step = float(np.sqrt(np.square(to_mark).mean(axis=2).ravel()[near].mean()))
    texture = float(np.sqrt(np.square(to_pixel).mean(axis=2).ravel()[far].mean()))
    least = min(_SHOWS, (_OF_TEXTURE * texture + _LEVELS) / max(step, 1e-6))
    # Where much of it is left, rings are alike, and the share falls further out.
    shows = (left > least) | (share[:-_FURTHER] > _MUCH)
    reach = int(np.argmin(np.append(shows, False)))
    if share[0] <= _MUCH:
        # The fill spreads the tint of the ring beside it.
        return reach + 1 if 0 < reach < MOST_PX and left[reach] * step > _TINT else reach
    # The mask cuts through the mark, whose scraps the last ring holds. Slopes of the picture may look like it.
    return min(reach + 1, MOST_PX) if step > _CLEAR * texture else min(reach, _UNSURE_PX)


def _local_mean(values: Values, weight: Values, side: int) -> tuple[Values, Flags]:
    """The local mean of ``values`` (``[H, W, C]``) by ``weight`` (``[H, W]``), and where there is one."""
    total = _summed(weight, side)
    mean = _summed(values * weight[..., None], side) / np.maximum(total, np.float32(_LEAST_WEIGHT))[..., None]
    return np.asarray(mean, np.float32), total > _LEAST_WEIGHT


def _summed(values: Values, side: int) -> Values:
    return np.asarray(
        cv2.boxFilter(values, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT), np.float32
    )

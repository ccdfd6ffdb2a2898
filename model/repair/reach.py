"""How far a mask has to be widened: as far as the mark still shows in the rings around it.

People paint too wide, exactly, or too tight; marks have soft edges, and JPEG smears them. Each pixel that the fill
takes beyond the mark is a true one lost, and the fill is worse for it. A ring is all pixels at one distance from the
paint. The share of the step from the ground to the mark that a ring still has tells whether the mark lies in it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from model.box import Box
from model.cells import touched_cells
from model.repair.opacity import Flags, Values
from model.repair.parts import parts_of
from model.repair.recovery import ends_inside

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
#: Most parts of a mask whose mark is looked for, for the place of its end.
_MOST_EXAMINED = 4
#: In a large window, rings are looked at in so many blocks of this side that hold paint, evenly chosen.
_BLOCK, _BLOCKS = 128, 16
#: Pixels around a block that decide about it.
_BEYOND = _GROUND + _GROUND_SIDE // 2


class _Rings(NamedTuple):
    """Sums over the rings around the paint; those of several blocks can be added."""

    #: ``float64 [rings]``, from the first on: pixels, and sums of the products of the steps from the ground to the mark
    #: and to the pixel, and of the first one's square.
    number: NDArray[np.float64]
    along: NDArray[np.float64]
    size: NDArray[np.float64]
    #: Pixels of the first ring, and beyond the rings; sums of their squared steps to the mark and to the pixel.
    near: int
    step: float
    far: int
    texture: float


def fitted_hole(pixels: Pixels, painted: Mask) -> tuple[Mask, int]:
    """``uint8 [H, W]``: the paint, widened by what is left of the mark around it; and by how many px at most.

    ``pixels``: ``uint8 [H, W, 3]``, the marked picture; ``painted``: ``uint8 [H, W]``, over half = painted.
    """
    core = np.where(painted > 127, np.uint8(255), np.uint8(0))
    hole = core.copy()
    most = 0
    parts = list(parts_of(core))
    for window, part in parts:
        outside = np.asarray(cv2.distanceTransform(255 - part, cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)
        reach = _reach(pixels[window], part, outside, (core[window] > 0) & (part == 0))
        # What lies along the paint, such as a hem, may look like what is left of a mark.
        if reach and not (len(parts) <= _MOST_EXAMINED and ends_inside(pixels[window], part)):
            hole[window][outside <= reach] = 255
            most = max(most, reach)
    return hole, most


def _reach(pixels: Pixels, part: Mask, outside: Values, others: Flags) -> int:
    """The distance in px from the paint of one part up to which the mark shows."""
    rings: _Rings | None = None
    for seen, block in _blocks(part):
        own = _rings(pixels[seen], part[seen], outside[seen], others[seen], block)
        rings = own if rings is None else _Rings(*map(operator.add, rings, own))
    return 0 if rings is None else _shown(rings)


def _blocks(part: Mask) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Blocks of a window in which rings are looked at: each with its surroundings, and where in them it lies."""
    height, width = part.shape
    if part.size <= _BLOCKS * _BLOCK**2:
        everything = slice(0, height), slice(0, width)
        yield everything, everything
        return
    places = np.argwhere(touched_cells(part, _BLOCK, _BLOCK)) * _BLOCK
    for top, left in places[np.linspace(0, len(places) - 1, min(_BLOCKS, len(places))).astype(int)]:
        block = Box(top, left, min(top + _BLOCK, height), min(left + _BLOCK, width))
        seen = Box(max(top - _BEYOND, 0), max(left - _BEYOND, 0), block.bottom + _BEYOND, block.right + _BEYOND)
        yield seen.slices, block.within(seen).slices


def _rings(pixels: Pixels, part: Mask, outside: Values, others: Flags, block: tuple[slice, slice]) -> _Rings:
    """The rings within ``block``."""
    seen = pixels.astype(np.float32)
    inside = cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_5)
    apart = cv2.dilate(others.astype(np.uint8), np.ones((2 * _OTHERS_PX + 1,) * 2, np.uint8)) == 0
    core = np.where(inside > _CORE, np.float32(1), np.float32(_BORDER) * (inside > 0))
    around = (outside > MOST_PX) & (outside <= _GROUND) & apart
    mark, has_mark = _local_mean(seen, core, _MARK_SIDE)
    ground, has_ground = _local_mean(seen, around.astype(np.float32), _GROUND_SIDE)
    known = (has_mark & has_ground & apart & (part == 0))[block]
    to_mark, to_pixel = (mark - ground)[block], (seen - ground)[block]
    ring = np.where(known, np.ceil(outside[block]), 0).astype(np.int64).ravel()
    square = np.square(to_mark).sum(axis=2)
    number, along, size = (
        np.bincount(ring, values.ravel(), _GROUND + 1)[1 : MOST_PX + _FURTHER + 1].astype(np.float64)
        for values in (np.ones(ring.shape), np.einsum("hwc,hwc->hw", to_mark, to_pixel), square)
    )
    near, far = square.ravel()[ring == 1], np.square(to_pixel[around[block]]).mean(axis=1)
    return _Rings(number, along, size, len(near), float(near.sum()) / 3, len(far), float(far.sum()))


def _shown(rings: _Rings) -> int:
    """The distance up to which the mark shows in the rings."""
    if rings.near < _FEW or not rings.far:
        return 0
    share = np.where(rings.number >= _FEW, rings.along / np.maximum(rings.size, 1e-6), 0)
    left = share[:-_FURTHER] - share[_FURTHER:]
    step, texture = float(np.sqrt(rings.step / rings.near)), float(np.sqrt(rings.texture / rings.far))
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

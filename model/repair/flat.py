"""Flat ground is continued, not invented: a network leaves faint clouds where goods are near.

One plane is fitted to the ground around a part. Where nothing but that ground touches the hole, nothing else reaches
into it, and the plane takes the place of the fill. Where something else does, the fill gives way to the plane near the
ground, and as far as the two are alike. JPEG lets a mark ring into flat ground; beyond its blocks the ground is calm,
and cloth is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.opacity import Flags, Values
from model.repair.parts import parts_of
from model.repair.seam import spread

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
Places = tuple[NDArray[np.intp], NDArray[np.intp]]

#: Distances from the part in px: of the ground that is looked at, beyond a mark's ringing, and of pixels that touch it.
_GROUND_PX, _CALM_PX, _TOUCHING_PX = 20, 8, 1.5
#: Levels from the plane within which pixels are ground, those of touching pixels and of their local mean, and those
#: where nothing else is near, so that it must be the mark's ringing.
_GROUND_LEVELS, _STRICT, _RINGING, _MEAN_SIDE = 12.0, (18.0, 7.0), (30.0, 14.0), 7
#: Distance of other things up to which they are near, in px.
_NEAR_PX = 16
#: Most deviation of calm ground, in levels, and the least of its pixels.
_DEVIATION, _FEW = 2.5, 24
#: Share of the touching pixels that are ground from which on nothing else reaches in, and from which on a part counts.
_CLOSED, _LEAST = 0.97, 0.1
#: Share of ground around a pixel from which the ground counts, and counts alone.
_SOME, _NEARLY_ALL = 0.4, 0.7
#: Difference of fill and ground up to which the ground counts alone, and from which not at all, in levels; and the side
#: of the window in which it is averaged.
_NEAR, _FAR, _SIDE = 32.0, 64.0, 9
#: Rounds and pixels of a plane's fit, the smallest residual; pixels by which calm ground is judged.
_ROUNDS, _MOST_PIXELS, _SMALL, _MOST_CALM = 12, 2000, 0.25, 20_000


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


@dataclass(frozen=True)
class FlatGround:
    """The flat ground around a part."""

    #: Its plane, ``float32 [h, w, 3]``.
    levels: Values
    #: How much of what touches the part nearby is ground: ``float32 [h, w]``, from 0 to 1.
    share: Values
    #: Whether nothing but the ground touches the part.
    is_closed: bool


def _carried(source: Pixels, fill: Pixels, part: Mask, others: Flags) -> Pixels | None:
    """The fill of one part with the ground; ``None``: it does not lie on flat ground."""
    ground = flat_ground(source, part, others)
    if ground is None:
        return None
    if ground.is_closed:
        return np.asarray(np.rint(ground.levels), np.uint8)
    covered = (part > 0).astype(np.float32)
    difference = np.abs(fill - ground.levels).max(axis=2) * covered
    apart = _summed(difference, _SIDE) / np.maximum(_summed(covered, _SIDE), np.float32(1))
    trust = np.clip((ground.share - _SOME) / (_NEARLY_ALL - _SOME), 0, 1)
    trust *= np.clip((_FAR - apart) / (_FAR - _NEAR), 0, 1)
    return np.asarray(np.rint(fill + (ground.levels - fill) * trust[..., None]), np.uint8)


def flat_ground(source: Pixels, part: Mask, others: Flags) -> FlatGround | None:
    """The ground around ``part`` (``uint8 [h, w]``) in ``source``; ``None``: it does not lie on flat ground.

    ``others`` (``bool [h, w]``): further holes, whose pixels show no ground.
    """
    inside = part > 0
    away = cv2.distanceTransform(np.where(inside, np.uint8(0), np.uint8(1)), cv2.DIST_L2, cv2.DIST_MASK_5)
    free = ~(inside | others)
    touching = free & (away <= _TOUCHING_PX)
    if np.count_nonzero(touching) < _FEW:
        return None
    around = free & (away <= _GROUND_PX)
    slopes = _slopes(source, around, touching)
    calm = _some(around & (away > _CALM_PX), _MOST_CALM)
    rest = source[calm] - _plane(slopes, part.shape, calm)
    rest = rest[np.abs(rest).max(axis=1) <= _GROUND_LEVELS]
    if len(rest) < _FEW or float(np.square(rest).mean()) > _DEVIATION**2:
        return None
    levels = _plane(slopes, part.shape)
    rest = source - levels
    far = np.abs(rest).max(axis=2)
    other = (around & (away > _CALM_PX) & (far > _GROUND_LEVELS)).astype(np.uint8)
    alone = cv2.dilate(other, np.ones((2 * _NEAR_PX + 1,) * 2, np.uint8)) == 0
    is_ground = np.zeros(part.shape, np.bool_)
    for where, (most, most_mean) in ((~alone, _STRICT), (alone, _RINGING)):
        weight = (touching & (far <= most)).astype(np.float32)
        mean = _summed(rest * weight[..., None], _MEAN_SIDE) / np.maximum(_summed(weight, _MEAN_SIDE), 1)[..., None]
        is_ground |= where & (weight > 0) & (np.abs(mean).max(axis=2) <= most_mean)
    share = np.count_nonzero(is_ground) / np.count_nonzero(touching)
    if share < _LEAST:
        return None
    near = spread(is_ground.astype(np.float32)[..., None], touching.astype(np.float32))[..., 0]
    return FlatGround(levels, np.asarray(near, np.float32), bool(share >= _CLOSED))


def _slopes(source: Pixels, around: Flags, touching: Flags) -> NDArray[np.float64]:
    """The plane of least absolute residuals through the ground, which touches the part, for :func:`_plane`."""
    rows, columns = _some(around, _MOST_PIXELS)
    height, width = around.shape
    where = np.column_stack((rows / height - 0.5, columns / width - 0.5, np.ones(len(rows))))
    levels = source[rows, columns].astype(np.float64)
    slopes = np.zeros((3, 3))
    slopes[2] = np.median(source[touching], axis=0)
    for _ in range(_ROUNDS):
        residual = np.abs(levels - where @ slopes)
        weight = (residual.max(axis=1) <= _GROUND_LEVELS)[:, None] / np.maximum(residual, _SMALL)
        for channel in range(3):
            weighted = where * weight[:, channel, None]
            square = weighted.T @ where + np.diag((1e-3, 1e-3, 1e-9)) * len(rows)
            slopes[:, channel] = np.linalg.solve(square, weighted.T @ levels[:, channel])
    return slopes


def _plane(slopes: NDArray[np.float64], shape: tuple[int, ...], at: Places | None = None) -> Values:
    """The levels of a plane at ``n`` places (``float32 [n, 3]``) of a window, or in all of it (``[h, w, 3]``)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]] if at is None else at
    down, across, middle = slopes.astype(np.float32)
    rows, columns = (rows / shape[0] - 0.5).astype(np.float32), (columns / shape[1] - 0.5).astype(np.float32)
    levels: Values = np.clip(rows[..., None] * down + (columns[..., None] * across + middle), 0, 255)
    return levels


def _some(flags: Flags, most: int) -> Places:
    """Rows and columns of about ``most`` of the pixels, evenly, where there are more."""
    rows, columns = np.nonzero(flags)
    every = max(1, len(rows) // most)
    return rows[::every], columns[::every]


def _summed(values: Values, side: int) -> Values:
    sums = cv2.boxFilter(values, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(sums, np.float32)

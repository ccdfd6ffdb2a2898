"""Making the seam invisible: the fill's low frequencies follow the rim in CIELAB, and flat backgrounds stay flat.

Values are taken as sRGB for the change to CIELAB whatever the picture's profile: only differences across the rim count.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.cells import touched_cells

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
Lab = NDArray[np.float32]

#: Width of the strips on both sides of the hole's border that are compared, and the reach of their local means.
_STRIP_PX, _SIGMA_PX = 3, 3.0
#: Largest correction in L*, a* and b*: a larger step is an edge of the picture, not a shift of colour.
_MOST = 12.0
#: Variance of the strips (in squares of L*, a*, b*) at which a place of the rim counts half.
_TEXTURE = 40.0
#: Most places at which the correction is computed; in larger windows it is on a coarser grid, for it is smooth.
_ENOUGH_PLACES = 1 << 19
#: Depth of the first and of the second pixel in a hole, in px, and the sigma in which known pixels count beside them.
_FIRST_PX, _BESIDE_PX, _BESIDE_SIGMA = 1.2, 2.2, 0.6
#: Their share where they are as the fill is, how much of it at the second pixel, and levels by which it falls by 1.
_BESIDE_SHARE, _SECOND_SHARE, _BESIDE_APART = 0.8, 0.7, 60.0
#: Width of the rim around a part of the hole, in px; parts whose rims touch, on cells of so many px, share one.
_RIM_PX, _CELL = 8, 8
#: Least share of the rim with exactly one colour, for the background to be uniform. Photographs have grain and are not.
_COMMON_SHARE = 0.3
#: If this share of the rim is within this many levels of its median, the part is flat and takes one colour. Else
#: fill within the second number of levels of the common colour takes it.
_FLAT_SHARE, _GRAIN_LEVELS, _NEAR_LEVELS = 0.97, 3, 4
#: JPEG lets a mark ring into a flat rim by up to so many levels; this share of it keeps exactly one colour.
_RINGING_LEVELS, _RINGING_SHARE = 6, 0.5
_MOST_PARTS = 512
#: Rows that are corrected at once.
_ROWS = 512
#: Less than this share of weighted pixels (1 of so many) are worked on by themselves.
_SPARSE = 8


def rim_matched(source: Pixels, fill: Pixels, hole: Mask) -> Pixels:
    """``fill`` (``uint8 [h, w, 3]``) with its low frequencies inside ``hole`` moved to those around it.

    The local means of a strip on either side of the border are compared in CIELAB, with less weight where there is
    texture; their difference is carried inwards smoothly (push-pull, Gortler et al. 1996) and added.
    """
    step = max(1, math.ceil(math.sqrt(hole.size / _ENOUGH_PLACES)))
    field = _correction(source, fill, hole, step)
    if field is None:
        return fill
    out = fill.copy()
    for top in range(0, hole.shape[0], _ROWS):
        rows = slice(top, top + _ROWS)
        inside = np.flatnonzero(hole[rows])
        if not len(inside):
            continue
        down, across = np.divmod(inside, hole.shape[1])
        added = field[down + top, across] if step == 1 else _between(field, down + top, across, step)
        # A view: the copy lies in one piece.
        pixels = out[rows].reshape(-1, 3)
        pixels[inside] = _from_lab(lab_of(pixels[inside][None])[0] + added)
    return out


def near_known(source: Pixels, fill: Pixels, hole: Mask) -> Pixels:
    """``fill`` (``uint8 [h, w, 3]``) averaged at the border of ``hole`` with the known pixels beside it.

    In the first two pixels of a hole both estimate the same value, with errors of one size that are not the same ones.
    Their weights are those of least expected error, by depth and by how far apart the two are.
    """
    depth = cv2.distanceTransform(hole, cv2.DIST_L2, cv2.DIST_MASK_5)
    rows, columns = np.nonzero((depth > 0) & (depth <= _BESIDE_PX))
    known = np.where(hole > 0, np.float32(0), np.float32(1))
    weight = _blurred(known, _BESIDE_SIGMA)[rows, columns][:, None]
    beside = _blurred(cv2.copyTo(source, hole ^ 255).astype(np.float32), _BESIDE_SIGMA)[rows, columns]
    own = fill[rows, columns].astype(np.float32)
    step = beside / np.maximum(weight, np.float32(1e-4)) - own
    trust = np.clip(_BESIDE_SHARE - np.abs(step).max(axis=1) / _BESIDE_APART, 0, 1)
    trust *= np.where(depth[rows, columns] <= _FIRST_PX, np.float32(1), np.float32(_SECOND_SHARE))
    out = fill.copy()
    out[rows, columns] = np.rint(own + step * trust[:, None]).astype(np.uint8)
    return out


def _between(field: Lab, rows: NDArray[np.intp], columns: NDArray[np.intp], step: int) -> Lab:
    """The correction at pixels (``[n]``), linearly between the places of its grid: ``float32 [n, 3]``."""
    count = len(rows)
    # OpenCV takes the places of a picture of at most 32,767 px a side.
    places = np.zeros((2, -(-count // _ROWS), _ROWS), np.float32)
    for place, values in zip(places.reshape(2, -1), (columns, rows), strict=True):
        place[:count] = (values + np.float32(0.5)) / step - np.float32(0.5)
    found = cv2.remap(field, places[0], places[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(-1, 3)[:count], np.float32)


def keep_flat(samples: NDArray[Any], fill: NDArray[Any], hole: Mask) -> NDArray[Any]:
    """``fill`` (``[h, w, C]``, any depth) with flat backgrounds of ``samples`` continued exactly.

    If nearly all of the rim around a part has one colour but for fine grain, the part takes it. If much of the rim has
    one colour, fill that is near to it takes it. So a white background stays exactly white.
    """
    # Of each part with its rim; other parts reach neither.
    around = np.asarray(cv2.dilate(hole, np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)), np.uint8)
    cells = touched_cells(around, _CELL, _CELL).view(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(cells, connectivity=8)
    if count - 1 > _MOST_PARTS:
        return fill
    step = 257 if fill.dtype == np.uint16 else 1
    out = fill.copy()
    for label in range(1, count):
        left, top, width, height = (int(value) for value in boxes[label][:4])
        own = labels[top : top + height, left : left + width] == label
        window = slice(top * _CELL, (top + height) * _CELL), slice(left * _CELL, (left + width) * _CELL)
        masked = hole[window] > 0
        near = (around[window] > 0) & own.repeat(_CELL, axis=0).repeat(_CELL, axis=1)[
            : masked.shape[0], : masked.shape[1]
        ]
        rim = near & ~masked
        if rim.any():
            _flatten(samples[window], out[window], near & masked, rim, step)
    return out


def _flatten(
    samples: NDArray[Any], out: NDArray[Any], part: NDArray[np.bool_], rim: NDArray[np.bool_], step: int
) -> None:
    around = samples[rim]
    if around.dtype == np.uint8 and not _may_be_flat(around):
        return
    middle = np.median(around, axis=0)
    if _within(around, middle, _GRAIN_LEVELS * step).mean() >= _FLAT_SHARE:
        # With so little grain the median is nearer to the truth than any fill.
        common, exactly = _most_common(around)
        out[part] = common if exactly >= _COMMON_SHARE else np.rint(middle)
        return
    common, exactly = _most_common(around)
    if exactly < _COMMON_SHARE:
        return
    if exactly >= _RINGING_SHARE and _within(around, common, _RINGING_LEVELS * step).mean() >= _FLAT_SHARE:
        out[part] = common
        return
    inside = out[part]
    inside[_within(inside, common, _NEAR_LEVELS * step)] = common
    out[part] = inside


def _may_be_flat(around: Pixels) -> bool:
    """Whether a rim (``[n, C]``) may have one colour but for grain, or much of one colour, by its histograms alone.

    Most rims lie in texture, and this tells them at a tenth of what sorting their colours costs.
    """
    count = len(around)
    may_have_grain = may_have_common = True
    for channel in range(around.shape[1]):
        counts = np.bincount(around[:, channel], minlength=256)
        below = np.cumsum(counts)
        middle = (np.searchsorted(below, (count - 1) // 2, "right") + np.searchsorted(below, count // 2, "right")) / 2
        lowest, highest = math.ceil(middle - _GRAIN_LEVELS), math.floor(middle + _GRAIN_LEVELS)
        may_have_grain &= bool(counts[max(lowest, 0) : highest + 1].sum() >= _FLAT_SHARE * count)
        may_have_common &= bool(counts.max() >= _COMMON_SHARE * count)
    return may_have_grain or may_have_common


def _within(colours: NDArray[Any], colour: NDArray[Any], levels: int) -> NDArray[np.bool_]:
    """Which of ``colours`` (``[n, C]``) are within so many levels of ``colour`` in each channel: ``bool [n]``."""
    # Channel by channel, and with no number that is not whole: a wide axis is many times as fast as one of three.
    lowest, highest = np.ceil(colour - levels), np.floor(colour + levels)
    near = np.ones(len(colours), np.bool_)
    for channel in range(colours.shape[1]):
        values = colours[:, channel]
        near &= (values >= lowest[channel]) & (values <= highest[channel])
    return near


def _most_common(colours: NDArray[Any]) -> tuple[NDArray[np.int32], float]:
    """The colour that occurs most often among ``colours`` (``[n, C]``, 8 or 16 bits), and its share."""
    keys = np.zeros(len(colours), np.uint64)
    for channel in range(colours.shape[1]):
        keys = keys << np.uint64(16) | colours[:, channel]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    most = int(np.argmax(counts))
    return colours[first[most]].astype(np.int32), float(counts[most] / len(colours))


def spread(weighted: Lab, weight: NDArray[np.float32]) -> Lab:
    """``weighted / weight`` where there is weight, and a smooth continuation of it elsewhere.

    ``weighted``: ``float32 [H, W, C]``; ``weight``: ``float32 [H, W]``.
    """
    height, width = weight.shape
    if min(height, width) == 1 or max(height, width) <= 2:
        mean = weighted.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
        coarse: Lab = np.broadcast_to(mean.astype(np.float32), weighted.shape).copy()
    else:
        size = (width + 1) // 2, (height + 1) // 2
        less = spread(
            *(
                # OpenCV drops the last axis of one channel.
                np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32).reshape(
                    *reversed(size), *part.shape[2:]
                )
                for part in (weighted, weight)
            )
        )
        coarse = np.asarray(cv2.resize(less, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        coarse = coarse.reshape(weighted.shape)
    # A little of the coarse level everywhere keeps noise of single rim pixels out of the hole.
    if np.count_nonzero(weight) * _SPARSE > weight.size:
        return _refined(weighted, weight[..., None], coarse)
    known = weight > 0
    coarse[known] = _refined(weighted[known], weight[known][:, None], coarse[known])
    return coarse


def _refined(weighted: Lab, weight: NDArray[np.float32], coarse: Lab) -> Lab:
    share = weight / (weight + 0.05)
    return np.asarray(share * weighted / np.maximum(weight, 1e-6) + (1 - share) * coarse, np.float32)


def _correction(source: Pixels, fill: Pixels, hole: Mask, step: int) -> Lab | None:
    """The correction of the fill in CIELAB on a grid of every ``step`` px; ``None`` where the hole has no rim.

    ``float32 [rows, columns, 3]``; the cells of the last row and column may reach beyond the window.
    """
    inside = hole > 0
    strip = np.ones((2 * _STRIP_PX + 1,) * 2, np.uint8)
    outer = (cv2.dilate(hole, strip) > 0) & ~inside
    if not outer.any():
        return None
    inner = inside & (cv2.erode(hole, strip, borderType=cv2.BORDER_CONSTANT, borderValue=255) == 0)
    around, own = _ring_sums(source, outer, step), _ring_sums(fill, inner, step)
    blurred = [_blurred(sums, _SIGMA_PX / step) for sums in (around, own)]
    known = (own[..., 4] > 0) & (blurred[0][..., 4] > 0.01) & (blurred[1][..., 4] > 0.01)
    if not known.any():
        return None
    means, variance = [], np.zeros(np.count_nonzero(known), np.float32)
    for sums in blurred:
        values = sums[known]
        total = np.maximum(values[:, 4], np.float32(1e-4))
        mean = values[:, :3] / total[:, None]
        variance += np.maximum(values[:, 3] / total - (mean**2).sum(axis=1), 0)
        means.append(mean)
    trust = np.zeros(known.shape, np.float32)
    trust[known] = 1 / (1 + variance / np.float32(_TEXTURE))
    weighted = np.zeros((*known.shape, 3), np.float32)
    weighted[known] = np.clip(means[0] - means[1], -_MOST, _MOST) * trust[known][:, None]
    return spread(weighted, trust)


def _ring_sums(picture: Pixels, ring: NDArray[np.bool_], step: int) -> NDArray[np.float32]:
    """Sums over ``ring`` alone in cells of ``step`` px, for a pixel of a cell: CIELAB, its square, and the weight.

    ``float32 [rows, columns, 5]``
    """
    lab = lab_of(picture[ring][None])[0]
    if step == 1:
        sums = np.zeros((*ring.shape, 5), np.float32)
        sums[ring] = np.column_stack((lab, (lab**2).sum(axis=1), np.ones(len(lab), np.float32)))
        return sums
    rows, columns = np.divmod(np.flatnonzero(ring), ring.shape[1])
    shape = -(-ring.shape[0] // step), -(-ring.shape[1] // step)
    cells, places = rows // step * shape[1] + columns // step, shape[0] * shape[1]
    planes = cv2.split(lab[None])
    weights = [plane.ravel() for plane in (*planes, sum(plane**2 for plane in planes), np.ones(len(lab), np.float32))]
    sums = np.empty((places, len(weights)), np.float32)
    for number, plane in enumerate(weights):
        sums[:, number] = np.bincount(cells, plane, places)
    sums /= step**2
    return sums.reshape(*shape, -1)


def _blurred(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32)


def lab_of(pixels: Pixels) -> Lab:
    """CIELAB (D65) of ``uint8 [h, w, 3]`` sRGB."""
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def _from_lab(lab: Lab) -> Pixels:
    """``float32 [n, 3]`` to ``uint8 [n, 3]``."""
    rgb = cv2.cvtColor(np.ascontiguousarray(lab)[None], cv2.COLOR_Lab2RGB)[0]
    return np.asarray(np.rint(np.clip(rgb, 0, 1) * 255), np.uint8)

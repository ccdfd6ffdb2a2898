"""Making the seam invisible: the fill's low frequencies follow the rim in CIELAB, and flat backgrounds stay flat.

Values are taken as sRGB for the change to CIELAB whatever the picture's profile: only differences across the rim count.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
Lab = NDArray[np.float32]

#: Width of the strips on both sides of the hole's border that are compared, and the reach of their local means.
_STRIP_PX, _SIGMA_PX = 3, 3.0
#: Largest correction in L*, a* and b*: a larger step is an edge of the picture, not a shift of colour.
_MOST = 12.0
#: Variance of the strips (in squares of L*, a*, b*) at which a place of the rim counts half.
_TEXTURE = 40.0
#: Pixels in which the correction is computed; larger windows are reduced first, for it is smooth.
_ENOUGH_PIXELS = 1 << 21
#: Distance in px within which parts of the hole share one rim, and the width of the rim around them.
_GROUP_PX, _RIM_PX = 8, 8
#: Least share of the rim with exactly one colour, for the background to be uniform. Photographs have grain and are not.
_COMMON_SHARE = 0.3
#: If this share of the rim is within this many levels of its median, the part is flat and takes one colour. Else
#: fill within the second number of levels of the common colour takes it.
_FLAT_SHARE, _GRAIN_LEVELS, _NEAR_LEVELS = 0.97, 3, 4
#: JPEG lets a mark ring into a flat rim by up to so many levels; this share of it keeps exactly one colour.
_RINGING_LEVELS, _RINGING_SHARE = 6, 0.5
_MOST_PARTS = 512
#: Less than this share of weighted pixels (1 of so many) are worked on by themselves.
_SPARSE = 8


def rim_matched(source: Pixels, fill: Pixels, hole: Mask) -> Pixels:
    """``fill`` (``uint8 [h, w, 3]``) with its low frequencies inside ``hole`` moved to those around it.

    The local means of a strip on either side of the border are compared in CIELAB, with less weight where there is
    texture; their difference is carried inwards smoothly (push-pull, Gortler et al. 1996) and added.
    """
    scale = min(1.0, float(np.sqrt(_ENOUGH_PIXELS / hole.size)))
    if scale < 1:
        size = max(1, round(hole.shape[1] * scale)), max(1, round(hole.shape[0] * scale))
        small = [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (source, fill)]
        reduced = cv2.resize(hole, size, interpolation=cv2.INTER_NEAREST)
        field = _correction(*(np.asarray(part, np.uint8) for part in (*small, reduced)))
    else:
        field = _correction(source, fill, hole)
    if field is None:
        return fill
    out = fill.copy()
    for top in range(0, hole.shape[0], 512):
        rows = slice(top, top + 512)
        inside = hole[rows] > 0
        if not inside.any():
            continue
        if scale < 1:
            where = np.indices(inside.shape, np.float32)
            y, x = (where[0] + top + 0.5) * scale - 0.5, (where[1] + 0.5) * scale - 0.5
            added = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[inside]
        else:
            added = field[rows][inside]
        out[rows][inside] = _from_lab(lab_of(fill[rows][inside][None])[0] + added)
    return out


def keep_flat(samples: NDArray[Any], fill: NDArray[Any], hole: Mask) -> NDArray[Any]:
    """``fill`` (``[h, w, C]``, any depth) with flat backgrounds of ``samples`` continued exactly.

    If nearly all of the rim around a part has one colour but for fine grain, the part takes it. If much of the rim has
    one colour, fill that is near to it takes it. So a white background stays exactly white.
    """
    grouped = cv2.dilate(hole, np.ones((2 * _GROUP_PX + 1,) * 2, np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(grouped, connectivity=8)
    if count - 1 > _MOST_PARTS:
        return fill
    step = 257 if fill.dtype == np.uint16 else 1
    out = fill.copy()
    for label in range(1, count):
        left, top, width, height = (int(value) for value in boxes[label][:4])
        window = (
            slice(max(top - _RIM_PX, 0), top + height + _RIM_PX),
            slice(max(left - _RIM_PX, 0), left + width + _RIM_PX),
        )
        part = ((labels[window] == label) & (hole[window] > 0)).astype(np.uint8)
        rim = (cv2.dilate(part, np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)) > 0) & (hole[window] == 0)
        if rim.any():
            _flatten(samples[window], out[window], part > 0, rim, step)
    return out


def _flatten(
    samples: NDArray[Any], out: NDArray[Any], part: NDArray[np.bool_], rim: NDArray[np.bool_], step: int
) -> None:
    around = samples[rim]
    middle = np.median(around, axis=0)
    if (np.abs(around - middle) <= _GRAIN_LEVELS * step).all(axis=1).mean() >= _FLAT_SHARE:
        # With so little grain the median is nearer to the truth than any fill.
        common, exactly = _most_common(around)
        out[part] = common if exactly >= _COMMON_SHARE else np.rint(middle)
        return
    common, exactly = _most_common(around)
    if exactly < _COMMON_SHARE:
        return
    near_rim = (np.abs(around.astype(np.int32) - common) <= _RINGING_LEVELS * step).all(axis=1).mean()
    if exactly >= _RINGING_SHARE and near_rim >= _FLAT_SHARE:
        out[part] = common
        return
    inside = out[part]
    inside[(np.abs(inside.astype(np.int32) - common) <= _NEAR_LEVELS * step).all(axis=1)] = common
    out[part] = inside


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


def _correction(source: Pixels, fill: Pixels, hole: Mask) -> Lab | None:
    """The correction of the fill: ``float32 [h, w, 3]`` in CIELAB; ``None`` where the hole has no rim."""
    inside = hole > 0
    strip = np.ones((2 * _STRIP_PX + 1,) * 2, np.uint8)
    outer = (cv2.dilate(hole, strip) > 0) & ~inside
    if not outer.any():
        return None
    inner = inside & (cv2.erode(hole, strip, borderType=cv2.BORDER_CONSTANT, borderValue=255) == 0)
    blurred = [_ring_sums(*pair) for pair in ((source, outer), (fill, inner))]
    known = inner & (blurred[0][..., 4] > 0.01) & (blurred[1][..., 4] > 0.01)
    if not known.any():
        return None
    means, variance = [], np.zeros(np.count_nonzero(known), np.float32)
    for sums in blurred:
        values = sums[known]
        total = np.maximum(values[:, 4], np.float32(1e-4))
        mean = values[:, :3] / total[:, None]
        variance += np.maximum(values[:, 3] / total - (mean**2).sum(axis=1), 0)
        means.append(mean)
    trust = np.zeros(hole.shape, np.float32)
    trust[known] = 1 / (1 + variance / np.float32(_TEXTURE))
    weighted = np.zeros((*hole.shape, 3), np.float32)
    weighted[known] = np.clip(means[0] - means[1], -_MOST, _MOST) * trust[known][:, None]
    return spread(weighted, trust)


def _ring_sums(picture: Pixels, ring: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Local sums over ``ring`` alone, ``float32 [h, w, 5]``: CIELAB, its square, and the weight."""
    sums = np.zeros((*ring.shape, 5), np.float32)
    lab = lab_of(picture[ring][None])[0]
    sums[ring] = np.column_stack((lab, (lab**2).sum(axis=1), np.ones(len(lab), np.float32)))
    return _blurred(sums)


def _blurred(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _SIGMA_PX, borderType=cv2.BORDER_CONSTANT), np.float32)


def lab_of(pixels: Pixels) -> Lab:
    """CIELAB (D65) of ``uint8 [h, w, 3]`` sRGB."""
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def _from_lab(lab: Lab) -> Pixels:
    """``float32 [n, 3]`` to ``uint8 [n, 3]``."""
    rgb = cv2.cvtColor(np.ascontiguousarray(lab)[None], cv2.COLOR_Lab2RGB)[0]
    return np.asarray(np.rint(np.clip(rgb, 0, 1) * 255), np.uint8)

"""The first mask of the mark: the shared gradients of the samples, gated and integrated.

Gradients that are not significant count as none, so that noise and texture do not leak into the surface (Dekel et al.,
"On the Effectiveness of Visible Watermarks", CVPR 2017, section 3.1, takes all of them). Two surfaces are integrated:
colour, and the logarithm of the samples' spread, which a mark lowers whatever its colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.fields import Sum, significant, strength_map
from model.watermark.poisson import integrate

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Thresholds of the shared gradients and of the edge energy: to begin an edge, and to continue it.
HIGH_Z, LOW_Z = 6.0, 3.3
_HIGH_ENERGY, _LOW_ENERGY = 9.0, 4.5
#: Least number of pixels over the higher threshold in a connected edge.
_LEAST = 3
#: Pixels whose samples are held at once for medians.
_STRIP_PX = 1 << 16
#: A value above every difference of two levels.
_UNKNOWN = np.int16(1 << 14)


def edges(total: Sum) -> Mask:
    """Pixels at which the samples share an edge: ``bool [H, W]``."""
    shared = significant(strength_map(total.z()), HIGH_Z, LOW_Z, _LEAST)
    energy = total.energy_z()
    if total.count >= 16:
        energy = np.asarray(cv2.GaussianBlur(energy, (0, 0), 0.8), np.float32)
        shared |= significant(energy, _HIGH_ENERGY, _LOW_ENERGY, 2 * _LEAST)
    return shared


def rough_mask(windows: Pixels, edge: Mask, weights: Values) -> Mask:
    """A mask that contains the whole mark and little more: ``bool [h, w]``.

    ``windows``: ``uint8 [N, h, w, 3]``, aligned; ``weights``: ``float32 [N]``, 0 leaves a sample out.
    """
    used = np.flatnonzero(weights > 0)
    median, spread = _median_steps(windows, used), _spread(windows, used)
    surfaces = [median[channel] for channel in range(3)]
    surfaces.append(
        np.stack([np.diff(spread, axis=1, append=spread[:, -1:]), np.diff(spread, axis=0, append=spread[-1:])])
    )
    return enclosed(surfaces, edge)


def enclosed(surfaces: Sequence[Values], edge: Mask) -> Mask:
    """The edges and what they enclose, by the steps of some surfaces (``float32 [2, h, w]``): ``bool [h, w]``."""
    gate = edge.astype(np.float32)
    gate_x, gate_y = np.maximum(gate[:, :-1], gate[:, 1:]), np.maximum(gate[:-1], gate[1:])
    inside = np.zeros(edge.shape, np.bool_)
    for steps in surfaces:
        gated = steps.copy()
        gated[0, :, :-1] *= gate_x
        gated[1, :-1] *= gate_y
        surface = integrate(gated)
        level = _outer_level(surface, edge)
        surface -= level
        # Half of the height of the surface beside its edges.
        near = cv2.dilate(edge.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if not near.any():
            continue
        high = float(np.percentile(np.abs(surface[near]), 85))
        if high > 0:
            inside |= _bounded(np.abs(surface) > 0.5 * high, edge)
    return inside | edge


def _outer_level(surface: Values, edge: Mask) -> float:
    far = np.asarray(cv2.dilate(edge.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0, np.bool_)
    border = np.zeros(edge.shape, np.bool_)
    border[:3] = border[-3:] = border[:, :3] = border[:, -3:] = True
    where = np.logical_and(far, border)
    if not far.any():
        return 0.0
    return float(np.median(surface[where if where.any() else far]))


def _bounded(inside: Mask, edge: Mask) -> Mask:
    """The parts of ``inside`` that an edge mostly encloses; open areas are drift of the integral."""
    count, labels = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)
    near = cv2.dilate(edge.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    eroded = np.asarray(cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0), np.uint8)
    rim = inside & (eroded == 0)
    total = np.bincount(labels[rim], minlength=count)
    bound = np.bincount(labels[rim & near], minlength=count)
    kept = bound >= 0.7 * np.maximum(total, 1)
    kept[0] = False
    return np.asarray(kept[labels])


def _median_steps(windows: Pixels, used: NDArray[np.intp]) -> Values:
    """The median over the samples of each colour's forward differences: ``float32 [3, 2, h, w]``.

    Samples in which both pixels are saturated give no information and are left out.
    """
    height, width = windows.shape[1:3]
    out = np.zeros((3, 2, height, width), np.float32)
    rows = max(1, _STRIP_PX // max(width, 1) * 64 // max(len(used), 1))
    for top in range(0, height, rows):
        part = windows[used, top : min(top + rows + 1, height)].astype(np.int16)
        blown = np.asarray((part > 250).all(axis=3), np.bool_)
        kept = min(rows, height - top)
        for axis, step in ((0, np.diff(part, axis=2)), (1, np.diff(part, axis=1))):
            both = blown[:, :, 1:] & blown[:, :, :-1] if axis == 0 else blown[:, 1:] & blown[:, :-1]
            step[both] = _UNKNOWN
            middle = _median(step, len(used) - both.sum(axis=0))
            tall, wide = min(kept, middle.shape[0]), middle.shape[1]
            out[:, axis, top : top + tall, :wide] = middle[:tall].transpose(2, 0, 1)
    return out


def _median(steps: NDArray[np.int16], known: NDArray[np.intp]) -> Values:
    """The median of the known values over the first axis of ``[N, h, w, 3]``; ``known`` is their number, 0: none."""
    # Contiguous samples of integers sort several times faster. Unknown values come last.
    ordered = np.sort(np.ascontiguousarray(steps.transpose(1, 2, 3, 0)), axis=3)
    low, high = (np.maximum(known - 1, 0) // 2, np.minimum(known // 2, np.maximum(known - 1, 0)))
    both = [np.take_along_axis(ordered, at[..., None, None], 3)[..., 0].astype(np.float32) for at in (low, high)]
    return np.asarray(np.where(known[..., None] > 0, (both[0] + both[1]) / 2, 0), np.float32)


def _spread(windows: Pixels, used: NDArray[np.intp]) -> Values:
    """The logarithm of the samples' standard deviation, over the colours together: ``float32 [h, w]``."""
    total = np.zeros(windows.shape[1:3], np.float32)
    colour = np.zeros(windows.shape[1:], np.float32)
    square = np.zeros(windows.shape[1:], np.float32)
    for index in used:
        values = windows[index].astype(np.float32)
        informative = ~(values > 250).all(axis=2)
        total += informative
        colour += values * informative[..., None]
        square += values**2 * informative[..., None]
    count = np.maximum(total, 1)[..., None]
    variance = (square / count - (colour / count) ** 2).mean(axis=2)
    return np.asarray(0.5 * np.log(np.maximum(variance, 9.0)), np.float32)

"""Recovers the picture under a translucent mark.

Un-blending is exact but for noise, which grows as 1 / (1 - a); a fill is free of the mark but invented. Each pixel
combines both by their expected errors: the most likely picture under Gaussian noise of the un-blended values and
Gaussian errors of the fill's gradients, continuous with the surroundings of the mark. That is one sparse linear system,
solved by conjugate gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.flat import flat_ground
from model.watermark.poisson import laplacian, planes, solved
from model.watermark.sighting import Sighting

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Width of the surroundings of the mark in a window, in px.
_CONTEXT = 12
#: Opacity above which nothing can be recovered, and above which a fill is worth its time.
OPAQUE, WORTH_FILL = 0.97, 0.6
#: A mark with less opacity than this changes no level of 255.
FAINT = 0.004
_ROUNDS = 60
#: Share of the ring near a pixel that must be flat where not all of it is, and the most errors that a value may differ
#: from the ground there.
_NEARLY_ALL, _MOST_DOUBT = 0.9, 4.0
#: Blur of the ground that a mark's steps are told over, in px.
_SMOOTH = 3.0
#: Trust in the fill's gradients: its details are likely, but seldom the real ones.
_FILL_SHARE = 0.5
#: Around a part of the mark: a gap for its soft rim, then a ring, in px. Least pixels of a ring; largest spread of a
#: flat one, and the error of its colour, in levels.
_GAP, _RING, _LEAST_RING, _FLAT, _GROUND_ERROR = 2, 6, 24, 3.0, 0.5
#: Error of the template's opacity that is added to the estimated one, and of its place, in px: JPEG's coarser colours
#: and sizes of whole pixels move edges within the mark.
_ALPHA_ERROR, _PLACE_ERROR = 0.008, 0.15


@dataclass(frozen=True)
class Recovery:
    """The result of un-blending, in a window around the mark."""

    #: The window in the picture.
    view: tuple[slice, slice]
    #: ``float32 [h, w, 3]``: the marked pixels, and the un-blended values with their standard error ``[h, w]``.
    given: Values
    value: Values
    error: Values
    alpha: Values
    colour: Values
    #: Error of the values where the mark's edges lie elsewhere than thought, in levels: ``[h, w]``.
    place_error: Values

    @property
    def hole(self) -> Mask:
        """``bool [h, w]``: the pixels that may change."""
        return self.alpha > FAINT

    @property
    def wants_fill(self) -> bool:
        """Whether the network's fill would improve the un-blended values."""
        return bool(((self.alpha > WORTH_FILL) & (self.error > _GROUND_ERROR)).any())


def distrusted(recovery: Recovery, factor: float) -> Recovery:
    """The recovery with less trust in its values: their errors are ``factor`` times as large."""
    return replace(recovery, error=recovery.error * np.float32(factor))


def _through(given: Values, alpha: Values, colour: Values) -> Values:
    """``given`` un-blended, where it holds information."""
    through = np.maximum(1 - alpha, 1 - OPAQUE)[..., None]
    value = np.clip((given - alpha[..., None] * colour) / through, 0, 255)
    # White under a white mark is white already: it needs no change.
    same = (given > 252).all(axis=2) & (colour > 245).all(axis=2)
    value[same] = given[same]
    return np.asarray(value, np.float32)


def unblend(pixels: Pixels, sighting: Sighting, *, noise: float, alpha_error: float) -> Recovery:
    """Un-blend the mark in ``pixels`` (``uint8 [H, W, 3]``).

    ``noise``: error of the picture's coding, in levels; ``alpha_error``: error of the template's opacity.
    """
    rows, columns = sighting.view
    view = (
        slice(max(rows.start - _CONTEXT, 0), min(rows.stop + _CONTEXT, pixels.shape[0])),
        slice(max(columns.start - _CONTEXT, 0), min(columns.stop + _CONTEXT, pixels.shape[1])),
    )
    given = pixels[view].astype(np.float32)
    alpha, colour = np.zeros(given.shape[:2], np.float32), np.zeros(given.shape, np.float32)
    inner = (
        slice(rows.start - view[0].start, rows.stop - view[0].start),
        slice(columns.start - view[1].start, columns.stop - view[1].start),
    )
    alpha[inner], colour[inner] = sighting.alpha, sighting.colour
    value = _through(given, alpha, colour)
    through = np.maximum(1 - alpha, 1 - OPAQUE)
    wrong = np.hypot(alpha_error, _ALPHA_ERROR) * (alpha > FAINT) * np.abs(colour - value).max(axis=2)
    error = np.hypot(noise, wrong) / through
    error[alpha >= OPAQUE] = 1e4
    moved = _moved(value, alpha, colour)
    # Sizes of whole pixels soften the edges of a mark that was scaled. In the weight of the details of other marks,
    # the error of their place costs texts up to 2 dB.
    if sighting.rule.factor(*pixels.shape[:2]) != 1:
        error = np.hypot(error, moved)
    return Recovery(view, given, value, np.asarray(error, np.float32), alpha, colour, moved)


def _moved(value: Values, alpha: Values, colour: Values) -> Values:
    """Error of the un-blended values where the mark's edges lie elsewhere than thought, in levels: ``[h, w]``."""
    added = alpha[..., None] * (colour - cv2.GaussianBlur(value, (0, 0), _SMOOTH))
    steps = [np.abs(np.gradient(added, axis=axis)).max(axis=2) for axis in (0, 1)]
    return np.asarray(_PLACE_ERROR * np.maximum(*steps) / np.maximum(1 - alpha, 1 - OPAQUE), np.float32)


def grounded(recovery: Recovery, *, doubt: float = 3.0) -> Recovery:
    """The recovery with the ground's colour where the mark lies on a flat one, as on a catalogue's white.

    A part of the mark lies on flat ground if the ring around it is flat. A pixel takes the ring's colour if its
    un-blended value is within ``doubt`` errors of it; else there is something under the mark.
    """
    parts, labels = cv2.connectedComponents(_wider(recovery.hole, _GAP).astype(np.uint8), connectivity=8)
    value, error = recovery.value.copy(), recovery.error.copy()
    # An edge that is moved may still be the ground's.
    margin = np.hypot(error, recovery.place_error)
    outside = ~recovery.hole
    for part in range(1, parts):
        own = labels == part
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        box = (
            slice(max(int(rows[0]) - _RING, 0), int(rows[-1]) + 1 + _RING),
            slice(max(int(columns[0]) - _RING, 0), int(columns[-1]) + 1 + _RING),
        )
        inner = own[box]
        free = outside[box] & (labels[box] == 0)
        found = _ground(recovery.given[box][_wider(inner, _RING) & free], recovery.given[box], inner, free)
        if found is None:
            continue
        ground, sure = found
        # Only a ring that is flat all around needs no proof.
        trusted = doubt if sure.all() else min(doubt, _MOST_DOUBT)
        apart = np.abs(value[box] - ground).max(axis=2)
        same = inner & recovery.hole[box] & sure & (apart <= trusted * margin[box] + _FLAT)
        value[box][same], error[box][same] = ground[same], _GROUND_ERROR
    return replace(recovery, value=value, error=error)


def _ground(ring: Values, given: Values, part: Mask, outside: Mask) -> tuple[Values, Mask] | None:
    """The flat ground of ``part`` (``float32 [h, w, 3]``), and where it holds (``bool [h, w]``).

    ``None``: the ring is not flat. ``ring``: ``float32 [N, 3]``, the pixels around the part in the window ``given``;
    ``outside``: pixels of no part.
    """
    if len(ring) < _LEAST_RING:
        return None
    middle = np.median(ring, axis=0).astype(np.float32)
    apart = float(np.abs(np.quantile(ring, (0.02, 0.98), axis=0) - middle).max())
    if float(ring.std(axis=0).max()) <= _FLAT and apart <= 3 * _FLAT:
        return np.broadcast_to(middle, given.shape), np.ones(part.shape, np.bool_)
    found = flat_ground(given.astype(np.uint8), np.where(part, np.uint8(255), np.uint8(0)), ~outside & ~part)
    return None if found is None else (found.levels, found.share >= _NEARLY_ALL)


def _wider(mask: Mask, px: int) -> Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * px + 1, 2 * px + 1), np.uint8)) > 0)


def fused(recovery: Recovery, fill: Values | None) -> Values:
    """The most likely picture in the window: ``float32 [h, w, 3]``; outside the hole the marked pixels stay.

    ``fill``: the network's fill of the same window; without it, the surroundings are continued.
    """
    hole = recovery.hole
    inside = hole[..., None]
    right, down = _couplings(recovery.given, hole)
    data = np.asarray(hole / np.square(recovery.error), np.float32)
    target = data * planes(recovery.value)
    if fill is None:
        first = np.where(inside, recovery.value, recovery.given)
    else:
        trust = 1 / (1 + np.square(recovery.error / 12))[..., None]
        first = np.where(inside, trust * recovery.value + (1 - trust) * fill, recovery.given)
        target += _FILL_SHARE * laplacian(planes(np.where(inside, fill, recovery.given)), right, down)
    result = solved(planes(first), target, data=data, couplings=(right, down), inside=hole, rounds=_ROUNDS)
    clean = np.clip(result, 0, 255).transpose(1, 2, 0)
    return np.asarray(np.where(inside, clean, recovery.given), np.float32)


def _couplings(given: Values, hole: Mask) -> tuple[Values, Values]:
    """Weights of the differences to the right and down: one over the local variance of gradients."""
    near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    grey = given.mean(axis=2)
    known = near.astype(np.float32)
    steps = np.square(np.diff(grey, axis=1, append=grey[:, -1:])) + np.square(np.diff(grey, axis=0, append=grey[-1:]))
    # Square roots first: a single edge must not make its surroundings count as textured.
    size = np.minimum(np.sqrt(steps / 2), 40) * known
    side = 31
    total = cv2.boxFilter(known, -1, (side, side))
    mean = cv2.boxFilter(size, -1, (side, side)) / np.maximum(total, 1e-3)
    whole = float(size.sum() / max(float(known.sum()), 1))
    local = np.where(total > 0.02, mean, whole)
    weight = (1 / np.square(1.25 * local + 0.7)).astype(np.float32)
    right, down = weight.copy(), weight.copy()
    right[:, -1:], down[-1:] = 0, 0
    return right, down

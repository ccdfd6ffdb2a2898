"""Where a mark lies in a picture, to a part of a pixel.

A mark that is taken off a part of a pixel beside its place, or a little too large or too small, leaves a relief along
its edges: to first order its own slopes. Their share in the picture's edges tells the place (Lucas and Kanade, "An
iterative image registration technique", 1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.cells import extent
from model.watermark.strength import steps

Values = NDArray[np.float32]
#: ``float64 [4]``.
Errors = NDArray[np.float64]

#: Most rounds, and the most that a round moves a mark, in px.
_ROUNDS, _FARTHEST = 4, 0.6
#: A move counts from this many of its standard errors, and from this many px.
_SURE, _LEAST = 3.0, 0.04
#: Least share of the picture's edges that the first move explains: marks that lie in place have edges of goods under
#: them that reach .12 (bench/catalogue.py), marks between pixels .2 to .7.
_LEAST_SHARE = 0.13
#: Farthest that a mark lies from where it is found, in px.
_REACH = 2.0
#: Likely values of a place.
_LIKELY = np.array((0.5, 0.5, 0.3, 0.3))
#: Opacity from which a pixel belongs to the mark.
_MARK = 0.02
#: Most opacity through which pixels tell a place.
_THROUGH = 0.9
#: Blur of the ground that the mark's edges are told over, in px.
_GROUND = 6.0
#: Least number of edge pixels, and share of the strongest edge's energy from which they count.
_LEAST_EDGES, _SHARE = 12, 0.05
#: Noise of a step in levels squared; neighbouring steps that carry the information of one.
_NOISE, _ALIKE = 4.0, 12


@dataclass(frozen=True)
class Place:
    """The place of a mark beside the expected one, in px."""

    #: How much lower and further right its middle lies.
    down: float = 0.0
    across: float = 0.0
    #: How much farther from its middle its upper and lower, and its left and right rim lie.
    taller: float = 0.0
    wider: float = 0.0

    def growths(self, alpha: Values) -> tuple[float, float]:
        """The factors on the height and the width of the mark of ``alpha``."""
        (_, high), (_, wide) = _extents(alpha)
        return 1 + self.taller / high, 1 + self.wider / wide

    def starts(self, alpha: Values) -> tuple[float, float]:
        """By how much the array ``alpha`` begins lower and further right."""
        middles = (middle for middle, _ in _extents(alpha))
        down, across = (
            move + (middle + 0.5) * (1 - growth)
            for move, middle, growth in zip((self.down, self.across), middles, self.growths(alpha), strict=True)
        )
        return down, across

    def laid(self, alpha: Values, *planes: Values) -> list[Values]:
        """``alpha`` (``float32 [h, w]``) and further ``planes`` of a mark, moved to this place."""
        down, across = self.growths(alpha)
        top, left = self.starts(alpha)
        # Pixels have their middles at whole numbers here, and at halves in ``starts``.
        step = np.array(((across, 0, left + (across - 1) / 2), (0, down, top + (down - 1) / 2)), np.float32)
        size = alpha.shape[1], alpha.shape[0]
        return [
            np.asarray(
                cv2.warpAffine(one, step, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32
            )
            for one in (alpha, *planes)
        ]

    @property
    def values(self) -> Errors:
        """The four of them: ``[4]``."""
        return np.array((self.down, self.across, self.taller, self.wider))


def place_of(given: Values, alpha: Values, colour: Values) -> Place:
    """The place of the mark of ``alpha`` (``float32 [h, w]``) and ``colour`` in ``given`` (``[h, w, 3]``).

    An opaque mark stays: nothing shows through it that could tell.
    """
    there = alpha[alpha > _MARK]
    if not there.size or np.quantile(there, 0.75) > _THROUGH:
        return Place()
    place, before = np.zeros(4), np.zeros(4)
    for number in range(_ROUNDS):
        moved_alpha, moved_colour = Place(*place).laid(alpha, colour)
        found, error, share = _told(given, np.clip(moved_alpha, 0, 1), np.clip(moved_colour, 0, 255), place)
        if number == 0 and share < _LEAST_SHARE:
            return Place()
        sure = (np.abs(found) > _SURE * error) & (np.abs(found) > _LEAST)
        # Further moves overshoot where lines are thin: they are halved.
        step = np.clip(found - place, -_FARTHEST, _FARTHEST) / (1 if number == 0 else 2)
        place = np.where(sure, place + step, 0.0)
        if np.abs(place).max() > _REACH:
            return Place()
        if np.abs(place - before).max() < _LEAST / 4:
            break
        before = place
    return Place(*(float(value) for value in place))


def _told(given: Values, alpha: Values, colour: Values, place: Errors) -> tuple[Errors, Errors, float]:
    """The values of a :class:`Place`, and their standard errors, from a mark that was laid at ``place``.

    The last value is the share of the picture's edges there that the move explains.
    """
    through = np.maximum(1 - alpha, 1 - _THROUGH)[..., None]
    clean = np.asarray(np.clip((given - alpha[..., None] * colour) / through, 0, 255), np.float32)
    height = (colour - cv2.GaussianBlur(clean, (0, 0), _GROUND)) / through
    slopes = [-np.gradient(alpha, axis=axis) for axis in (0, 1)]
    (top, high), (left, wide) = _extents(alpha)
    rows, columns = (np.arange(side, dtype=np.float32) for side in alpha.shape)
    slopes += [slopes[0] * ((rows - top) / high)[:, None], slopes[1] * (columns - left) / wide]
    patterns = np.stack([steps(np.asarray(slope[..., None] * height, np.float32)) for slope in slopes])
    energy = np.square(patterns[:2]).sum(axis=(0, 1))
    where = (energy > _SHARE * float(energy.max() or 1)) & (alpha < _THROUGH)
    if where.sum() < _LEAST_EDGES:
        return place, np.full(4, np.inf), 0.0
    edges = steps(clean)
    texture = cv2.blur(np.square(edges).mean(axis=0), (9, 9))[where]
    expected, seen = patterns[..., where], edges[:, where]
    known = np.diag(_ALIKE / np.square(_LIKELY))
    weight, rest = 1 / (texture + _NOISE), np.zeros_like(texture)
    for _ in range(_ROUNDS):
        weighted = expected * weight
        square = np.einsum("kcn,lcn->kl", weighted, expected) + known
        inverse = np.linalg.inv(square.astype(np.float64))
        both = np.einsum("kcn,cn->k", weighted, seen)
        step = inverse @ (both - known @ place)
        rest = np.square(seen - np.einsum("k,kcn->cn", step.astype(np.float32), expected)).mean(axis=0)
        weight = 1 / (texture + _NOISE + rest)
    spread = np.einsum("kcn,lcn,n->kl", weighted, weighted, rest) + known
    share = float(step @ both) / max(float((np.square(seen) * weight).sum()), 1e-6)
    return place + step, np.sqrt(_ALIKE * np.diag(inverse @ spread @ inverse)), share


def _extents(alpha: Values) -> tuple[tuple[float, float], tuple[float, float]]:
    """The middle of the mark and its distance to the rim, along rows and columns, in px."""
    left, top, wide, tall = extent(np.where(alpha > _MARK, np.uint8(1), np.uint8(0)))
    rows, columns = ((start + (size - 1) / 2, max((size - 1) / 2, 1.0)) for start, size in ((top, tall), (left, wide)))
    return rows, columns

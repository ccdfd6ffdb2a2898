"""More of a mark beside its template: where the samples could not have shown it, and whether a picture shows it.

A white mark's end lies on white in catalogues of figures on white paper. Its template ends where the pictures end that
showed it. Close views of goods carry the rest, which their removal would leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.sighting import Sighting
from model.watermark.template import SIDES, Margins, Side

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Change by the mark, in levels, from which a picture could show it, and the share of a strip that must show it.
_VISIBLE, _SHOWN = 12.0, 0.5
#: Least pictures, look-alikes as one, that have to be able to show a part: :mod:`model.watermark.lacking` needs two.
_LEAST = 2
#: Least depth of a strip, in px.
_NARROWEST = 8
#: Distance over which steps are taken, in px: JPEG and scaling soften edges.
_LAG = 3
#: A step is the mark's within this share of its opacity, and with as large a share of it in other colours.
_TOLERANCE, _OTHER = 0.2, 0.25
#: Least steps of the mark's beside the template, in heights of the template. They have to be at least as frequent as
#: these shares of those in the mark: among all pixels, and among steps. No more than these shares of both lie around
#: them. A mark that is told by a smaller share of the steps in it tells nothing of others
#: (bench/catalogue.py, draws 3 and 4, with ends cut off, and with all four sides declared unseen).
_LENGTH, _FREQUENT, _PURE, _AROUND, _TOLD = 2.0, 0.25, 0.5, 0.3, 0.15
#: Rim of the template that belongs to the mark, in px.
_RIM = 3


@dataclass(frozen=True)
class _Steps:
    """Numbers of a region: its steps of the mark's, further ones that are as strong, and pixels that could show it."""

    own: float
    other: float
    pixels: float

    @property
    def density(self) -> float:
        return self.own / max(self.pixels, 1.0)

    @property
    def share(self) -> float:
        return self.own / max(self.own + self.other, 1.0)


def could_show(
    shown: Iterable[Sequence[Values]], alpha: Values, colour: Values, context: tuple[int, int], reach: Sequence[int]
) -> dict[Side, int]:
    """The number of pictures, look-alikes as one, that could show more of the mark, for each side where they are few.

    ``shown``: groups of look-alikes, their windows without the mark (``float32 [h, w, 3]``); ``alpha`` and ``colour``:
    the template over a window, with ``context`` (rows, columns) around it, of which the pictures have ``reach``.
    """
    level, tint = _look(alpha, colour)
    (down, high), (across, wide) = (
        (around, side - 2 * around) for side, around in zip(alpha.shape, context, strict=True)
    )
    deep = [min(one, high, wide) for one in reach]
    rows, columns = slice(down, down + high), slice(across, across + wide)
    strips = (
        (slice(down - deep[0], down), columns),
        (rows, slice(across - deep[1], across)),
        (slice(down + high, down + high + deep[2]), columns),
        (rows, slice(across + wide, across + wide + deep[3])),
    )
    counts = [0, 0, 0, 0]
    for group in shown:
        for side, strip in enumerate(strips):
            counts[side] += any(_is_visible(tint - one[strip], level) for one in group)
    return {
        side: count for side, count, px in zip(SIDES, counts, deep, strict=True) if px >= _NARROWEST and count < _LEAST
    }


def _is_visible(apart: Values, level: float) -> bool:
    """Whether most of a strip lies so far from the mark's colour that the mark would show on it."""
    return bool((np.linalg.norm(apart, axis=2) * level > _VISIBLE).mean() > _SHOWN) if apart.size else False


def goes_on(pixels: Pixels, sighting: Sighting, unseen: Margins) -> bool:
    """Whether ``pixels`` (``uint8 [H, W, 3]``) show more of the mark within ``unseen`` px of the template's sides."""
    if not any(unseen) or not (sighting.alpha > 0).any():
        return False
    factor = sighting.rule.factor(*pixels.shape[:2])
    up, before, down, after = (round(one * factor) for one in unseen)
    rows, columns = sighting.view
    high = rows.stop - rows.start
    level, tint = _look(sighting.alpha, sighting.colour)
    zone = slice(max(rows.start - up, 0), rows.stop + down), slice(max(columns.start - before, 0), columns.stop + after)
    view = (
        slice(max(zone[0].start - high, 0), zone[0].stop + high),
        slice(max(zone[1].start - high, 0), zone[1].stop + high),
    )
    part = pixels[view].astype(np.float32)
    inner, wider = _within(sighting.view, view), _within(zone, view)
    own, beside = np.zeros(part.shape[:2], np.bool_), np.zeros(part.shape[:2], np.bool_)
    rim = np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8)
    own[inner] = cv2.dilate((sighting.alpha > 0.02).astype(np.uint8), rim) > 0
    beside[wider] = True
    elsewhere = ~beside
    beside[inner] = False
    planes = _steps(part, tint, level)
    mark, more, rest = (
        _Steps(*(float(plane[region].sum()) for plane in planes)) for region in (own, beside, elsewhere)
    )
    return bool(
        mark.share > _TOLD
        and more.own > _LENGTH * high
        and more.density > _FREQUENT * mark.density
        and more.share > _PURE * mark.share
        and rest.density < _AROUND * more.density
    )


def _within(box: tuple[slice, slice], view: tuple[slice, slice]) -> tuple[slice, slice]:
    """The slices of ``box`` in ``view``."""
    rows, columns = (
        slice(one.start - whole.start, one.stop - whole.start) for one, whole in zip(box, view, strict=True)
    )
    return rows, columns


def _look(alpha: Values, colour: Values) -> tuple[float, Values]:
    """The opacity that most of a mark reaches, and its colour there."""
    level = float(np.percentile(alpha[alpha > 0.05], 75)) if (alpha > 0.05).any() else float(alpha.max())
    return level, np.asarray(np.median(colour[alpha >= 0.7 * level], axis=0), np.float32)


def _steps(picture: Values, tint: Values, level: float) -> tuple[Values, Values, Values]:
    """At each pixel, the steps of a mark of this colour and opacity, others as strong, and those that could be its."""
    own, other, able = (np.zeros(picture.shape[:2], np.float32) for _ in range(3))
    far = np.linalg.norm(tint - picture, axis=2)
    for view, ahead in (
        ((slice(None, -_LAG), slice(None)), (slice(_LAG, None), slice(None))),
        ((slice(None), slice(None, -_LAG)), (slice(None), slice(_LAG, None))),
    ):
        # The ground is what lies farther from the mark's colour.
        turned = far[view] < far[ahead]
        ground = np.where(turned[..., None], picture[ahead], picture[view])
        step = np.where(turned, -1, 1)[..., None] * (picture[ahead] - picture[view])
        distance = np.maximum(np.maximum(far[view], far[ahead]), 1)
        along = (step * (tint - ground)).sum(axis=2) / np.square(distance)
        across = np.linalg.norm(step - along[..., None] * (tint - ground), axis=2)
        height = level * distance
        could = height > _VISIBLE
        same = could & (across < np.maximum(_OTHER * height, _VISIBLE / 2))
        same &= np.abs(along - level) < _TOLERANCE * level
        own[view] += same
        other[view] += could & ~same & (along > 0.3 * level)
        able[view] += could
    return own, other, able

"""Removes a known mark from a picture: un-blended, fused with a fill, or filled.

Two steps, so that the device works only where it helps: :func:`prepare` finds the mark and decides whether a fill is
needed; :func:`finish` takes the fill, or none, and judges the outcome by its ghost score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from model.repair.hole import dilate
from model.watermark.ghost import Ghost, ghost_of
from model.watermark.recover import Recovery, distrusted, fused, unblend
from model.watermark.sighting import Sighting, look
from model.watermark.template import Template

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.uint8]
#: The network: maps a picture and a hole (``uint8 [H, W]``, 255 = fill) to the picture with the hole filled.
Fill = Callable[[Pixels, Mask], Pixels]

#: Factors on the errors of the un-blended values, tried in turn while a ghost is visible.
_DOUBTS = (1.0, 2.0, 4.0, 8.0)


class Method(Enum):
    """The way in which a mark was removed."""

    #: All pixels were recovered by un-blending.
    UNBLENDED = "unblended"
    #: Some pixels were recovered, some were filled.
    FUSED = "fused"
    #: All pixels were filled.
    INPAINTED = "inpainted"


@dataclass(frozen=True)
class PreparedMark:
    """A mark in a picture, un-blended, before any fill."""

    pixels: Pixels
    sighting: Sighting
    recovery: Recovery
    #: The window after un-blending alone: ``float32 [h, w, 3]``; and its ghost.
    plain: Values
    remains: Ghost

    @property
    def ghost(self) -> float:
        """The ghost score of ``plain``."""
        return self.remains.score

    @property
    def wants_fill(self) -> bool:
        """Whether a fill is needed: the mark is dense, or a ghost of it is visible after un-blending."""
        return self.recovery.wants_fill or self.remains.shows

    @property
    def hole(self) -> Mask:
        """The hole for the fill: ``uint8 [H, W]``."""
        hole = np.zeros(self.pixels.shape[:2], np.uint8)
        hole[self.recovery.view][self.sighting_mask] = 255
        return dilate(hole, 2)

    @property
    def sighting_mask(self) -> NDArray[np.bool_]:
        return self.recovery.alpha > 0.02


@dataclass(frozen=True)
class Removal:
    """The outcome."""

    #: ``uint8 [H, W, 3]``, equal to the marked picture outside ``changed``.
    pixels: Pixels
    #: ``uint8 [H, W]``: 255 where pixels may differ.
    changed: Mask
    method: Method
    ghost: float
    #: Whether the mark is still visible.
    residual: bool
    strength: float
    shift: tuple[int, int]


def prepare(pixels: Pixels, template: Template, *, noise: float) -> PreparedMark | None:
    """The mark in ``pixels`` (``uint8 [H, W, 3]``), un-blended; ``None`` if the picture does not carry it."""
    sighting = look(pixels, template)
    if sighting is None:
        return None
    recovery = unblend(pixels, sighting, noise=noise, alpha_error=template.quality.error)
    plain = fused(recovery, None)
    return PreparedMark(pixels, sighting, recovery, plain, ghost_of(plain, recovery.alpha, recovery.colour))


def finish(prepared: PreparedMark, filled: Pixels | None) -> Removal:
    """``filled``: the picture with ``found.hole`` filled, or ``None`` without a fill."""
    recovery, window, ghost, method = prepared.recovery, prepared.plain, prepared.remains, Method.UNBLENDED
    changed = prepared.recovery.hole
    if filled is not None:
        fill, method = filled[recovery.view].astype(np.float32), Method.FUSED
        # While a ghost is visible, the un-blended values lose weight against the fill step by step: even there they are
        # mostly closer to the original than the network's fill.
        for doubt in _DOUBTS:
            window = fused(distrusted(recovery, doubt), fill)
            ghost = ghost_of(window, recovery.alpha, recovery.colour)
            if not ghost.shows:
                break
        else:
            other = ghost_of(fill, recovery.alpha, recovery.colour)
            if abs(other.score) < abs(ghost.score):
                window, ghost, method = fill, other, Method.INPAINTED
                changed = prepared.hole[recovery.view] > 0
    result = prepared.pixels.copy()
    part = result[recovery.view]
    part[changed] = np.rint(window[changed]).astype(np.uint8)
    where = np.zeros(prepared.pixels.shape[:2], np.uint8)
    where[recovery.view][changed] = 255
    sighting = prepared.sighting
    return Removal(result, where, method, ghost.score, ghost.shows, sighting.strength, sighting.shift)


def remove(pixels: Pixels, template: Template, *, noise: float, fill: Fill | None = None) -> Removal | None:
    """Run both steps; ``None`` if the picture does not carry the mark."""
    prepared = prepare(pixels, template, noise=noise)
    if prepared is None:
        return None
    return finish(prepared, fill(pixels, prepared.hole) if fill is not None and prepared.wants_fill else None)

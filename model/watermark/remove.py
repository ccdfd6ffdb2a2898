"""Removes a known mark from a picture: un-blended, fused with a fill, or filled.

Two steps, so that the device works only where it helps: :func:`prepare` finds the mark and decides whether a fill is
needed; :func:`finish` takes the fill, or none, and judges the outcome by its ghost score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.hole import dilate
from model.watermark.beyond import goes_on
from model.watermark.ghost import Ghost, ghost_and_relief, step_of
from model.watermark.recover import Recovery, distrusted, fused, grounded, unblend
from model.watermark.sighting import Sighting, look
from model.watermark.template import Template

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.uint8]
#: The network: maps a picture and a hole (``uint8 [H, W]``, 255 = fill) to the picture with the hole filled.
Fill = Callable[[Pixels, Mask], Pixels]

#: Factors on the errors of the un-blended values, tried in turn while a ghost is visible.
_DOUBTS = (1.0, 2.0, 4.0, 8.0)
#: Factors on the strength that are tried before, where un-blending alone leaves a ghost.
_STRENGTHS = (0.98, 1.02)
#: Radius of Telea's method, in px.
_TELEA_PX = 3


class Method(Enum):
    """The way in which a mark was removed."""

    #: All pixels were recovered by un-blending.
    UNBLENDED = "unblended"
    #: Some pixels were recovered, some were filled.
    FUSED = "fused"
    #: All pixels were filled.
    INPAINTED = "inpainted"
    #: No way left less of the mark than the picture shows: it stays unchanged.
    UNREMOVED = "unremoved"


@dataclass(frozen=True)
class Outcome:
    """One way to remove a mark: the window after it (``float32 [h, w, 3]``), and what remains of the mark."""

    window: Values
    #: ``bool [h, w]``: pixels that may differ.
    changed: NDArray[np.bool_]
    method: Method
    #: The remainder as edges, as a step of colour along the rim, and as the relief of a mark beside its place.
    ghost: Ghost
    step: Ghost
    relief: Ghost
    #: Whether the mark shows for certain, whatever the remainders say.
    certain: bool = False

    @property
    def shows(self) -> bool:
        """Whether a person would still see the mark."""
        return self.certain or self.ghost.shows or self.step.shows or self.relief.shows

    @property
    def excess(self) -> float:
        """How far the remainder is visible; 0: not."""
        return self.ghost.excess + self.step.excess + self.relief.excess


@dataclass(frozen=True)
class PreparedMark:
    """A mark in a picture, un-blended, before any fill."""

    pixels: Pixels
    sighting: Sighting
    recovery: Recovery
    #: Un-blending alone.
    plain: Outcome
    #: Whether the picture shows more of the mark than the template has.
    goes_on: bool = False

    @property
    def ghost(self) -> float:
        """The ghost score of ``plain``."""
        return self.plain.ghost.score

    @property
    def wants_fill(self) -> bool:
        """Whether a fill is needed: the mark is dense, or a ghost of it is visible after un-blending."""
        return self.recovery.wants_fill or self.plain.shows

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
    #: Whether the mark is still visible, or a part of it that the template lacks.
    residual: bool
    strength: float
    shift: tuple[int, int]


def prepare(pixels: Pixels, template: Template, *, noise: float) -> PreparedMark | None:
    """The mark in ``pixels`` (``uint8 [H, W, 3]``), un-blended; ``None`` if the picture does not carry it."""
    sighting = look(pixels, template)
    if sighting is None:
        return None
    if template.rule.lattice is None:
        sighting = sighting.placed(pixels)
    best = _unblended(pixels, sighting, template, noise)
    if best.plain.shows:
        # A strength that is off by its error leaves a ghost. It costs less than the trust in the un-blended values.
        tries = [_unblended(pixels, best.sighting.stronger(factor), template, noise) for factor in _STRENGTHS]
        best = min((best, *tries), key=lambda one: one.plain.excess)
    return replace(best, goes_on=goes_on(pixels, best.sighting, template.unseen))


def _unblended(pixels: Pixels, sighting: Sighting, template: Template, noise: float) -> PreparedMark:
    recovery = grounded(unblend(pixels, sighting, noise=noise, alpha_error=template.quality.error))
    return PreparedMark(pixels, sighting, recovery, _judged(recovery, fused(recovery, None), Method.UNBLENDED))


def finish(prepared: PreparedMark, filled: Pixels | None) -> Removal:
    """The mark removed: the first way of several after which it no longer shows, else the way that leaves least of it.

    ``filled``: the picture with ``prepared.hole`` filled by the network. Without it, Telea's method fills the hole
    where un-blending is not enough.
    """
    best = prepared.plain
    if filled is not None or prepared.wants_fill:
        fill = (_continued(prepared) if filled is None else filled)[prepared.recovery.view].astype(np.float32)
        best = min(_ways(prepared, fill), key=lambda way: way.excess)
    if best.shows:
        unchanged = np.zeros_like(best.changed)
        given = _judged(prepared.recovery, prepared.recovery.given, Method.UNREMOVED, unchanged)
        best = min(best, replace(given, certain=True), key=lambda way: way.excess)
    result = prepared.pixels.copy()
    result[prepared.recovery.view][best.changed] = np.rint(best.window[best.changed]).astype(np.uint8)
    where = np.zeros(prepared.pixels.shape[:2], np.uint8)
    where[prepared.recovery.view][best.changed] = 255
    sighting = prepared.sighting
    shows = best.shows or prepared.goes_on
    return Removal(result, where, best.method, best.ghost.score, shows, sighting.strength, sighting.shift)


def _ways(prepared: PreparedMark, fill: Values) -> Iterator[Outcome]:
    """Ways to remove the mark, until one leaves nothing of it."""
    recovery = prepared.recovery
    # While a ghost is visible, the un-blended values lose weight against the fill step by step: even there they are
    # mostly closer to the original than the fill.
    for doubt in _DOUBTS:
        way = _judged(recovery, fused(distrusted(recovery, doubt), fill), Method.FUSED)
        yield way
        if not way.shows:
            return
    # On flat ground the ground's colour needs no proof by values that left a ghost.
    flat = grounded(distrusted(recovery, _DOUBTS[-1]), doubt=np.inf)
    changed = prepared.hole[recovery.view] > 0
    yield _judged(recovery, fused(flat, fill), Method.FUSED)
    yield _judged(recovery, np.where(changed[..., None], fill, recovery.given), Method.INPAINTED, changed)
    yield prepared.plain


def _continued(prepared: PreparedMark) -> Pixels:
    """The picture with the hole filled from its rim (Telea, "An image inpainting technique", 2004)."""
    out = prepared.pixels.copy()
    rows, columns = (slice(max(one.start - 8, 0), one.stop + 8) for one in prepared.recovery.view)
    part = np.ascontiguousarray(out[rows, columns])
    out[rows, columns] = cv2.inpaint(part, prepared.hole[rows, columns], _TELEA_PX, cv2.INPAINT_TELEA)
    return out


def _judged(recovery: Recovery, window: Values, method: Method, changed: NDArray[np.bool_] | None = None) -> Outcome:
    ghost, relief = ghost_and_relief(window, recovery.alpha, recovery.colour)
    step = step_of(window, recovery.alpha)
    return Outcome(window, recovery.hole if changed is None else changed, method, ghost, step, relief)


def remove(pixels: Pixels, template: Template, *, noise: float, fill: Fill | None = None) -> Removal | None:
    """Run both steps; ``None`` if the picture does not carry the mark."""
    prepared = prepare(pixels, template, noise=noise)
    if prepared is None:
        return None
    return finish_with(prepared, pixels, fill)


def finish_with(prepared: PreparedMark, pixels: Pixels, fill: Fill | None) -> Removal:
    """The second step, with ``fill`` asked for the hole in ``pixels`` where the mark wants it."""
    return finish(prepared, fill(pixels, prepared.hole) if fill is not None and prepared.wants_fill else None)

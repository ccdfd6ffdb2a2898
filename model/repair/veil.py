"""A translucent mark in one picture: its opacity, its colour and its shape, found by turns, with the evidence for it.

People paint wider than the mark, and marks have soft edges. :func:`model.repair.opacity.fit_paints` starts; then the
shape of that paint is found (:mod:`model.repair.shape`), the pixels between the letters are known, the guess is better
for it, and the contrast of the picture that is seen through the mark reads opacity and colour anew
(:mod:`model.repair.contrast`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from model.repair.contrast import LEAST_MARKED, ContrastPaint, contrast_paint
from model.repair.ground import SHALLOW_PX, Below, Ground
from model.repair.opacity import Flags, Values, fit_paints
from model.repair.rest import REACH_PX, guess_around, rest_of, shade_of
from model.repair.shape import GUESS_DEPTH, Plane, edge_of, marked_share, softened
from model.repair.unblending import unblended, without_light

#: Opacities beyond this hide the picture.
MOST_OPACITY = 0.9
_LEAST_OPACITY = 0.04
#: Least painted pixels in which a mark can be fitted.
_LEAST_PAINTED = 400
#: Least deviation of the guess from its mean, over the root of its number of pixels and over the error of coding: with
#: less the standard error of any opacity is over .3.
_LEAST_CONTRAST = 10.0
#: Turns of shape and paint, and rounds of the shape's mean field in each but the last and in the last.
_TURNS, _ROUNDS, _LAST_ROUNDS = 3, 8, 12
#: Paints whose likelihood is this much below the best are not tried; two of them are one if they are this near.
_NEAR, _SAME_OPACITY, _SAME_LEVELS = 3.0, 0.03, 8.0
#: Standard error up to which an opacity is read anew in another place.
_CLOSE = 0.015
#: Distance from the guess (:class:`Evidence`), times its share of the paint, up to which the paint beside the mark is
#: the picture's; and distance of paint away from the mark that lies over something else.
_EXPLAINED, _ANOTHERS = 2.35, 2.35
#: Least pixels of what a mark encloses.
_LEAST_ENCLOSED = 12
#: Probability of a pixel that surely carries the mark.
_SURELY = 0.85
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SQUARE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Evidence:
    """How well a veil explains the painted pixels."""

    #: Opacity as read off the contrast last, less the veil's; its standard error; see :class:`ContrastPaint`.
    apart: float
    opacity_error: float
    residual: float
    #: Log-likelihood against no mark, for each painted pixel; and their number.
    gain: float
    painted: int
    #: Share of the painted pixels that carry the mark.
    coverage: float
    #: Mean squared distance from the guess, in its variances (at most 20 at a pixel): of the un-blended pixels, and of
    #: the painted pixels that are the picture's.
    marked_distance: float
    other_distance: float
    #: The same of the un-blended pixels' colour alone, which varies less than brightness.
    colour_distance: float
    #: Share of the paint's outer 2 px that carries the mark.
    at_border: float
    #: Mean standard error of the guess under the mark, in levels.
    uncertainty: float
    #: Share of the painted pixels that are neither the picture's nor under the mark, but its outline;
    #: and the share of the mark's sides on which these lie: an outline is on all of them, a shadow on some.
    rest: float
    outlined: float
    #: Mean step from the picture to the mark, in levels.
    visible: float
    #: Opacity of a black mark that is left in the un-blended pixels, as of a shadow below it; and its standard error.
    shade: float
    shade_error: float


@dataclass(frozen=True)
class Turn:
    """A shape for a paint, and the paint that was read under it."""

    opacity: float
    colour: Values
    plane: Plane
    share: Values
    gain: float
    below: Below
    read: ContrastPaint


@dataclass(frozen=True)
class Veil:
    """A translucent mark: the marked picture is ``I (1 - a) + colour a`` with ``a`` from 0 to ``opacity``."""

    opacity: float
    #: ``float32 [3]``, levels of 255.
    colour: Values
    evidence: Evidence


@dataclass(frozen=True)
class LaidVeil(Veil):
    """A mark in its place: ``a = opacity * shape``."""

    #: Where it was found, and each pixel's probability of carrying it.
    turn: Turn = field(repr=False)
    #: ``bool [H, W]``: pixels that are neither the picture's nor under this mark.
    rest: Flags = field(repr=False)
    #: ``float32 [H, W, 3]``: the picture there, as guessed.
    instead: Values = field(repr=False)
    #: ``bool [H, W]``: paint away from this mark, over what may be another.
    left: Flags = field(repr=False)

    @cached_property
    def _softened(self) -> tuple[Values, Flags]:
        # Dear, and needed only where the evidence is sure.
        return softened(self.turn.plane, self.opacity, self.turn.share, self.turn.below)

    @property
    def shape(self) -> Values:
        """``float32 [H, W]``, 0 to 1."""
        return self._softened[0]

    @property
    def rim(self) -> Flags:
        """``bool [H, W]``: where its shape may be a share."""
        return self._softened[1]

    @property
    def alpha(self) -> Values:
        return np.asarray(self.opacity * self.shape, np.float32)

    @property
    def mark(self) -> Veil:
        """The mark without its place, whose arrays are large."""
        return Veil(self.opacity, self.colour, self.evidence)


def find_veils(ground: Ground) -> Iterator[LaidVeil]:
    """The translucent marks that may explain the painted pixels, the best explanation first.

    Each is only a candidate: :func:`model.repair.recovery.is_sure` decides.
    """
    painted = ground.painted > 0
    if np.count_nonzero(painted) < _LEAST_PAINTED or not _has_contrast(ground, painted):
        return
    paints = fit_paints(ground.marked[painted], ground.guess[painted], ground.error[painted], noise=ground.noise)
    starts = [paint for paint in paints if paint.likelihood > paints[0].likelihood - _NEAR]
    turns = [
        _turned(ground, opacity, colour)
        for opacity, colour in _distinct((min(paint.opacity, MOST_OPACITY), paint.colour) for paint in starts)
    ]
    for turn in sorted((turn for turn in turns if turn is not None), key=lambda one: -one.gain):
        yield _veil(ground, turn)


def _has_contrast(ground: Ground, painted: Flags) -> bool:
    """Whether the guess below the paint varies enough to read an opacity from it; on flat ground it does not."""
    below = ground.guess[painted]
    return float(np.square(below - below.mean(axis=0)).sum()) > (_LEAST_CONTRAST * ground.noise) ** 2


def veil_of(ground: Ground, opacity: float, colour: Values) -> LaidVeil | None:
    """The mark of this paint, known from elsewhere, in ``ground``; ``None``: no pixels carry it.

    The paint is read anew where ``ground`` tells it closely.
    """
    turn = _turn(ground, (opacity, colour), ground.below, _ROUNDS)
    if turn is None:
        return None
    paint = (turn.read.opacity, turn.read.colour) if turn.read.error < _CLOSE else (opacity, colour)
    if not _LEAST_OPACITY < paint[0] < MOST_OPACITY:
        return None
    turn = _turn(ground, paint, turn.below, _LAST_ROUNDS, turn.share)
    return None if turn is None else _veil(ground, turn)


def _distinct(paints: Iterable[tuple[float, Values]]) -> list[tuple[float, Values]]:
    kept: list[tuple[float, Values]] = []
    for opacity, colour in paints:
        if not any(
            abs(opacity - other) <= _SAME_OPACITY and np.abs(colour - shade).max() <= _SAME_LEVELS
            for other, shade in kept
        ):
            kept.append((opacity, colour))
    return kept


def _turned(ground: Ground, opacity: float, colour: Values) -> Turn | None:
    """Shape and paint by turns; ``None``: the mark vanishes, or is opaque."""
    below, share = ground.below, None
    turn: Turn | None = None
    for number in range(_TURNS):
        rounds = _LAST_ROUNDS if number == _TURNS - 1 else _ROUNDS
        turn = _turn(ground, (opacity, colour), below, rounds, share)
        if turn is None or not _LEAST_OPACITY < turn.read.opacity < MOST_OPACITY:
            return None
        below, share = turn.below, turn.share
        opacity, colour = turn.read.opacity, turn.read.colour
    return turn


def _turn(
    ground: Ground, paint: tuple[float, Values], below: Below, rounds: int, share: Values | None = None
) -> Turn | None:
    opacity, colour = paint
    plane = Plane(ground, colour)
    share, gain = marked_share(plane, opacity, below, rounds, share)
    hard = (share > 0.5).astype(np.uint8)
    below, depth = ground.refined(cv2.dilate(hard, _SQUARE) > 0)
    core = (cv2.erode(hard, _CROSS) > 0) & (share > _SURELY)
    weight = (core / (1 + np.square(depth / GUESS_DEPTH))).astype(np.float32)
    read = contrast_paint(ground.marked, below, weight, hard > 0, noise=ground.noise, opacity=opacity)
    return None if read is None else Turn(opacity, colour, plane, share, gain, below, read)


def _veil(ground: Ground, turn: Turn) -> LaidVeil:
    painted, marked = ground.painted > 0, turn.share > 0.5
    step = turn.opacity / (1 - turn.opacity) * np.abs(turn.colour - ground.marked).mean(axis=2)
    read = turn.read
    others, coverage = painted & ~marked, float(marked[painted].mean())
    edge = edge_of(marked)
    clean, _ = unblended(ground.marked, np.float32(turn.opacity) * marked, turn.colour, edge)
    pixels = np.where(marked[..., None], clean, ground.marked)
    rest, instead, outlined = np.zeros_like(marked), ground.guess, 0.0
    if _distance(ground, ground.marked, others, 0) * (1 - coverage) > _EXPLAINED:
        rest, instead, outlined = rest_of(ground, marked, pixels)
    beside = float(rest[painted].mean())
    strange = _enclosed(ground, others)
    if strange.any():
        rest = rest | strange
        instead = guess_around(ground, pixels, rest | edge)
    left = painted & (cv2.dilate(marked.astype(np.uint8), np.ones((2 * REACH_PX + 1,) * 2, np.uint8)) == 0)
    if np.count_nonzero(left) < _LEAST_PAINTED or _distance(ground, ground.marked, left, 0) < _ANOTHERS:
        left = np.zeros_like(left)
    # Deep in a hole the guess itself may be too light.
    core = cv2.erode(marked.astype(np.uint8), _SQUARE) > 0
    shade, shade_error = shade_of(ground, clean, core & ground.inside & (ground.depth < SHALLOW_PX))
    border = painted & (ground.within < 2)
    evidence = Evidence(
        apart=abs(read.opacity - turn.opacity),
        opacity_error=read.error,
        residual=read.residual,
        gain=turn.gain,
        painted=int(np.count_nonzero(painted)),
        coverage=coverage,
        # Paint without a border tells nothing of it: the cautious answer.
        at_border=float(marked[border].mean()) if border.any() else coverage,
        uncertainty=float(ground.error[marked].mean()) if marked.any() else 0.0,
        marked_distance=_distance(ground, clean, painted & marked, turn.opacity),
        colour_distance=_distance(ground, clean, painted & marked, turn.opacity, of_colour=True),
        other_distance=_distance(ground, ground.marked, others & ~rest & ~left, 0),
        rest=beside,
        outlined=outlined,
        visible=float(step[marked].mean()) if marked.any() else 0.0,
        shade=shade,
        shade_error=shade_error,
    )
    return LaidVeil(turn.opacity, turn.colour, evidence, turn, rest, instead, left)


def _distance(ground: Ground, clean: Values, where: Flags, opacity: float, *, of_colour: bool = False) -> float:
    """See :class:`Evidence`; ``of_colour``: of the colour alone, without the brightness."""
    if np.count_nonzero(where) < LEAST_MARKED:
        return 0.0
    return float(_distances(ground, clean, where, opacity, of_colour=of_colour).mean())


def _distances(ground: Ground, clean: Values, where: Flags, opacity: float, *, of_colour: bool = False) -> Values:
    away, error = clean[where] - ground.guess[where], ground.error
    if of_colour:
        away, error = without_light(away), ground.colour_error
    variance = np.square(error[where]) + np.float32((ground.noise / (1 - opacity)) ** 2)
    return np.asarray(np.minimum(np.square(away).mean(axis=1) / variance, 20), np.float32)


def _enclosed(ground: Ground, others: Flags) -> Flags:
    """``bool [H, W]``: what lies inside the mark without its paint and is not the picture's, as letters on a plate."""
    inner = others & (ground.within > 0)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(inner.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(others)
    at_border = np.unique(labels[inner & (ground.within < 1)])
    distance = _distances(ground, ground.marked, inner, 0)
    mean = np.bincount(labels[inner], distance, count) / np.maximum(boxes[:, cv2.CC_STAT_AREA], 1)
    strange = (mean > _EXPLAINED) & (boxes[:, cv2.CC_STAT_AREA] >= _LEAST_ENCLOSED)
    strange[0] = False
    strange[at_border] = False
    found = strange[labels]
    return found if not found.any() else (cv2.dilate(found.astype(np.uint8), _SQUARE) > 0) & ground.inside

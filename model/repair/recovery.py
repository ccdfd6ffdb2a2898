"""Recovers the pixels under a translucent mark in one picture, where the evidence is sure; else the fill stays.

A translucent mark does not destroy the picture. Each part of the mask is examined (:mod:`model.repair.veil`): if one
opacity and one colour explain it, the part is un-blended, and each pixel combines the un-blended value with the
network's fill by their expected errors. Opaque marks and objects keep the fill, unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from model.cells import extent
from model.repair.fusion import fused
from model.repair.ground import Ground
from model.repair.hole import dilate
from model.repair.opacity import BLACK, WHITE, Values
from model.repair.parts import CONTEXT_PX, GROUP_PX, Window, nearer_to, parts_of
from model.repair.pieces import pieces_by_colour
from model.repair.records import RecoveryRecord
from model.repair.veil import LaidVeil, Veil, find_veils, veil_of

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
#: ``auto``: recover where the evidence is sure; ``recover``: recover wherever a mark can be fitted; ``fill``: never.
Method = Literal["auto", "recover", "fill"]

#: The errors of a fill, and with them the bounds below, are known for holes this much wider than the paint, in px.
_SEEN_PX = 3
#: Sides of a window in which a mark is fitted; a larger part is fitted in its fullest window, and checked as a whole.
#: The mark that several parts share is sought in a smaller one.
_LARGEST_SIDE, _SHARED_SIDE = 512, 320
#: Most parts that are fitted for themselves, the largest; most parts of a mask whose blobs may be two marks; and levels
#: of detail beyond which a border counts no more.
_MOST_FITTED, _MOST_SPLIT, _MOST_DETAIL = 4, 2, 60.0
#: Levels by which the light that two marks add differs if they are not one; opacity and colour alone may be traded.
_OTHER_LIGHT = 20.0
#: Error of the coding of pixels whose file is not known, in levels.
UNKNOWN_NOISE = 2.0
#: Radius of the guess without the network, in px. A mark ends inside where its shape has less than this, in the mean,
#: in the paint's outer 2 px, and the fit's residual is less than this.
_GUESS_PX, _MOST_AT_BORDER, _MOST_RESIDUAL_INSIDE = 3, 0.1, 1.5
#: Bounds of sure evidence (:class:`model.repair.veil.Evidence`).
_MOST_OPACITY, _MOST_APART, _MOST_OPACITY_ERROR, _MOST_COLOURED_ERROR = 0.87, 0.1, 0.14, 0.06
#: Beyond this opacity little of the picture passes through: its error has to be smaller, and the guess no better than
#: this, in levels.
_DENSE, _MOST_DENSE_ERROR, _LEAST_DENSE_UNCERTAINTY = 0.75, 0.025, 11.0
_LEAST_GAIN, _LEAST_TOTAL_GAIN, _LEAST_COVERAGE, _LEAST_VISIBLE = 0.05, 60.0, 0.2, 5.0
#: A mark of known paint, or a white one whose opacity has at most this error, may explain this much less, in
#: log-likelihood for each painted pixel; the last: one of known colour.
_CLOSELY, _TOLD_GAIN, _KNOWN_GAIN = 0.01, 0.15, 0.05
#: Least step from the picture to the mark in errors of the guess (the second: of white marks, which goods seldom pass
#: for), if the mark keeps clear of the paint's border, as marks do that were painted over; and how much more if it
#: reaches it as often as anything else, as goods do. Marks that fill the paint by more than the last share reach it of
#: course.
_LEAST_STEP, _LEAST_WHITE_STEP, _MORE_AT_BORDER, _FILLING = 1.0, 0.5, 2.5, 0.7
#: An outline's share of the paint over its body's: with more, a mark was found in the gaps of another.
_MOST_REST = 2.0
#: Marks of other colours than nearly white and black, which are this far from them in levels, need a larger gain. The
#: picture has to go on between them, or parts of an object pass for a mark.
_LEAST_COLOURED_GAIN, _MOST_BESIDE_COLOURED, _COLOURED = 0.1, 4.0, 40.0
#: A mark that covers less of the paint than this, and has no outline on so many of its sides, has a shadow, if at least
#: this opacity of black is left below it, and this many times its standard error, in marks lighter than this, in
#: levels, or in darker ones of a colour: a paint that is too dark and too thin leaves it. If more than the last is
#: lacking, the paint is too dark.
_MOST_SHADOWED, _OUTLINED, _LEAST_SHADE, _CLEAR, _LIGHT, _VERY_CLEAR = 0.5, 0.87, 0.02, 2.0, 128.0, 4.0
_MOST_LIGHT = 0.08
_MOST_OTHER_DISTANCE = 2.35


class _Agreement(NamedTuple):
    """The most that un-blended pixels differ from the guess (:class:`model.repair.veil.Evidence`)."""

    residual: float
    marked: float
    colour: float
    both: float


#: Of marks that are nearly white or black; of others; and of white ones that explain this much more than no mark does,
#: in log-likelihood for each painted pixel, if they fill the paint or else: nothing else comes near.
_BOUNDS = _Agreement(residual=1.15, marked=5.2, colour=5.5, both=10.0)
_COLOURED_BOUNDS = _Agreement(residual=1.3, marked=5.2, colour=5.5, both=7.0)
_PLAIN_GAIN, _VERY_PLAIN_GAIN, _WIDE = 0.5, 0.9, _Agreement(residual=2.5, marked=12.0, colour=10.0, both=20.0)


@dataclass(frozen=True)
class Recovery:
    """The outcome for one picture."""

    #: ``uint8 [H, W, 3]``: the filled picture, with what could be recovered.
    pixels: Pixels = field(repr=False)
    #: Share of the painted pixels that come from the picture; the others are invented.
    recovered: float
    #: The translucent marks that were removed.
    veils: tuple[Veil, ...] = field(repr=False, default=())
    #: ``uint8 [H, W]``: not 0 where the picture was recovered; ``None``: nowhere.
    taken: Mask | None = field(repr=False, default=None)
    #: Share of the hole that has texture copied from the picture (:mod:`model.repair.texture`).
    textured: float = 0.0
    #: Opacities of marks that were known beforehand, and the number of pictures that told them
    #: (:mod:`model.watermark.learned`).
    opacities: tuple[float, ...] = ()
    learned_from: int = 0

    @property
    def invented(self) -> float:
        return 1 - self.recovered

    @property
    def every_opacity(self) -> tuple[float, ...]:
        """Opacities of the marks that were removed."""
        return *self.opacities, *(veil.opacity for veil in self.veils)


def recover(
    marked: Pixels, filled: Pixels, painted: Mask, hole: Mask, *, method: Method = "auto", noise: float = UNKNOWN_NOISE
) -> Recovery:
    """``filled`` with the translucent parts of the mask recovered from ``marked`` (both ``uint8 [H, W, 3]``).

    ``painted`` (``uint8 [H, W]``, over half = painted) is the mask as a person gave it, ``hole`` the wider area that
    ``filled`` replaces; outside it nothing changes. ``noise``: error of the picture's coding, in levels.
    """
    if method == "fill":
        return Recovery(filled, 0.0)
    result: Pixels = filled
    taken: Mask | None = None
    veils: list[Veil] = []
    core = np.where(painted > 127, np.uint8(255), np.uint8(0))
    total, true = int(np.count_nonzero(core)), 0.0

    #: The marked picture, without the marks that were found.
    seen: Pixels = marked

    def ground_of(window: Window, part: Mask, around: Mask) -> Ground:
        widened = np.where(around > 0, np.uint8(255), np.uint8(0))
        before, after = seen[window].astype(np.float32), filled[window].astype(np.float32)
        return Ground(before, after, np.ascontiguousarray(part), widened, noise)

    def grounded(window: Window, part: Mask, *, whole: bool) -> tuple[Mask, Ground]:
        """The hole around a whole part, or around a piece of one, and its ground."""
        own = _own(hole[window], part)
        if not whole:
            own[nearer_to(core[window] > part, part)] = 0
        return own, ground_of(window, part, np.maximum(own, dilate(part, _SEEN_PX)))

    # Large parts first: small ones, such as letters, share their marks.
    parts = sorted(parts_of(core), key=lambda one: -np.count_nonzero(one[1]))
    known: list[Veil] = []
    if len(parts) > 1:
        window = _fullest(core, filled, _SHARED_SIDE)
        around = np.maximum(hole[window], dilate(core[window], _SEEN_PX))
        common = _found(ground_of(window, core[window], around), method="auto")
        known = [common.mark] if common is not None else []
    whole = len(parts)
    for number, (window, part) in enumerate(parts):  # which grows by what a mark leaves, and by pieces
        own, ground = grounded(window, part, whole=number < whole)
        veil = _shared_veil(ground, known)
        if veil is None and number < _MOST_FITTED:
            veil = _veil_in(ground, method)
        if number < whole <= _MOST_SPLIT and (veil is None or _is_coloured(veil)):
            pieces = pieces_by_colour(ground)
            # The colour of one word may pass for that of both.
            if veil is not None and any(
                (alone := _veil_in(grounded(window, piece, whole=False)[1], "auto"))
                and np.abs(alone.opacity * alone.colour - veil.opacity * veil.colour).max() > _OTHER_LIGHT
                for piece in pieces
            ):
                veil = None
            parts += [(window, piece) for piece in pieces] if veil is None else []
        if veil is None:
            continue
        pixels, share = fused(ground, veil)
        if taken is None:
            result, seen, taken = filled.copy(), marked.copy(), np.zeros_like(hole)
        left = np.where(veil.left, np.uint8(255), np.uint8(0))
        inside = (own > 0) & (dilate(left, _SEEN_PX) == 0)
        result[window][inside] = np.rint(pixels[inside]).astype(np.uint8)
        seen[window][inside] = result[window][inside]
        taken[window][inside] = 255
        if left.any():
            parts.append((window, left))
        true += float(share[(part > 0) & inside].sum())
        veils.append(veil.mark)
        if veil.opacity not in {one.opacity for one in known}:
            known.append(veil.mark)
    return Recovery(result, true / max(total, 1), tuple(veils), taken)


def ends_inside(marked: Pixels, part: Mask) -> bool:
    """Whether a translucent mark is surely under the paint and ends before its border: nothing is left outside.

    ``marked``: ``uint8 [H, W, 3]``, a window; ``part``: ``uint8 [H, W]``, the paint in it. The picture below is guessed
    without the network.
    """
    guess = cv2.inpaint(marked, part, _GUESS_PX, cv2.INPAINT_TELEA)
    ground = Ground(marked.astype(np.float32), guess.astype(np.float32), part, dilate(part, _SEEN_PX), UNKNOWN_NOISE)
    veil = _veil_in(ground, "auto")
    if veil is None or veil.evidence.residual > _MOST_RESIDUAL_INSIDE:
        return False
    border = (part > 0) & (cv2.erode(part, np.ones((5, 5), np.uint8)) == 0)
    return bool(veil.shape[border].mean() < _MOST_AT_BORDER)


def recovery_record(recoveries: Sequence[Recovery]) -> RecoveryRecord:
    """The part of an image's record about its parts' recoveries; empty where all was filled, without texture."""
    record: RecoveryRecord = {}
    textured = sum(recovery.textured for recovery in recoveries) / max(len(recoveries), 1)
    if textured:
        record["textured"] = round(textured, 4)
    opacities = {round(opacity, 2) for recovery in recoveries for opacity in recovery.every_opacity}
    if opacities:
        record["recovered"] = round(sum(recovery.recovered for recovery in recoveries) / len(recoveries), 4)
        record["opacity"] = sorted(opacities)
    if learned_from := max((recovery.learned_from for recovery in recoveries), default=0):
        record["learned_from"] = learned_from
    return record


def is_sure(veil: Veil, *, known: bool = False) -> bool:
    """Whether the evidence for a translucent mark suffices to touch the picture.

    ``known``: its opacity and colour were sure elsewhere in the picture, and only have to explain this part.

    The bounds were chosen on photos under translucent and opaque marks and objects, and checked on others
    (docs/quality.md, "Recovering").
    """
    evidence = veil.evidence
    coloured = _is_coloured(veil)
    # The gain of faint and thin marks is small; white that is told this closely is no chance.
    told = known or (_is_white(veil) and evidence.opacity_error < _CLOSELY)
    least_gain = _LEAST_COLOURED_GAIN if coloured else _LEAST_GAIN
    least_gain -= (_KNOWN_GAIN if coloured else _TOLD_GAIN) if told else 0
    return bool(
        veil.opacity < _MOST_OPACITY
        and (known or evidence.apart < _MOST_APART * (1 - veil.opacity))
        and (known or evidence.opacity_error < _most_error(veil))
        and (veil.opacity < _DENSE or evidence.uncertainty > _LEAST_DENSE_UNCERTAINTY)
        and evidence.gain > least_gain
        and (told or evidence.gain * evidence.painted > _LEAST_TOTAL_GAIN)
        and evidence.coverage > _LEAST_COVERAGE
        and evidence.rest < _MOST_REST * evidence.coverage
        and evidence.visible > _LEAST_VISIBLE
        and evidence.other_distance * (1 - evidence.coverage) < _MOST_OTHER_DISTANCE
        and _stands_out(veil, known=known)
        and _agrees(veil)
    )


def _agrees(veil: Veil) -> bool:
    """Whether the un-blended pixels are what the guess says, in brightness and in colour."""
    evidence = veil.evidence
    if _is_white(veil) and evidence.gain > (_PLAIN_GAIN if evidence.coverage > _FILLING else _VERY_PLAIN_GAIN):
        # Its edges tell it: deep in a wide hole the guess is wrong.
        most = _WIDE
    else:
        most = _COLOURED_BOUNDS if _is_coloured(veil) else _BOUNDS
        if _is_shaded(veil) or (_is_coloured(veil) and evidence.other_distance > _MOST_BESIDE_COLOURED):
            return False
    return bool(
        evidence.residual < most.residual
        and evidence.marked_distance < most.marked
        and evidence.colour_distance < most.colour
        and evidence.marked_distance + evidence.colour_distance < most.both
    )


def _most_error(veil: Veil) -> float:
    """Most standard error of an opacity that is sure."""
    most = _MOST_COLOURED_ERROR if _is_coloured(veil) else _MOST_OPACITY_ERROR
    return (_MOST_DENSE_ERROR if veil.opacity > _DENSE else most) * (1 - veil.opacity)


def _stands_out(veil: Veil, *, known: bool) -> bool:
    """Whether the pixels are a mark's, and not the goods' own, of which the guess knows less than it believes."""
    evidence = veil.evidence
    at_border = 0.0 if evidence.coverage > _FILLING else evidence.at_border / max(evidence.coverage, 1e-6)
    least = 0.0 if known else _LEAST_WHITE_STEP if _is_white(veil) else _LEAST_STEP
    return evidence.visible > (least + _MORE_AT_BORDER * at_border) * evidence.uncertainty


def _is_shaded(veil: Veil) -> bool:
    """Whether something dark is left below a mark, which its paint does not explain."""
    evidence = veil.evidence
    is_light = veil.colour.mean() > _LIGHT
    clear = _CLEAR if is_light else _VERY_CLEAR
    # An outline darkens thin letters too, and a black mark may be a bit stronger.
    may_be = evidence.coverage < _MOST_SHADOWED and evidence.outlined < _OUTLINED and (is_light or _is_coloured(veil))
    is_dark = may_be and evidence.shade > max(_LEAST_SHADE, clear * evidence.shade_error)
    return bool(is_dark or evidence.shade < -max(_MOST_LIGHT, _VERY_CLEAR * evidence.shade_error))


def _is_white(veil: Veil) -> bool:
    return bool(np.abs(veil.colour - WHITE).max() <= _COLOURED)


def _is_coloured(veil: Veil) -> bool:
    return bool(min(np.abs(veil.colour - common).max() for common in (WHITE, BLACK)) > _COLOURED)


def _shared_veil(ground: Ground, veils: list[Veil]) -> LaidVeil | None:
    """The mark of another part, where the evidence in this part is sure as well."""
    for veil in veils:
        shared = veil_of(ground, veil.opacity, veil.colour)
        if shared is not None and is_sure(shared, known=True):
            return shared
    return None


def _veil_in(ground: Ground, method: Method) -> LaidVeil | None:
    height, width = ground.painted.shape
    if height <= _LARGEST_SIDE and width <= _LARGEST_SIDE:
        return _found(ground, method)
    window = _fullest(ground.painted, ground.guess, _LARGEST_SIDE)
    marked, guess = (np.ascontiguousarray(whole[window]) for whole in (ground.marked, ground.guess))
    painted, hole = (np.ascontiguousarray(whole[window]) for whole in (ground.painted, ground.hole))
    veil = _found(Ground(marked, guess, painted, hole, ground.noise), "recover")
    whole = None if veil is None else veil_of(ground, veil.opacity, veil.colour)
    if veil is None or whole is None:
        return None
    # What the window leaves open, the whole part may show.
    return whole if method == "recover" or is_sure(whole, known=is_sure(veil)) else None


def _found(ground: Ground, method: Method) -> LaidVeil | None:
    """The first candidate that is sure; with ``recover`` the first one, if none is."""
    candidates: list[LaidVeil] = []
    for veil in find_veils(ground):
        if is_sure(veil):
            return veil
        candidates.append(veil)
    return candidates[0] if candidates and method == "recover" else None


def _fullest(painted: Mask, filled: Pixels | Values, most: int) -> Window:
    """The window of at most ``most`` px a side in which most of the mask's border crosses detail."""
    left, top, wide, tall = extent(painted)
    rows = slice(max(top - CONTEXT_PX, 0), min(top + tall + CONTEXT_PX, painted.shape[0]))
    columns = slice(max(left - CONTEXT_PX, 0), min(left + wide + CONTEXT_PX, painted.shape[1]))
    painted, filled = painted[rows, columns], filled[rows, columns]
    edge = cv2.morphologyEx(painted, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    # A mark on flat ground tells nothing of its opacity.
    low, high = (change(filled, np.ones((9, 9), np.uint8)) for change in (cv2.erode, cv2.dilate))
    detail = cv2.transform(cv2.subtract(high, low, dtype=cv2.CV_32F), np.full((1, 3), 1 / 3, np.float32))
    border = np.where(edge > 0, 1 + np.minimum(detail, _MOST_DETAIL), 0).astype(np.float32)
    height, width = painted.shape
    tall, wide = min(most, height), min(most, width)
    sums = cv2.integral(border)
    downs, acrosses = (
        np.unique(np.linspace(0, whole - side, 2 + 4 * (whole - side) // side).astype(int))
        for whole, side in ((height, tall), (width, wide))
    )
    inside = (
        sums[np.ix_(downs + tall, acrosses + wide)]
        - sums[np.ix_(downs, acrosses + wide)]
        - sums[np.ix_(downs + tall, acrosses)]
        + sums[np.ix_(downs, acrosses)]
    )
    down, across = np.unravel_index(int(np.argmax(inside)), inside.shape)
    # Samples of colour begin at even places.
    top, left = (rows.start + int(downs[down])) // 2 * 2, (columns.start + int(acrosses[across])) // 2 * 2
    return slice(top, top + tall), slice(left, left + wide)


def _own(hole: Mask, part: Mask) -> Mask:
    """The hole around ``part`` alone."""
    near = cv2.dilate(part, np.ones((2 * GROUP_PX + 1,) * 2, np.uint8))
    return np.where((near > 0) & (hole > 0), np.uint8(255), np.uint8(0))

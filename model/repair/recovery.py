"""Recovers the pixels under a translucent mark in one picture, where the evidence is sure; else the fill stays.

A translucent mark does not destroy the picture. Each part of the mask is examined (:mod:`model.repair.veil`): if one
opacity and one colour explain it, the part is un-blended, and each pixel combines the un-blended value with the
network's fill by their expected errors. Opaque marks and objects keep the fill, unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from model.cells import extent
from model.repair.opacity import Values
from model.repair.records import RecoveryRecord
from model.repair.veil import Ground, Veil, find_veil, veil_of

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
#: ``auto``: recover where the evidence is sure; ``recover``: recover wherever a mark can be fitted; ``fill``: never.
Method = Literal["auto", "recover", "fill"]

#: Parts nearer than this share a mark; the picture's surroundings of a part that are examined, in px.
_GROUP_PX, _CONTEXT_PX = 16, 24
_MOST_PARTS = 64
#: Sides of a window in which a mark is fitted; a larger part is fitted in its fullest window, and checked as a whole.
_LARGEST_SIDE = 320
#: An alpha of less changes no level of 255.
_FAINT = 0.004
#: Relative error of a fitted colour and opacity, and of the mark's rim.
_VEIL_ERROR, _RIM_ERROR = 0.02, 0.5
#: At a rim (a step of the shape within 2 px), squared distances to the fill beyond this many of its variances count as
#: errors, with this weight: the more, the less the whole agrees with the fill.
_RIM_STEP, _FAR, _RIM_DOUBT = 0.3, 4.0, 3.0
_AGREED, _DOUBTED = 1.65, 0.35
#: The fill's error in the fusion, over the median that :func:`model.repair.opacity.fill_error` gives.
_FILL_DOUBT = 1.5
#: Bounds of sure evidence (:class:`model.repair.veil.Evidence`).
_MOST_OPACITY, _LEAST_COVERAGE, _LEAST_VISIBLE, _MOST_TINT = 0.88, 0.22, 1.2, 1.0
#: Of a carved shape, whose errors look like letters.
_LEAST_COVERAGE_CARVED, _MOST_ROUGHNESS_CARVED = 0.3, 2.0
_MOST_IMPOSSIBLE, _LEAST_AGAINST_NOTHING, _LEAST_TOTAL_AGAINST_NOTHING = 0.1, 0.02, 60.0
#: Most roughness of rim and interior, most disagreement with the fill, most roughness of the rest of the hole, and
#: least evidence against an object: where the contrast confirms the opacity, and elsewhere.
_CONFIRMED, _UNCONFIRMED = (2.6, 2.4, 1.6, -0.6), (1.6, 1.9, 1.3, 0.5)
#: The contrast confirms an opacity that is this near, if its own error is this small.
_NEAR, _PRECISE = 0.1, 0.05
#: The same bounds where a translucent mark is evident: the contrast agrees within ``_EVIDENTLY_NEAR``, with this small
#: an error, on an opacity of at most ``_MOST_EVIDENT_OPACITY``. The rim of thin letters on fine detail is rough.
_EVIDENT, _EVIDENTLY_NEAR, _EVIDENTLY_PRECISE, _MOST_EVIDENT_OPACITY = (4.2, 2.6, 1.3, 2.0), 0.08, 0.03, 0.8
_MOST_INTERIOR_EVIDENT = 2.0
#: It speaks against one that is further off, and against any where it reads nearly 1, unless its error is this large.
#: A carved shape follows the picture's own edges more easily: it must agree better.
_MOST_APART, _MOST_APART_CARVED, _MOST_CONTRAST_OPACITY, _SILENT = 0.25, 0.11, 0.92, 0.15


@dataclass(frozen=True)
class Recovery:
    """The outcome for one picture."""

    #: ``uint8 [H, W, 3]``: the filled picture, with what could be recovered.
    pixels: Pixels = field(repr=False)
    #: Share of the painted pixels that come from the picture; the others are invented.
    recovered: float
    #: The translucent marks that were removed.
    veils: tuple[Veil, ...] = field(repr=False, default=())

    @property
    def invented(self) -> float:
        return 1 - self.recovered


def recover(
    marked: Pixels, filled: Pixels, painted: Mask, hole: Mask, *, method: Method = "auto", noise: float = 2.0
) -> Recovery:
    """``filled`` with the translucent parts of the mask recovered from ``marked`` (both ``uint8 [H, W, 3]``).

    ``painted`` (``uint8 [H, W]``, over half = painted) is the mask as a person gave it, ``hole`` the wider area that
    ``filled`` replaces; outside it nothing changes. ``noise``: error of the picture's coding, in levels.
    """
    if method == "fill":
        return Recovery(filled, 0.0)
    result: Pixels = filled
    veils: list[Veil] = []
    core = np.where(painted > 127, np.uint8(255), np.uint8(0))
    total, true = int(np.count_nonzero(core)), 0.0

    def ground_of(window: tuple[slice, slice], part: Mask, around: Mask) -> Ground:
        widened = np.where(around > 0, np.uint8(255), np.uint8(0))
        before, after = marked[window].astype(np.float32), filled[window].astype(np.float32)
        return Ground(before, after, np.ascontiguousarray(part), widened, noise)

    # Large parts first: small ones, such as letters, share their marks.
    parts = sorted(_parts(core), key=lambda one: -np.count_nonzero(one[1]))
    known: list[Veil] = []
    least = _CONFIRMED[3] if method == "auto" else -np.inf
    if len(parts) > 1:
        window = _fullest(core)
        common = find_veil(ground_of(window, core[window], hole[window]), least_against_object=least)
        known = [common] if common is not None and is_sure(common) else []
    for window, part in parts:
        ground = ground_of(window, part, _own(hole[window], part))
        veil = _shared_veil(ground, known) or _veil_in(ground, least)
        if veil is None or not (method == "recover" or is_sure(veil)):
            continue
        pixels, share = fused(ground, veil)
        if result is filled:
            result = filled.copy()
        result[window][ground.inside] = np.rint(pixels[ground.inside]).astype(np.uint8)
        true += float(share[part > 0].sum())
        veils.append(veil)
        if veil.opacity not in {one.opacity for one in known}:
            known.append(veil)
    return Recovery(result, true / max(total, 1), tuple(veils))


def recovery_record(recoveries: Sequence[Recovery]) -> RecoveryRecord:
    """The part of an image's record about its parts' recoveries; empty where all was filled."""
    veils = [veil for recovery in recoveries for veil in recovery.veils]
    if not veils:
        return {}
    return {
        "recovered": round(sum(recovery.recovered for recovery in recoveries) / len(recoveries), 4),
        "opacity": sorted({round(veil.opacity, 2) for veil in veils}),
    }


def is_sure(veil: Veil) -> bool:
    """Whether the evidence for a translucent mark suffices to touch the picture.

    The thresholds were chosen on ten photos under 27 kinds of marks, objects and none, and checked on three others
    (docs/quality.md, "Recovering").
    """
    evidence = veil.evidence
    apart = abs(evidence.contrast_opacity - veil.opacity)
    confirmed = evidence.contrast_error < _PRECISE and apart < _NEAR
    if (
        veil.opacity < _MOST_EVIDENT_OPACITY
        and evidence.against_object > _EVIDENT[3]
        and evidence.contrast_error < _EVIDENTLY_PRECISE
        and apart < _EVIDENTLY_NEAR
        and evidence.interior < _MOST_INTERIOR_EVIDENT
    ):
        return _passes(veil, _EVIDENT, _LEAST_COVERAGE_CARVED)
    most_roughness, most_disagreement, most_rest, least_against_object = _CONFIRMED if confirmed else _UNCONFIRMED
    most_apart = (_MOST_APART_CARVED if veil.carved else _MOST_APART) + 2 * evidence.contrast_error
    if veil.carved:
        most_roughness = min(most_roughness, _MOST_ROUGHNESS_CARVED)
        least_against_object = _UNCONFIRMED[3]
    # Flat ground tells nothing of contrast; there the other evidence decides.
    silent = evidence.contrast_error > _SILENT
    bounds = most_roughness, most_disagreement, most_rest, least_against_object
    return _passes(veil, bounds, _LEAST_COVERAGE_CARVED if veil.carved else _LEAST_COVERAGE) and (
        silent or (evidence.contrast_opacity < _MOST_CONTRAST_OPACITY and apart < most_apart)
    )


def _passes(veil: Veil, bounds: tuple[float, float, float, float], least_coverage: float) -> bool:
    """Whether the evidence keeps ``bounds`` (most roughness, disagreement and rest, least against an object)."""
    evidence = veil.evidence
    most_roughness, most_disagreement, most_rest, least_against_object = bounds
    return (
        veil.opacity < _MOST_OPACITY
        and evidence.coverage > least_coverage
        and evidence.visible > _LEAST_VISIBLE
        and evidence.tint < _MOST_TINT
        and max(evidence.rim, evidence.interior) < most_roughness
        and evidence.rest < most_rest
        and 0 < evidence.agreement < most_disagreement
        and evidence.impossible < _MOST_IMPOSSIBLE
        and evidence.against_object > least_against_object
        and evidence.against_nothing > _LEAST_AGAINST_NOTHING
        and evidence.against_nothing * evidence.pixels > _LEAST_TOTAL_AGAINST_NOTHING
    )


def fused(ground: Ground, veil: Veil) -> tuple[Values, Values]:
    """The picture without the veil, ``float32 [H, W, 3]``, and the share of it that is not invented, ``[H, W]``.

    Un-blending amplifies noise by 1 / (1 - a), and errors of a by the mark's contrast; the fill's errors grow with
    texture and depth. Each pixel is the mean of both, weighted by their inverse variances.
    """
    alpha = veil.alpha
    through = 1 - np.minimum(alpha, 0.97)
    clean = np.clip((ground.marked - alpha[..., None] * veil.colour) / through[..., None], 0, 255)
    guess, error, _ = ground.refined(veil.shape)
    contrast = np.abs(veil.colour - clean).mean(axis=2)
    slope = np.abs(cv2.GaussianBlur(alpha, (0, 0), 0.8) - alpha)
    unblended = (
        ground.noise**2
        + np.square(_VEIL_ERROR * contrast * (alpha > _FAINT))
        + np.square(_RIM_ERROR * slope * contrast)
    ) / np.square(through)
    # At the rim, an un-blended value far from the fill is more likely an error of the shape than a detail.
    rim = cv2.morphologyEx(veil.shape, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > _RIM_STEP
    distance = np.square(clean - guess).mean(axis=2) / np.square(error)
    doubt = _RIM_DOUBT * float(np.clip((veil.evidence.agreement - _AGREED) / _DOUBTED, 0, 1))
    unblended = unblended + rim * doubt * np.square(error) * np.maximum(distance / _FAR - 1, 0)
    invented = np.square(_FILL_DOUBT * error) + 1
    share = np.asarray(invented / (invented + unblended), np.float32)
    pixels = share[..., None] * clean + (1 - share[..., None]) * guess
    kept = alpha <= _FAINT
    share[kept] = 1
    return np.where(kept[..., None], ground.marked, pixels).astype(np.float32), share


def _shared_veil(ground: Ground, veils: list[Veil]) -> Veil | None:
    """The mark of another part, where the evidence in this part is sure as well."""
    for veil in veils:
        shared = veil_of(ground, veil)
        if is_sure(shared):
            return shared
    return None


def _veil_in(ground: Ground, least_against_object: float) -> Veil | None:
    height, width = ground.painted.shape
    if height <= _LARGEST_SIDE and width <= _LARGEST_SIDE:
        return find_veil(ground, least_against_object=least_against_object)
    window = _fullest(ground.painted)
    veil = find_veil(
        Ground(
            np.ascontiguousarray(ground.marked[window]),
            np.ascontiguousarray(ground.guess[window]),
            np.ascontiguousarray(ground.painted[window]),
            np.ascontiguousarray(ground.hole[window]),
            ground.noise,
        ),
        least_against_object=least_against_object,
    )
    return None if veil is None else veil_of(ground, veil)


def _fullest(painted: Mask) -> tuple[slice, slice]:
    """The window of at most ``_LARGEST_SIDE`` px a side with the most border of the mask."""
    border = cv2.morphologyEx(painted, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).astype(np.float32)
    height, width = painted.shape
    tall, wide = min(_LARGEST_SIDE, height), min(_LARGEST_SIDE, width)
    sums = cv2.integral(border)
    rows, columns = (
        np.unique(np.linspace(0, whole - side, 2 + 4 * (whole - side) // side).astype(int))
        for whole, side in ((height, tall), (width, wide))
    )
    inside = (
        sums[np.ix_(rows + tall, columns + wide)]
        - sums[np.ix_(rows, columns + wide)]
        - sums[np.ix_(rows + tall, columns)]
        + sums[np.ix_(rows, columns)]
    )
    row, column = np.unravel_index(int(np.argmax(inside)), inside.shape)
    top, left = int(rows[row]), int(columns[column])
    return slice(top, top + tall), slice(left, left + wide)


def _parts(core: Mask) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """Windows around groups of near parts of the mask, and in each the paint of its group."""
    left, top, wide, tall = extent(core)
    if not wide:
        return
    first_row, first_column = max(top - _CONTEXT_PX, 0), max(left - _CONTEXT_PX, 0)
    painted = core[first_row : top + tall + _CONTEXT_PX, first_column : left + wide + _CONTEXT_PX]
    grouped = cv2.dilate(painted, np.ones((2 * _GROUP_PX + 1,) * 2, np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(grouped, connectivity=8)
    if count - 1 > _MOST_PARTS:
        yield (slice(0, core.shape[0]), slice(0, core.shape[1])), core
        return
    margin = _CONTEXT_PX - _GROUP_PX
    for label in range(1, count):
        left, top, width, height = (int(value) for value in boxes[label][:4])
        rows = slice(max(top - margin, 0), top + height + margin)
        columns = slice(max(left - margin, 0), left + width + margin)
        part = np.where(labels[rows, columns] == label, painted[rows, columns], np.uint8(0))
        rows = slice(rows.start + first_row, rows.stop + first_row)
        columns = slice(columns.start + first_column, columns.stop + first_column)
        yield (rows, columns), np.ascontiguousarray(part)


def _own(hole: Mask, part: Mask) -> Mask:
    """The hole around ``part`` alone."""
    near = cv2.dilate(part, np.ones((2 * _GROUP_PX + 1,) * 2, np.uint8))
    return np.where((near > 0) & (hole > 0), np.uint8(255), np.uint8(0))

"""The template from aligned windows: the mark's outline, then its opacity and colour by regression at each pixel."""

from __future__ import annotations

from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.evidence import groups, shared
from model.watermark.fields import Sum, field_of, strength_map
from model.watermark.ghost import LEVELS, ghost_of
from model.watermark.matte import Matte, regress, repeated
from model.watermark.outline import edges, rough_mask
from model.watermark.placings import likeliest
from model.watermark.template import Quality, Template
from model.watermark.windows import Placement, Progress, Windows

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]
#: A template and its places in the samples.
Made = tuple[Template, list[Placement]]

#: Border of the template around the mark, in px.
_MARGIN = 4
#: Windows that the first of two regressions uses.
_OUTLINED = 50
#: Regressions that look for more of a mark that repeats over the picture, how far around it, in px, and the most of the
#: picture in which they do.
_TILED_ROUNDS, _TILED_PX, _TILED_SHARE = 2, 5, 0.6


def template_of(windows: Windows, on_progress: Progress, hole: Mask | None = None) -> Made | None:
    """The template from aligned windows, and its places; ``None`` if the windows share no mark.

    ``hole``: where the mark may lie, ``bool [h, w]``; without it, its outline is looked for.
    """
    pixels, lattice = windows.pixels, windows.rule.lattice
    total = Sum(pixels.shape[1:3])
    for number, members in enumerate(groups(windows.alike) if lattice is None else _each(len(pixels))):
        on_progress("outline", number, len(pixels))
        field = reduce(np.add, (field_of(pixels[index]) for index in members))
        # A part of the cell that lies on goods in one place may show in the next.
        total.add(field if lattice is None else lattice.averaged(field), len(members))
    if hole is None:
        edge = edges(total)
        if lattice is None:
            edge = shared(pixels[:_OUTLINED], windows.alike[:_OUTLINED, :_OUTLINED], edge)
        if edge.sum() < 40:
            return None
        hole = rough_mask(pixels, edge, np.ones(len(pixels), np.float32))
        if lattice is not None:
            hole = edge | (lattice.averaged(hole.astype(np.float32)) > 0.5)
        hole = widened(hole, 2) if lattice is None else _searched(hole)
    # Some windows are enough to find the hole; the regression in it uses all of them.
    some = np.unique(np.linspace(0, len(pixels) - 1, min(len(pixels), _OUTLINED)).astype(np.intp))
    # Parts of letters without an outline come in from those beside them.
    rounds = [some] * (1 if lattice is None else _TILED_ROUNDS) + [np.arange(len(pixels))]
    matte: Matte | None = None
    for step, used in enumerate(rounds):
        on_progress("regress", step, len(rounds))
        if hole.mean() > 0.9 or not hole.any():
            return None
        matte = regress(pixels, hole, used)
        if lattice is not None:
            matte = repeated(matte, lattice)
        meant = _meant(matte)
        hole = widened(meant, 2) if step == len(rounds) - 2 else _searched(meant)
    assert matte is not None
    on_progress("regress", len(rounds), len(rounds))
    return _made(windows, matte, total)


def _searched(mask: Mask) -> Mask:
    """Where more of a mark that repeats over the picture may lie, if enough of the ground stays free."""
    wide = widened(mask, _TILED_PX)
    return wide if wide.mean() < _TILED_SHARE else widened(mask, 2)


def _each(count: int) -> list[NDArray[np.intp]]:
    return [np.array([index], np.intp) for index in range(count)]


def _meant(matte: Matte) -> Mask:
    """Pixels of the mark: opacity above its error, in parts that reach a good share of the mark's opacity."""
    weak = matte.alpha > np.maximum(0.03, 2 * matte.error)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(weak.astype(np.uint8), connectivity=8)
    if count < 2:
        return weak
    level = _plateau(matte.alpha)
    kept = np.zeros(count, np.bool_)
    strong = np.bincount(labels[matte.alpha > 0.4 * level], minlength=count)
    kept[1:] = (strong[1:] >= 4) & (stats[1:, cv2.CC_STAT_AREA] >= 6)
    return np.asarray(kept[labels])


def _plateau(alpha: Values) -> float:
    """The most frequent opacity of the mark."""
    values = alpha[alpha > 0.03]
    return float(np.percentile(values, 75)) if values.size else 0.0


def _made(windows: Windows, matte: Matte, total: Sum) -> Made | None:
    meant = _meant(matte)
    mask = meant & (matte.alpha > 0.5 * _local_plateau(matte.alpha, meant))
    if mask.sum() < 20:
        return None
    alpha = np.where(widened(meant, 1), matte.alpha, 0).astype(np.float32)
    colour = _extended(matte.colour, meant)
    own = alpha > 0
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    box = (0, 0, *alpha.shape)
    if windows.rule.lattice is None:
        box = (
            max(int(rows[0]) - _MARGIN, 0), max(int(columns[0]) - _MARGIN, 0),
            min(int(rows[-1]) + 1 + _MARGIN, alpha.shape[0]), min(int(columns[-1]) + 1 + _MARGIN, alpha.shape[1]),
        )  # fmt: skip
    view = slice(box[0], box[2]), slice(box[1], box[3])
    rule = likeliest(windows.rule_of(box[0], box[1]), (box[2] - box[0], box[3] - box[1]))
    z = strength_map(total.z())
    edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    quality = Quality(
        samples=len(set(windows.owners.tolist())),
        without=windows.without,
        informative=float(np.median(matte.informative[mask])),
        error=round(float(np.median(matte.error[mask])), 5),
        opacity=round(float(np.median(matte.alpha[mask])), 4),
        z=round(float(np.median(z[edge])), 2),
        margin=round(windows.margin, 2),
        ghost=round(_ghost(windows, alpha, colour, matte.strength), 4),
        strength_spread=round(_spread(matte.strength), 4),
        jitter_px=round(windows.jitter, 3),
    )
    template = Template(
        np.ascontiguousarray(alpha[view]),
        np.ascontiguousarray(colour[view]),
        np.ascontiguousarray(mask[view].astype(np.uint8) * 255),
        rule,
        quality,
    )
    return template, [one.inner(box[0], box[1]) for one in windows.places]


def _local_plateau(alpha: Values, meant: Mask) -> Values:
    """The highest opacity within a few px; the mark's edge lies at half of it."""
    peak = cv2.dilate(np.where(meant, alpha, 0).astype(np.float32), np.ones((9, 9), np.uint8))
    return np.asarray(np.clip(peak, 0.04, 1.2 * _plateau(alpha[meant])), np.float32)


def _extended(colour: Values, known: Mask) -> Values:
    """The mark's colours extended a little beyond its edge, so that scaling mixes no black in."""
    weight = known.astype(np.float32)
    blurred = cv2.blur(colour * weight[..., None], (9, 9)) / np.maximum(cv2.blur(weight, (9, 9)), 1e-3)[..., None]
    return np.asarray(np.where(known[..., None], colour, np.clip(blurred, 0, 255)), np.float32)


def widened(mask: Mask, px: int) -> Mask:
    """``mask`` (``bool [h, w]``), ``px`` wider on each side."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def _ghost(windows: Windows, alpha: Values, colour: Values, strength: Values) -> float:
    """The median ghost score of some cleaned samples.

    A remainder that is too faint to be seen counts less: smooth pictures agree with the faintest remainder.
    """
    scores = []
    for index in np.linspace(0, len(windows.pixels) - 1, min(12, len(windows.pixels))).astype(int):
        strong = np.clip(alpha * strength[index], 0, 0.98)[..., None]
        window = windows.pixels[index].astype(np.float32)
        clean = np.clip((window - strong * colour) / (1 - strong), 0, 255)
        left = ghost_of(np.asarray(clean, np.float32), alpha, colour)
        scores.append(abs(left.score) * min(abs(left.levels) / LEVELS, 1))
    return float(np.median(scores))


def _spread(values: Values) -> float:
    """The standard deviation, by the median: a few samples that hardly show the mark do not decide."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))

"""From a first template to all samples that carry its mark, wherever it lies in them, and to the rule of its places.

A first template comes from samples that have the mark at one place. It is then searched for in every other sample, in
each size that a rule could give it; the places found tell the rule: the side that the mark scales with, the margins,
other corners, or none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.frames import ANCHORS, SCALES, Scale, Size, side
from model.watermark.samples import Spool
from model.watermark.sighting import look, search
from model.watermark.template import Rule, Template
from model.watermark.windows import Placement, Progress, Windows

Pixels = NDArray[np.uint8]
Unit = Literal["mark", "px", "side"]

#: Context around the mark in a window, in px of the template.
_CONTEXT = 24
#: A place follows a rule within this distance, in px of the template; a rule holds for this share of the places.
_NEAR, _HOLDS = 4.0, 0.85
#: A rule that holds yields to another one that so much larger a share of the places follows within this distance, in px
#: of the template: margins in per cent of the sides are nearly those that grow with the mark.
_CLOSE, _CLEARLY = 2.0, 0.2
#: The standard deviation of a box of one px.
_AREA = 12**-0.5


def grown(
    spool: Spool, indices: NDArray[np.intp], template: Template, places: list[Placement], on_progress: Progress
) -> Windows | None:
    """The windows of all samples that carry the mark; ``None`` if those of ``places`` are all.

    ``places``: the known places of the template in samples.
    """
    known, places = {one.owner for one in places}, list(places)
    reference = round(template.rule.reference_height), round(template.rule.reference_width)
    for number, index in enumerate(indices):
        if int(index) in known:
            continue
        on_progress("search", number, len(indices))
        pixels = spool[int(index)]
        size = int(pixels.shape[0]), int(pixels.shape[1])
        sighting = look(pixels, template)
        if sighting is None:
            factors = sorted({round(side(scale, size) / side(scale, reference), 3) for scale in SCALES})
            sighting = search(pixels, template, factors)
        if sighting is not None:
            top, left = sighting.rule.corner(*size)
            factor = sighting.rule.factor(*size)
            places.append(Placement(int(index), top + sighting.shift[0], left + sighting.shift[1], factor))
    if len(places) == len(known):
        return None
    mark = template.alpha.shape[0], template.alpha.shape[1]
    rule = rule_of(places, [spool.sizes[one.owner] for one in places], mark, template.rule)
    return replace(cut(spool, places, mark, rule), without=len(indices) - len(places))


def rule_of(places: list[Placement], sizes: list[Size], mark: Size, first: Rule) -> Rule:
    """The rule that the placements follow; ``first`` if it does."""
    scale = _scale(places, sizes, first)
    base = replace(
        first, scale=scale, shares=None, margin=(0.0, 0.0), also=(), anywhere=False, sizes=tuple(sorted(set(sizes)))
    )
    kept = replace(first, sizes=base.sizes)
    holds = _share(places, sizes, kept) >= _HOLDS and scale == first.scale
    units: tuple[Unit, ...] = ("mark", "px", "side")
    rules = [_fitted(places, sizes, mark, replace(base, anchor=anchor), unit) for anchor in ANCHORS for unit in units]
    order = sorted(rules, key=lambda rule: -_share(places, sizes, rule))
    best = max(order, key=lambda rule: (_share(places, sizes, rule) >= _HOLDS, _share(places, sizes, rule, _CLOSE)))
    if holds and _share(places, sizes, best, _CLOSE) < _share(places, sizes, kept, _CLOSE) + _CLEARLY:
        return kept
    if _share(places, sizes, best) >= _HOLDS:
        return best
    best = order[0]
    # The four corners, or opposite edges: each place is turned to the best rule's corner.
    for rule in order[:6]:
        own = ANCHORS[rule.anchor]
        if 0.5 in own:
            continue
        others = tuple(anchor for anchor, shares in ANCHORS.items() if 0.5 not in shares and anchor != rule.anchor)
        turned = [rule, *replace(rule, also=others).mirrored(mark)]
        counts = [_share(places, sizes, one) for one in turned]
        if sum(counts) >= _HOLDS:
            used = tuple(one.anchor for one, count in zip(turned[1:], counts[1:], strict=True) if count > 0)
            return replace(rule, also=used)
    return replace(best, anywhere=True)


def _scale(places: list[Placement], sizes: list[Size], first: Rule) -> Scale:
    """The side that the sizes of the mark follow."""
    reference = round(first.reference_height), round(first.reference_width)
    factors = np.array([one.factor for one in places])
    apart = [
        float(np.abs(factors / [side(scale, size) / side(scale, reference) for size in sizes] - 1).mean())
        for scale in SCALES
    ]
    own = SCALES.index(first.scale)
    best = int(np.argmin(apart))
    return SCALES[own] if apart[own] <= apart[best] + 0.005 else SCALES[best]


def _share(places: list[Placement], sizes: list[Size], rule: Rule, reach: float = _NEAR) -> float:
    """The share of the placements that follow the rule within ``reach``."""
    near = 0
    for one, size in zip(places, sizes, strict=True):
        top, left = rule.corner(*size)
        near += max(abs(one.top - top), abs(one.left - left)) <= reach * max(one.factor, 1)
    return near / max(len(places), 1)


def _fitted(places: list[Placement], sizes: list[Size], mark: Size, base: Rule, unit: Unit) -> Rule:
    """The rule from the anchor of ``base`` whose margin grows with the mark, not at all, or with the picture's side."""
    offsets, margins, shares = [], [], []
    for axis, share in enumerate(ANCHORS[base.anchor]):
        sides = np.array([size[axis] for size in sizes], float)
        factors = np.array([one.factor for one in places])
        starts = np.array([(one.top, one.left)[axis] for one in places])
        rest = starts - share * (sides - mark[axis] * factors)
        units = {"mark": factors, "px": np.ones(len(places)), "side": sides}[unit]
        margin = _mode(rest / units, _NEAR / units.mean())
        offsets.append(-share * mark[axis] + (margin if unit == "mark" else 0.0))
        margins.append(margin if unit == "px" else 0.0)
        shares.append(share + (margin if unit == "side" else 0.0))
    return replace(
        base,
        down=float(offsets[0]),
        across=float(offsets[1]),
        margin=(float(margins[0]), float(margins[1])),
        shares=(float(shares[0]), float(shares[1])) if unit == "side" else None,
    )


def _mode(values: NDArray[np.float64], reach: float) -> float:
    """The mean of the values around the value that most others are near to."""
    near = np.abs(values[:, None] - values[None]) <= reach
    return float(values[near[int(np.argmax(near.sum(axis=1)))]].mean())


def cut(
    spool: Spool, places: list[Placement], mark: Size, rule: Rule, context: tuple[int, int] = (_CONTEXT, _CONTEXT)
) -> Windows:
    """The windows of the placements, in the template's size, with ``context`` px (rows, columns) on each side."""
    around, beside = context
    height, width = mark[0] + 2 * around, mark[1] + 2 * beside
    pixels = spool.windows(len(places), height, width)
    shifts = np.zeros((len(places), 2))
    for number, one in enumerate(places):
        picture = spool[one.owner]
        top, left = rule.corner(*picture.shape[:2])
        shifts[number] = (one.top - top) / one.factor, (one.left - left) / one.factor
        pixels[number] = _window(picture, one, (height, width), context)
    owners = np.array([one.owner for one in places], np.intp)
    frame = replace(rule, down=rule.down - around, across=rule.across - beside)
    jitter = 0.0 if rule.anywhere else float(np.std(shifts))
    corners = [one.inner(-around, -beside) for one in places]
    return Windows(pixels, owners, corners, jitter, frame, 0, 0.0, spool.alike(owners))


def _window(picture: Pixels, place: Placement, size: Size, context: tuple[int, int]) -> Pixels:
    """The window of a placement; beyond the picture its border repeats."""
    if place.factor > 1:
        # What the area of a pixel of the window averages.
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), _AREA * np.sqrt(place.factor**2 - 1)), np.uint8)
    along = [place.factor * stretch for stretch in place.stretch]
    rows, columns = (
        (start + factor * (np.arange(side) - around + 0.5) - 0.5).astype(np.float32)
        for start, factor, side, around in zip((place.top, place.left), along, size, context, strict=True)
    )
    across, down = np.meshgrid(columns, rows)
    return np.asarray(cv2.remap(picture, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)

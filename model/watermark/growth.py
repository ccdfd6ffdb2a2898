"""From a first template to all samples that carry its mark, wherever it lies in them, and to the rule of its places.

A first template comes from samples that have the mark at one place. It is then searched for in every other sample, in
each size that a rule could give it; the places found tell the rule: the side that the mark scales with, the margins,
other corners, or none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.frames import ANCHORS, SCALES, Scale, Size, side
from model.watermark.samples import Spool
from model.watermark.sighting import look, search
from model.watermark.template import Rule, Template
from model.watermark.windows import Windows

Pixels = NDArray[np.uint8]
Progress = Callable[[str, int, int], None]
Unit = Literal["mark", "px", "side"]

#: Context around the mark in a window, in px of the template.
_CONTEXT = 24
#: A place follows a rule within this distance, in px of the template; a rule holds for this share of the places.
_NEAR, _HOLDS = 4.0, 0.85
#: A rule that holds yields to another one that so much larger a share of the places follows within this distance, in px
#: of the template: margins in per cent of the sides are nearly those that grow with the mark.
_CLOSE, _CLEARLY = 2.0, 0.2


@dataclass(frozen=True)
class Placement:
    """The mark in one sample: the place of the template's corner, and px of the sample per px of the template."""

    owner: int
    top: float
    left: float
    factor: float

    def room(self, picture: Size, mark: Size) -> tuple[float, float]:
        """The larger distance to the picture's borders above or below, and left or right, in px of the template."""
        down, across = (
            max(start, whole - start - side * self.factor, 0.0) / self.factor
            for start, whole, side in zip((self.top, self.left), picture, mark, strict=True)
        )
        return down, across


def grown(
    spool: Spool, indices: NDArray[np.intp], template: Template, windows: Windows, on_progress: Progress
) -> Windows | None:
    """The windows of all samples that carry the mark; ``None`` if those of ``windows`` are all."""
    places = placements(spool, template, windows)
    known = {one.owner for one in places}
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
    return replace(cut(spool, places, mark, rule), without=len(indices) - len(places), margin=windows.margin)


def placements(spool: Spool, template: Template, windows: Windows) -> list[Placement]:
    """The placements of the windows that the template comes from."""
    places = []
    for owner, shift in zip(windows.owners, windows.shifts, strict=True):
        size = spool.sizes[int(owner)]
        top, left = template.rule.corner(*size)
        factor = template.rule.factor(*size)
        places.append(Placement(int(owner), top + factor * shift[0], left + factor * shift[1], factor))
    return places


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
    shifts = np.zeros((len(places), 2), np.intp)
    for number, one in enumerate(places):
        picture = spool[one.owner]
        top, left = rule.corner(*picture.shape[:2])
        shifts[number] = np.rint((one.top - top) / one.factor), np.rint((one.left - left) / one.factor)
        tall, wide = round(height * one.factor), round(width * one.factor)
        rows = np.clip(round(one.top - around * one.factor) + np.arange(tall), 0, picture.shape[0] - 1)
        columns = np.clip(round(one.left - beside * one.factor) + np.arange(wide), 0, picture.shape[1] - 1)
        part = np.ascontiguousarray(picture[np.ix_(rows, columns)])
        if (tall, wide) != (height, width):
            how = cv2.INTER_AREA if one.factor > 1 else cv2.INTER_CUBIC
            part = np.asarray(cv2.resize(part, (width, height), interpolation=how), np.uint8)
        pixels[number] = part
    owners = np.array([one.owner for one in places], np.intp)
    frame = replace(rule, down=rule.down - around, across=rule.across - beside)
    if rule.anywhere:
        shifts[:] = 0
    return Windows(pixels, owners, shifts, frame, 0, 0.0, spool.alike(owners))

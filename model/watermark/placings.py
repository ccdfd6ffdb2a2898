"""Possible places of a mark in a picture of a size that no sample had: one for each rule that fits all samples.

Samples of one size do not determine the anchor or the scale, and samples of one width hardly do. Every rule that
reproduces the samples' places stays possible. The searched picture decides between the rules.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product

from model.watermark.frames import ANCHORS, SCALES
from model.watermark.template import Rule

Size = tuple[int, int]
#: Top, left, height and width.
Box = tuple[float, float, float, float]

#: Two rules are equal for a picture if the sides of their boxes differ by at most this, in px.
_SAME_PLACE, _SAME_EXTENT = 3.0, 1.5
#: Least share of a mark inside the picture.
_LEAST_INSIDE = 0.9


def placings(rule: Rule, mark: Size, picture: Size) -> list[Rule]:
    """``rule``, and the other rules that fit its samples and that differ from it in this picture.

    ``mark``, ``picture``: height and width. Only ``rule`` if a sample had this size.
    """
    if picture in rule.sizes or not rule.sizes or rule.fixed:
        return [rule]
    rules, boxes = [rule], [_box(rule, mark, picture)]
    for other in _open(rule, mark):
        box = _box(other, mark, picture)
        if not any(_same(box, known) for known in boxes) and _inside(box, picture) >= _LEAST_INSIDE:
            rules.append(other)
            boxes.append(box)
    return rules


def likeliest(rule: Rule, mark: Size) -> Rule:
    """Of the rules that fit all samples, the one from the anchor nearest to the mark, as people usually place marks.

    ``rule`` itself where its samples leave no other open.
    """
    if not rule.sizes or rule.fixed:
        return rule
    height, width = _reference(rule)
    top, left, tall, wide = _box(rule, mark, (height, width))
    middle = (top + tall / 2) / height, (left + wide / 2) / width
    wanted = tuple(min(max(int(3 * share), 0), 2) / 2 for share in middle)
    near = (one for one in _open(rule, mark) if one.scale == rule.scale and ANCHORS[one.anchor] == wanted)
    return next(near, rule)


@lru_cache(maxsize=32)
def _open(rule: Rule, mark: Size) -> tuple[Rule, ...]:
    """Every rule that gives the same place as ``rule`` in all samples."""
    height, width = _reference(rule)
    factor = rule.factor(height, width)
    top, left = rule.corner(height, width)
    rules = []
    for scale, (anchor, (down, across)) in product(SCALES, ANCHORS.items()):
        if scale == "pixels" and abs(factor - 1) > 0.01:
            continue
        other = replace(
            rule,
            anchor=anchor,
            scale=scale,
            down=(top - down * height) / factor,
            across=(left - across * width) / factor,
            reference_width=round(width / factor),
            reference_height=round(height / factor),
        )
        if all(_same(_box(other, mark, size), _box(rule, mark, size)) for size in rule.sizes):
            rules.append(other)
    return tuple(rules)


def _reference(rule: Rule) -> Size:
    """The size of a sample that is nearest to the reference."""
    return min(rule.sizes, key=lambda size: abs(size[1] - rule.reference_width))


def _box(rule: Rule, mark: Size, picture: Size) -> Box:
    factor = rule.factor(*picture)
    return (*rule.corner(*picture), mark[0] * factor, mark[1] * factor)


def _same(one: Box, other: Box) -> bool:
    apart = [abs(mine - its) for mine, its in zip(one, other, strict=True)]
    return max(apart[:2]) <= _SAME_PLACE and max(apart[2:]) <= _SAME_EXTENT


def _inside(box: Box, picture: Size) -> float:
    """The share of the box that lies in the picture."""
    top, left, height, width = box
    rows = min(top + height, picture[0]) - max(top, 0)
    columns = min(left + width, picture[1]) - max(left, 0)
    return max(rows, 0) * max(columns, 0) / (height * width)

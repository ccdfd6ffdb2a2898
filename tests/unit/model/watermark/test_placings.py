"""Pictures of sizes that no sample had: the mark is found by every rule that fits the samples, and only there."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.marks import Scene, scaled, text
from model.watermark.estimate import estimate
from model.watermark.frames import ANCHORS
from model.watermark.growth import rule_of
from model.watermark.placings import likeliest, placings
from model.watermark.remove import remove
from model.watermark.sighting import look, shown_mask
from model.watermark.template import Rule, Template
from model.watermark.windows import Placement
from tests.unit.model.watermark.scenes import marked, samples, texture

WIDE, HIGH = 240, 180
#: Width and height.
OTHER = ((300, 225), (200, 240), (320, 200))
CORNER = Scene(text(110, "SHOP"), 0.4, (1, 1), margin=8, sizes=((WIDE, HIGH),))


@cache
def template() -> Template:
    rng = np.random.default_rng(0)
    (only,) = estimate(samples([marked(CORNER, rng)[0] for _ in range(30)])).templates
    return only


@pytest.mark.parametrize(("size", "scale"), list(product(OTHER, ("pixels", "width", "height"))))
def test_the_mark_is_found_in_other_sizes_by_whichever_rule_holds(size: tuple[int, int], scale: str) -> None:
    assert template().rule.sizes == ((HIGH, WIDE),)
    factor = {"pixels": 1.0, "width": size[0] / WIDE, "height": size[1] / HIGH}[scale]
    shown = replace(CORNER, mark=scaled(CORNER.mark, factor), margin=round(8 * factor), sizes=(size,))
    rng = np.random.default_rng(5)
    for _ in range(3):
        given_, original, alpha = marked(shown, rng)
        sighting, removal = look(given_, template()), remove(given_, template(), noise=0.6)
        assert sighting is not None and removal is not None
        mask, true = shown_mask(given_.shape, template(), sighting), alpha > 0.2
        assert (mask & true).sum() / (mask | true).sum() > 0.6
        where = alpha > 0.02
        before, after = (np.square(one.astype(float) - original)[where].mean() for one in (given_, removal.pixels))
        assert after < before / 20


@pytest.mark.parametrize("size", [(WIDE, HIGH), *OTHER])
def test_pictures_without_the_mark_are_left_alone_in_every_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(6)
    assert all(look(texture(rng, size[1], size[0]), template()) is None for _ in range(25))


sides = st.integers(120, 900)


@given(
    st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from(sorted(ANCHORS)), st.floats(0, 1), st.floats(0, 1)
)
def test_every_placing_agrees_with_the_sample_and_the_own_rule_comes_first(
    size: tuple[int, int], picture: tuple[int, int], anchor: str, down: float, across: float
) -> None:
    mark = (20, 50)
    rows, columns = ANCHORS[anchor]
    top, left = down * (size[0] - mark[0]), across * (size[1] - mark[1])
    rule = Rule(anchor, "pixels", top - rows * size[0], left - columns * size[1], size[1], size[0], sizes=(size,))
    rules = placings(rule, mark, picture)
    assert rules[0] == rule
    for one in (*rules, likeliest(rule, mark)):
        assert one.factor(*size) == pytest.approx(1, abs=0.02)
        assert one.corner(*size) == pytest.approx(rule.corner(*size), abs=3)
    assert placings(rule, mark, size) == [rule]


def test_samples_of_one_width_leave_open_what_they_cannot_tell_and_no_more() -> None:
    rule = Rule("bottom-left", "pixels", -30, 700, 800, 600, sizes=((600, 800), (900, 800)))
    rules = placings(rule, (20, 60), (500, 1000))
    assert {ANCHORS[one.anchor][0] for one in rules} == {1.0}
    assert {(one.anchor, one.scale) for one in rules} >= {("bottom-right", "pixels"), ("bottom-left", "width")}
    assert not any(one.scale == "height" for one in rules)
    assert likeliest(rule, (20, 60)).anchor == "bottom-right"


def test_samples_of_many_sizes_leave_one_rule() -> None:
    rule = Rule("bottom-right", "pixels", -30, -80, 800, 600, sizes=((600, 800), (900, 700), (400, 1000)))
    assert placings(rule, (20, 60), (777, 555)) == [rule] == [likeliest(rule, (20, 60))]


def test_a_template_of_the_first_version_keeps_its_one_rule() -> None:
    now, old = io.BytesIO(template().to_bytes()), io.BytesIO()
    with zipfile.ZipFile(now) as source, zipfile.ZipFile(old, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename == "template.json":
                told = json.loads(data)
                assert told["rule"].pop("sizes") == [[HIGH, WIDE]]
                del told["rule"]["reference_height"]
                data = json.dumps({**told, "version": 1, "rule": {**told["rule"], "proven": False}}).encode()
            target.writestr(entry, data)
    read = Template.from_bytes(old.getvalue())
    assert read.rule == replace(template().rule, sizes=(), reference_height=0)
    assert placings(read.rule, (20, 60), (500, 500)) == [read.rule]


def test_margins_in_per_cent_are_told_from_margins_that_grow_with_the_mark() -> None:
    """Both rules hold within 4 px for these samples; in a wide picture they are far apart."""
    mark, sizes = (20, 120), [(360 + 24 * (n % 5), 300 + 26 * (n % 8)) for n in range(24)]

    def corner(height: int, width: int) -> tuple[float, float]:
        factor = width / 400
        return 0.97 * height - mark[0] * factor, 0.97 * width - mark[1] * factor

    places = [Placement(n, *corner(*size), size[1] / 400) for n, size in enumerate(sizes)]
    top, left = corner(450, 400)
    grown = Rule("bottom-right", "width", top - 450, left - 400, 400, 450)
    rule = rule_of(places, sizes, mark, grown)
    for size in ((300, 900), (900, 500)):
        assert rule.corner(*size) == pytest.approx(corner(*size), abs=2)

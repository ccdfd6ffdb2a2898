"""Flat ground under a mark is continued, also where goods touch a part of the mark's rim."""

from __future__ import annotations

import numpy as np
import pytest

from bench.marks import logo
from model.watermark.recover import Recovery, grounded, unblend
from model.watermark.sighting import Sighting
from model.watermark.template import Rule


def disc(given: np.ndarray, error: float, opacity: float) -> Recovery:
    alpha = opacity * np.pad(logo(60).coverage, 20)
    shown = given * (1 - alpha[..., None]) + 90 * alpha[..., None]
    view = slice(0, 100), slice(0, 100)
    wrong = np.where(alpha > 0, np.float32(error), np.float32(1))
    return Recovery(
        view, shown, np.where(alpha[..., None] > 0, np.float32(90), shown), wrong, alpha, shown, np.zeros_like(alpha)
    )


def test_white_goes_on_under_an_opaque_mark_that_goods_touch() -> None:
    given = np.full((100, 100, 3), 255, np.float32)
    given[:, :21] = 40
    recovery = disc(given, 1e4, 1.0)
    found = grounded(recovery)
    white = (found.value > 250).all(axis=2)
    assert white[40:60, 60:74].all() and (found.error[40:60, 60:74] < 1).all()
    # Beside the goods nothing says where they end.
    assert not white[45:55, 25:45].any()


def test_values_that_differ_from_the_flat_ground_stay() -> None:
    given = np.full((100, 100, 3), 255, np.float32)
    given[:, :21] = 40
    recovery = disc(given, 5.0, 0.5)
    assert (grounded(recovery).value == recovery.value).all()


def test_values_at_the_edges_of_a_mark_may_differ_more_from_the_flat_ground() -> None:
    given = np.full((100, 100, 3), 200, np.float32)
    alpha, colour = np.zeros((100, 100), np.float32), np.zeros((100, 100, 3), np.float32)
    alpha[30:70, 30:70] = 0.5
    value = given.copy()
    # An edge a tenth of a pixel aside, and as much in the middle, where it is something under the mark.
    value[30, 30:70] += 20
    value[48:52, 48:52] += 20
    shown = given * (1 - alpha[..., None])
    view = slice(0, 100), slice(0, 100)
    aside = np.zeros_like(alpha)
    aside[30, 30:70] = 6
    recovery = Recovery(view, shown, value, np.full((100, 100), 2, np.float32), alpha, colour, aside)
    found = grounded(recovery)
    assert (found.value[30, 30:70] == 200).all()
    assert (found.value[48:52, 48:52] == 220).all()


@pytest.mark.parametrize(("reference", "least", "most"), [(100, 0.0, 0.01), (80, 1.0, 100.0)])
def test_edges_of_a_mark_weigh_as_much_as_its_middle_unless_it_was_scaled(
    reference: int, least: float, most: float
) -> None:
    given = np.full((100, 100, 3), 120, np.uint8)
    alpha = np.zeros((40, 40), np.float32)
    alpha[4:36, 4:36] = 0.4
    rule = Rule("top-left", "width", 24, 24, reference, reference)
    sighting = Sighting(30, 30, alpha, np.zeros((40, 40, 3), np.float32), 1.0, (0, 0), 10.0, rule)
    found = unblend(given, sighting, noise=2.0, alpha_error=0.01)
    assert least <= np.ptp(found.error[found.alpha > 0.3]) <= most

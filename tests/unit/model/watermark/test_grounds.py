"""Flat ground under a mark is continued, also where goods touch a part of the mark's rim."""

from __future__ import annotations

import numpy as np

from bench.marks import logo
from model.watermark.recover import Recovery, grounded


def opaque_disc(given: np.ndarray, error: float) -> Recovery:
    alpha = np.pad(logo(60).coverage, 20)
    shown = given * (1 - alpha[..., None]) + 90 * alpha[..., None]
    view = slice(0, 100), slice(0, 100)
    wrong = np.where(alpha > 0, np.float32(error), np.float32(1))
    return Recovery(view, shown, np.where(alpha[..., None] > 0, np.float32(90), shown), wrong, alpha, shown)


def test_white_goes_on_under_an_opaque_mark_that_goods_touch() -> None:
    given = np.full((100, 100, 3), 255, np.float32)
    given[:, :21] = 40
    recovery = opaque_disc(given, 1e4)
    found = grounded(recovery)
    white = (found.value > 250).all(axis=2)
    assert white[40:60, 60:74].all() and (found.error[40:60, 60:74] < 1).all()
    # Beside the goods nothing says where they end.
    assert not white[45:55, 25:45].any()


def test_values_that_differ_from_the_flat_ground_stay() -> None:
    given = np.full((100, 100, 3), 255, np.float32)
    given[:, :21] = 40
    recovery = opaque_disc(given, 5.0)
    assert (grounded(recovery).value == recovery.value).all()

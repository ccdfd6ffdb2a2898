"""The colours of a mark come to an end, whatever the regression found."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from model.watermark.palette import palette_of


def test_where_most_pixels_have_no_opacity_a_colour_is_found_all_the_same() -> None:
    alpha, error = np.zeros(100, np.float32), np.full(100, 0.05, np.float32)
    alpha[:5] = 0.02
    colours = palette_of(alpha, np.full((100, 3), 0.02 * 200, np.float32) * (alpha[:, None] > 0), error)
    assert len(colours) >= 1
    assert np.isfinite(colours).all()


def test_two_colours_are_told_apart_the_commonest_first() -> None:
    alpha, error = np.full(90, 0.5, np.float32), np.full(90, 0.01, np.float32)
    tints = np.array([[250, 250, 250]] * 60 + [[200, 20, 30]] * 30, np.float32)
    assert palette_of(alpha, tints * 0.5, error) == pytest.approx(tints[[0, -1]], abs=1)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.01, 0.1, 0.5]), st.sampled_from([0.005, 0.05, 1.0]))
def test_any_regression_has_a_palette(seed: int, opacity: float, error: float) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 200))
    alpha = np.clip(rng.normal(opacity, 0.1, count), 0, 1).astype(np.float32)
    shift = rng.normal(alpha[:, None] * 128, 60, (count, 3)).astype(np.float32)
    colours = palette_of(alpha, shift, np.full(count, error, np.float32))
    assert 1 <= len(colours) <= 4
    assert ((colours >= 0) & (colours <= 255)).all()

"""The seam: differences match the paper, low frequencies follow the rim, and white stays white."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.colour_difference import border_steps, delta_e_2000
from model.repair import seam
from model.repair.hole import lay
from model.repair.seam import keep_flat, near_known, rim_matched

Pixels = NDArray[np.uint8]


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        # Sharma, Wu and Dalal 2005, table 1: pairs 1, 4, 7, 8, 13, 17, 20, 25, 30, 34.
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((36.4612, 47.858, 18.3852), (36.2715, 50.5065, 21.2231), 1.4146),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_are_those_of_the_paper(
    first: tuple[float, ...], second: tuple[float, ...], difference: float
) -> None:
    measured = delta_e_2000(np.array(first, np.float64), np.array(second, np.float64))
    assert measured == pytest.approx(difference, abs=1e-4)


def ramp(height: int = 120, width: int = 160) -> Pixels:
    across = np.linspace(90, 190, width)[None, :, None]
    return np.rint(np.broadcast_to(across + np.array([0, 10, -20]), (height, width, 3))).astype(np.uint8)


def box_hole(height: int = 120, width: int = 160) -> Pixels:
    hole = np.zeros((height, width), np.uint8)
    hole[40:70, 50:120] = 255
    return hole


def test_a_shift_of_the_whole_fill_is_taken_back() -> None:
    source, hole = ramp(), box_hole()
    fill = source.copy()
    fill[hole > 0] += np.array([9, 5, 0], np.uint8)
    before, after = border_steps(fill, hole).mean(), border_steps(rim_matched(source, fill, hole), hole).mean()
    assert before > 2
    assert after < 0.4


def test_a_large_window_is_corrected_on_a_coarser_grid_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random, source = np.random.default_rng(3), ramp(301, 403)
    hole = np.zeros(source.shape[:2], np.uint8)
    for top, left in random.integers(0, 380, (40, 2)):
        hole[top : top + 14, left : left + 40] = 255
    fill = source.copy()
    fill[hole > 0] += np.array([9, 5, 0], np.uint8)
    exact = rim_matched(source, fill, hole)
    monkeypatch.setattr(seam, "_ENOUGH_PLACES", hole.size // 5)
    coarse = rim_matched(source, fill, hole)
    assert np.abs(coarse.astype(int) - exact).mean() < 0.15
    assert border_steps(coarse, hole).mean() < 0.4
    assert np.array_equal(coarse[hole == 0], fill[hole == 0])


def test_a_fill_that_fits_is_left_nearly_as_it_is() -> None:
    source, hole = ramp(), box_hole()
    assert np.abs(rim_matched(source, source, hole).astype(int) - source).max() <= 2


@pytest.mark.parametrize("white", [255, 253, 60_000])
def test_a_flat_background_is_continued_exactly(white: int) -> None:
    kind = np.uint16 if white > 255 else np.uint8
    source = np.full((120, 160, 3), white, kind)
    hole = box_hole()
    fill = source.copy()
    fill[hole > 0] -= np.random.default_rng(1).integers(0, 7, (int((hole > 0).sum()), 3)).astype(kind)
    assert (keep_flat(source, fill, hole) == white).all()


def test_a_flat_rim_with_fine_grain_gives_its_median() -> None:
    random, hole = np.random.default_rng(4), box_hole()
    source = (200 + random.integers(-2, 3, (120, 160, 3))).astype(np.uint8)
    fill = source.copy()
    fill[hole > 0] = 150
    flat = keep_flat(source, fill, hole)[hole > 0]
    assert np.abs(flat.astype(int) - 200).max() <= 1


def test_a_mark_that_rings_into_a_uniform_rim_does_not_hide_that_it_is_flat() -> None:
    random, hole = np.random.default_rng(5), box_hole()
    source = np.full((120, 160, 3), 255, np.uint8)
    ringing = random.random((120, 160)) < 0.12
    source[ringing] -= 5
    fill = source.copy()
    fill[hole > 0] = 230
    assert (keep_flat(source, fill, hole)[hole > 0] == 255).all()


def test_the_look_at_histograms_hides_no_flat_rim() -> None:
    # As dark, as bright and with as much grain as a flat rim may have, and an even number of pixels beside an odd one.
    random = np.random.default_rng(8)
    for base, grain in ((1, 3), (254, 3), (128, 3), (7, 2)):
        for count in (400, 401):
            around = np.clip(base + random.integers(-grain, grain + 1, (count, 3)), 0, 255).astype(np.uint8)
            middle = np.median(around, axis=0)
            flat = (np.abs(around - middle) <= 3).all(axis=1).mean() >= 0.97
            assert seam._may_be_flat(around) or not flat


def test_a_textured_rim_keeps_the_fill() -> None:
    random, hole = np.random.default_rng(6), box_hole()
    source = random.integers(180, 220, (120, 160, 3)).astype(np.uint8)
    fill = source.copy()
    fill[hole > 0] = 150
    assert (keep_flat(source, fill, hole)[hole > 0] == 150).all()


def test_a_white_background_stays_white_beside_the_product() -> None:
    source, hole = np.full((120, 160, 3), 255, np.uint8), box_hole()
    source[:, 85:] = (150, 40, 60)
    fill = source.copy()
    fill[hole > 0] -= 3
    result = lay(source, fill, hole, 0)
    assert (result[:, :80] == 255).all()
    assert np.abs(result[:, 90:].astype(int) - (150, 40, 60)).max() <= 4


def test_nothing_changes_outside_the_hole_and_soft_paint_is_laid_in_by_its_strength() -> None:
    source, hole = ramp(), box_hole()
    soft = np.zeros_like(hole)
    soft[40:70, 100:120] = np.linspace(120, 30, 20).astype(np.uint8)
    other = np.random.default_rng(2).integers(0, 255, source.shape).astype(np.uint8)
    before = source.copy()
    for feather, strength in ((0, None), (2, soft)):
        result = lay(source, other, hole, feather, strength)
        assert np.array_equal(result[hole == 0], source[hole == 0])
        assert np.array_equal(source, before)
    apart = np.abs(result.astype(int) - source).mean(axis=(0, 2))
    assert apart[118] < apart[101]


def test_without_matching_the_hole_holds_the_fill_level_for_level() -> None:
    source, hole = ramp(), box_hole()
    fill = np.random.default_rng(9).integers(0, 256, source.shape).astype(np.uint8)
    result = lay(source, fill, hole, 0, match_colour=False)
    assert np.array_equal(result[hole > 0], fill[hole > 0])
    assert np.array_equal(result[hole == 0], source[hole == 0])


def test_known_pixels_count_in_the_first_two_pixels_of_a_hole_where_the_fill_is_near_them() -> None:
    source, hole = np.full((32, 32, 3), 100, np.uint8), np.zeros((32, 32), np.uint8)
    hole[8:24, 8:24] = 255
    fill = np.full_like(source, 112)
    fill[:, 16:] = 200
    source[hole > 0] = 255
    result = near_known(source, fill, hole)
    near, far = result[16, 8:12, 0], result[16, 20:24, 0]
    assert 100 < near[0] < near[1] < 112
    assert (near[2:] == 112).all()
    assert (far == 200).all()
    assert np.array_equal(result[hole == 0], fill[hole == 0])

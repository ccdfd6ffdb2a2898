"""Plans cover every masked pixel, lie on the grid, and cost no more than they must."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.engine.costs import Costs, costs_for
from model.engine.plan import ALIGN, LEAST_SIDE, Plan, make_plan, tile_weights
from model.repair.hole import Mask, blend_weights, default_dilation, dilate

COSTS = costs_for("fourier-unet", "cpu")

sides = st.integers(1, 1900)


@st.composite
def holes(draw: st.DrawFn) -> Mask:
    """Masks of a few boxes, at least one pixel of them set."""
    height, width = draw(sides), draw(sides)
    hole = np.zeros((height, width), np.uint8)
    for _ in range(draw(st.integers(1, 4))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        hole[top : top + draw(st.integers(1, 400)), left : left + draw(st.integers(1, 400))] = 255
    return hole


def covered(plan: Plan, hole: Mask) -> Mask:
    seen = np.zeros_like(hole)
    for region in plan.regions:
        for tile in region.tiles:
            seen[tile.top : tile.bottom, tile.left : tile.right] = 255
    return seen


@settings(max_examples=60)
@given(holes())
def test_every_masked_pixel_lies_in_a_tile(hole: Mask) -> None:
    plan = make_plan(hole)
    assert (covered(plan, hole)[hole > 0] == 255).all()


@settings(max_examples=60)
@given(holes())
def test_boxes_lie_on_the_grid_and_are_large_enough_for_every_network(hole: Mask) -> None:
    for region in make_plan(hole).regions:
        for box in (region.box, *region.tiles):
            assert min(box.top, box.left) >= 0
            assert all(edge % ALIGN == 0 for edge in (box.top, box.left, box.height, box.width))
            assert min(box.height, box.width) >= LEAST_SIDE
        if region.guide is not None:
            assert min(region.box.height, region.box.width) // region.guide >= LEAST_SIDE
        for tile in region.tiles:
            assert tile.area <= COSTS.most_px


@settings(max_examples=40)
@given(holes())
def test_tile_weights_are_positive_and_sum_to_one_where_tiles_overlap(hole: Mask) -> None:
    for region in make_plan(hole).regions:
        complete = len(region.tiles) > 0
        total = np.zeros((region.box.height, region.box.width))
        count = np.zeros_like(total)
        for tile, weight in zip(region.tiles, tile_weights(region), strict=True):
            assert weight.shape == (tile.height, tile.width)
            assert (weight > 0).all()
            window = np.s_[
                tile.top - region.box.top : tile.bottom - region.box.top,
                tile.left - region.box.left : tile.right - region.box.left,
            ]
            total[window] += weight
            count[window] += 1
        assert complete
        assert total[count > 0].max() <= 1 + 1e-3


def test_a_corner_logo_is_repaired_in_its_corner() -> None:
    hole = np.zeros((1600, 1200), np.uint8)
    hole[1500:1560, 1000:1160] = 255
    (region,) = make_plan(hole).regions
    assert region.tiles == (region.box,)
    assert region.box.area < 0.07 * hole.size


def test_regions_come_in_few_sizes() -> None:
    sizes = set()
    for left in range(0, 1100, 7):
        hole = np.zeros((1600, 1200), np.uint8)
        hole[700 : 760 + left // 20, left : left + 90 + left // 11] = 255
        sizes |= {side for region in make_plan(hole).regions for side in (region.box.height, region.box.width)}
    assert len(sizes) <= 10


def test_dear_passes_join_regions_and_cheap_ones_keep_them_apart() -> None:
    hole = np.zeros((1000, 1000), np.uint8)
    for corner in (40, 930):
        hole[corner : corner + 20, corner : corner + 20] = 255
    assert make_plan(hole, Costs(pass_ms=0, ns_per_px=1000, most_px=10**6)).tiles_total == 2
    assert make_plan(hole, Costs(pass_ms=5000, ns_per_px=1000, most_px=2 * 10**6)).tiles_total == 1


def test_text_tiled_over_a_picture_is_one_pass_where_it_fits() -> None:
    hole = np.zeros((1600, 1200), np.uint8)
    hole[::40, ::3] = 255
    assert make_plan(hole, Costs(pass_ms=5, ns_per_px=1000, most_px=2_100_000)).tiles_total == 1
    assert make_plan(hole, Costs(pass_ms=5, ns_per_px=1000, most_px=1_100_000)).tiles_total > 1


def test_a_wide_hole_over_a_large_picture_is_guided_by_a_smaller_copy_and_thin_text_is_not() -> None:
    wide, thin = np.zeros((2200, 2600), np.uint8), np.zeros((2200, 2600), np.uint8)
    wide[300:1900, 300:2300] = 255
    thin[300:1900:50, 300:2300] = 255
    (region,) = make_plan(wide).regions
    assert region.guide is not None
    assert region.box.area <= region.guide**2 * COSTS.most_px
    assert [one.guide for one in make_plan(thin).regions] == [None]
    assert make_plan(wide).tiles_total == len(region.tiles) + 1
    assert "guided at 1/" in str(make_plan(wide))


def test_a_wide_hole_in_one_pass_is_guided_too_and_letters_are_not() -> None:
    for half, guide in ((12, None), (20, 2), (35, 3)):
        hole = np.zeros((600, 480), np.uint8)
        hole[300 - half : 300 + half] = 255
        plan = make_plan(hole)
        assert [(len(region.tiles), region.guide) for region in plan.regions] == [(1, guide)]
    # The smaller copy would be too small for the network.
    small = np.zeros((96, 96), np.uint8)
    small[20:76, 20:76] = 255
    assert [region.guide for region in make_plan(small).regions] == [None]


def test_the_expected_time_counts_passes_and_pixels() -> None:
    hole = np.zeros((300, 300), np.uint8)
    hole[140:160, 140:160] = 255
    plan = make_plan(hole)
    costs = Costs(pass_ms=10, ns_per_px=1000, most_px=10**6)
    assert plan.cost_ms(costs) == 10 + plan.pixels_total / 1000


def test_two_far_marks_are_two_regions_and_two_near_ones_are_one() -> None:
    far, near = np.zeros((900, 900), np.uint8), np.zeros((900, 900), np.uint8)
    far[10:30, 10:90] = far[850:880, 800:880] = 255
    near[10:30, 10:90] = near[40:60, 10:90] = 255
    assert len(make_plan(far).regions) == 2
    assert len(make_plan(near).regions) == 1


def test_a_mark_over_a_large_picture_becomes_overlapping_tiles() -> None:
    hole = np.full((2000, 1600), 255, np.uint8)
    plan = make_plan(hole)
    assert plan.tiles_total > 4
    assert (covered(plan, hole) == 255).all()


def test_a_mask_of_specks_is_planned_without_a_region_for_each() -> None:
    hole = np.zeros((4000, 4000), np.uint8)
    hole[::150, ::150] = 255
    assert len(make_plan(hole).regions) == 1


@settings(max_examples=60)
@given(holes(), st.integers(0, 8), st.integers(0, 5))
def test_blend_is_zero_outside_the_hole_and_full_on_what_was_painted(hole: Mask, reach: int, feather: int) -> None:
    wide = dilate(hole, reach)
    assert (wide[hole > 0] == 255).all()
    weights = blend_weights(wide, min(feather, max(reach - 1, 0)))
    assert (weights[wide == 0] == 0).all()
    assert (weights[wide > 0] > 0).all()
    assert (weights[hole > 0] > 0.99).all()


def test_widening_grows_with_the_picture_from_3_to_5_px() -> None:
    assert default_dilation(400, 300) == 3
    assert default_dilation(1600, 1200) == 4
    assert default_dilation(6000, 4000) == 5

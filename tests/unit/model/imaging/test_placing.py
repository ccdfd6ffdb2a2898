"""One mask for pictures of many shapes: the mark keeps its distance to the anchor and scales as the placement says."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from model.errors import MaskRejected
from model.imaging import Limits
from model.imaging.mask_files import decode_mask
from model.imaging.placing import Anchor, Placement, Scale, place
from model.repair.task import read

LIMITS = Limits(max_bytes=1 << 20, max_pixels=1 << 22)


def drawn(size: tuple[int, int], left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
    mask = np.zeros(size[::-1], np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def box_of(mask: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that are at least half marked."""
    rows, columns = np.nonzero(mask > 127)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(
    ("anchor", "left", "top"),
    [
        ("top_left", 60, 70),
        ("top", 110, 70),
        ("top_right", 160, 70),
        ("left", 60, 95),
        ("center", 110, 95),
        ("right", 160, 95),
        ("bottom_left", 60, 120),
        ("bottom", 110, 120),
        ("bottom_right", 160, 120),
    ],
)
def test_mark_keeps_its_distance_to_the_anchor(anchor: Anchor, left: int, top: int) -> None:
    placed = place(drawn((100, 100), 60, 70, 90, 80), Placement(anchor), width=200, height=150)
    assert placed.shape == (150, 200)
    assert box_of(placed) == (left, top, left + 30, top + 10)


@pytest.mark.parametrize(("scale", "factor"), [("none", 1), ("width", 4), ("height", 2), ("shorter", 2), ("longer", 4)])
def test_mark_grows_with_the_side_it_is_told_to(scale: Scale, factor: int) -> None:
    mask = drawn((100, 50), 80, 40, 96, 48)
    placed = place(mask, Placement("bottom_right", scale), width=400, height=100)
    right, bottom = 400 - 4 * factor, 100 - 2 * factor
    assert box_of(placed) == (right - 16 * factor, bottom - 8 * factor, right, bottom)


def test_mark_shrinks_without_losing_thin_strokes() -> None:
    mask = drawn((1000, 1000), 100, 500, 900, 503)
    placed = place(mask, Placement("center", "width"), width=250, height=400)
    assert (placed[:, 30:220].max(axis=0) > 100).all()


@given(
    own=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    picture=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    anchor=st.sampled_from(Anchor.__args__),  # type: ignore[attr-defined]
    scale=st.sampled_from(Scale.__args__),  # type: ignore[attr-defined]
)
def test_result_has_the_pictures_size_and_whole_masks_stay_whole(
    own: tuple[int, int], picture: tuple[int, int], anchor: Anchor, scale: Scale
) -> None:
    mask = np.full((own[1], own[0]), 255, np.uint8)
    placed = place(mask, Placement(anchor, scale), width=picture[0], height=picture[1])
    assert placed.shape == (picture[1], picture[0])
    if own == picture:
        assert (placed == 255).all()


def test_mask_of_another_shape_is_refused_without_a_placement_and_placed_with_one() -> None:
    file = io.BytesIO()
    Image.fromarray(drawn((100, 100), 90, 90, 98, 98)).save(file, "PNG")
    with pytest.raises(MaskRejected, match="100x100"):
        decode_mask(file.getvalue(), LIMITS, width=300, height=120)
    placed = decode_mask(file.getvalue(), LIMITS, width=300, height=120, placement=Placement("bottom_right"))
    assert box_of(placed) == (290, 110, 298, 118)


def test_relative_boxes_fit_every_picture() -> None:
    shapes = json.dumps({"units": "relative", "boxes": [[0.5, 0.75, 0.25, 0.25]]}).encode()
    assert box_of(decode_mask(shapes, LIMITS, width=40, height=80)) == (20, 60, 30, 80)
    assert box_of(decode_mask(shapes, LIMITS, width=400, height=20)) == (200, 15, 300, 20)


def test_boxes_of_one_picture_are_placed_on_another() -> None:
    shapes = json.dumps({"size": [100, 100], "boxes": [[80, 90, 10, 5]]}).encode()
    placed = decode_mask(shapes, LIMITS, width=50, height=200, placement=Placement("bottom_right", "width"))
    left, top, right, bottom = box_of(placed)
    assert (left, right) == (40, 45)
    assert (top, bottom) in {(195, 197), (195, 198), (194, 197)}


def test_relative_shapes_with_a_size_are_refused() -> None:
    shapes = json.dumps({"units": "relative", "size": [10, 10], "boxes": [[0, 0, 1, 1]]}).encode()
    with pytest.raises(MaskRejected, match="relative"):
        decode_mask(shapes, LIMITS, width=40, height=80)


def test_pages_of_other_shapes_get_the_mark_at_their_own_anchor() -> None:
    file = io.BytesIO()
    pages = [Image.new("RGB", size, "teal") for size in ((64, 64), (128, 48))]
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    mask = io.BytesIO()
    Image.fromarray(drawn((64, 64), 48, 48, 60, 60)).save(mask, "PNG")
    task = read(file.getvalue(), mask.getvalue(), limits=LIMITS, dilation_px=0, placement=Placement("bottom_right"))
    assert [box_of(part.hole) for part in task.parts] == [(48, 48, 60, 60), (112, 32, 124, 44)]

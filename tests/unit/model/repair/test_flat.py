"""Flat ground goes on inside the hole, also where goods are near; edges and texture are the network's."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from model.engine.inpainter import LaMaInpainter
from model.repair.flat import with_flat_ground
from model.repair.hole import lay

Pixels = NDArray[np.uint8]
SAMPLES = Path(__file__).parents[4] / "samples"


def disc(size: int = 160, radius: int = 30) -> Pixels:
    hole = np.zeros((size, size), np.uint8)
    cv2.circle(hole, (size // 2, size // 2), radius, 255, -1)
    return hole


def clouded(ground: Pixels, hole: Pixels, levels: float = 8) -> Pixels:
    """The fill of a network that sees goods near by: a faint cloud."""
    cloud = cv2.GaussianBlur((hole > 0).astype(np.float32), (0, 0), 8)[..., None] * levels
    return np.where(hole[..., None] > 0, np.clip(ground - cloud, 0, 255), ground).astype(np.uint8)


def graded(slope: float, size: int = 160) -> Pixels:
    down, across = np.mgrid[0:size, 0:size]
    return (
        np.repeat(np.rint(225 + slope * (across + down / 2 - 100))[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)
    )


@pytest.mark.parametrize("slope", [0, 0.05, 0.15])
def test_the_ground_goes_on_where_goods_stand_beside_the_mark(slope: float) -> None:
    hole, ground = disc(), graded(slope)
    ground[:, :47] = np.random.default_rng(0).integers(0, 120, (160, 47, 3))
    marked = np.where(hole[..., None] > 0, np.uint8(30), ground)
    result = lay(marked, clouded(ground, hole), hole, 0)
    away = np.abs(result.astype(int) - ground)[hole > 0]
    assert away.max() <= 2
    assert (result == marked)[hole == 0].all()


def test_ringing_of_a_jpeg_in_the_rim_does_not_shift_the_ground() -> None:
    hole, ground = disc(), np.full((160, 160, 3), 255, np.uint8)
    marked = np.where(hole[..., None] > 0, np.uint8(20), ground)
    stored = cv2.imdecode(cv2.imencode(".jpg", marked, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], cv2.IMREAD_COLOR)
    result = with_flat_ground(np.asarray(stored, np.uint8), clouded(ground, hole), hole)
    assert np.abs(result.astype(int) - 255)[hole > 0].max() <= 1


def test_an_edge_that_crosses_the_hole_stays_the_networks() -> None:
    hole, ground = disc(), graded(0)
    ground[:, 80:] = 90
    marked = np.where(hole[..., None] > 0, np.uint8(30), ground)
    result = with_flat_ground(marked, ground, hole)
    assert np.abs(result.astype(int) - ground).max() <= 2


def test_a_textured_rim_leaves_the_fill_bit_for_bit() -> None:
    hole = disc()
    ground = np.random.default_rng(1).integers(60, 200, (160, 160, 3)).astype(np.uint8)
    fill = clouded(ground, hole)
    assert with_flat_ground(ground, fill, hole) is fill


def logo_on(ground: Pixels, middle: tuple[int, int], quality: int) -> tuple[Pixels, Pixels]:
    """``ground`` under a logo of two colours, saved as a JPEG; and the logo's mask."""
    marked, mask = ground.copy(), np.zeros(ground.shape[:2], np.uint8)
    cv2.circle(marked, middle, 36, (30, 70, 190), -1, cv2.LINE_AA)
    cv2.circle(marked, middle, 27, (255, 255, 255), 5, cv2.LINE_AA)
    cv2.circle(mask, middle, 37, 255, -1)
    stored = cv2.imencode(".jpg", marked[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    shown = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    assert shown is not None
    return np.ascontiguousarray(shown[..., ::-1]), mask


def beside_goods(file: Path, gap: int) -> tuple[Pixels, tuple[int, int]]:
    """White ground beside goods of a sample, and the middle of a logo so many px away from them."""
    stored = cv2.imread(str(file))
    assert stored is not None
    height, width = stored.shape[:2]
    piece = stored[height // 2 - 110 : height // 2 + 110, width // 2 - 45 : width // 2 + 45, ::-1]
    ground = np.full((220, 260, 3), 255, np.uint8)
    ground[:, :90] = piece
    return ground, (90 + gap + 38, 110)


@pytest.mark.parametrize(("quality", "gap"), [(75, 60), (70, 4), (80, 6), (95, 3)])
def test_no_logo_on_flat_ground_is_filled_worse_than_by_telea(quality: int, gap: int) -> None:
    with LaMaInpainter(device="cpu") as inpainter:
        for file in sorted((SAMPLES / "originals").glob("*.png"))[:4]:
            ground, middle = beside_goods(file, gap)
            marked, mask = logo_on(ground, middle, quality)
            painted = cv2.dilate(mask, np.ones((3, 3), np.uint8))
            filled = inpainter(marked, painted, method="fill")
            telea = cv2.inpaint(marked, painted, 3, cv2.INPAINT_TELEA)
            ours, theirs = (
                max(float(np.square(result.astype(float) - ground)[mask > 0].mean()), 0.1) for result in (filled, telea)
            )
            assert 10 * np.log10(theirs / ours) > -1, file.name

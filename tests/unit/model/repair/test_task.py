"""A picture through the network: nothing outside the widened mask changes, tiles leave no seam, an abort ends it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.box import Box
from model.engine.costs import Costs
from model.engine.guide import guided, smaller
from model.engine.inpainter import LaMaInpainter
from model.engine.plan import Plan, Region, cut, make_plan
from model.errors import ImageRejected, MaskRejected
from model.imaging import Limits
from model.repair.task import Task, composite, read, write

LIMITS = Limits(max_bytes=10_000_000, max_pixels=10_000_000)
Pixels = NDArray[np.uint8]


def scene(height: int, width: int) -> Pixels:
    """Waves of several lengths and an edge: smooth and sharp parts."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = 128 + 50 * np.sin(x / 17) * np.cos(y / 23) + 30 * np.sin((x + 2 * y) / 41)
    waves[:, width // 2 :] += 40
    return np.clip(np.stack((waves, waves[::-1], 255 - waves), axis=2), 0, 255).astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def task_of(height: int, width: int, *boxes: tuple[int, int, int, int]) -> Task:
    mask = np.zeros((height, width), np.uint8)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = 255
    return read(png(scene(height, width)), png(mask), limits=LIMITS, max_marked_share=1)


@pytest.fixture(scope="session")
def inpainter() -> Iterator[LaMaInpainter]:
    with LaMaInpainter(device="cpu") as inpainter:
        yield inpainter


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (17, 3), (64, 64), (100, 75), (333, 517)], ids=str)
def test_nothing_outside_the_widened_mask_changes(inpainter: LaMaInpainter, height: int, width: int) -> None:
    task = task_of(height, width, (height // 2, width // 3, height // 2 + 12, width // 3 + 30))
    result = inpainter.run(task, lambda _: None)
    assert result.shape == (height, width, 3)
    assert result.dtype == np.uint8
    assert np.array_equal(result[task.hole == 0], task.picture.pixels[task.hole == 0])
    again = Image.open(io.BytesIO(write(task, result).data))
    assert np.array_equal(np.asarray(again.convert("RGB")), result)


def test_the_fill_does_not_depend_on_what_lies_under_the_mask(inpainter: LaMaInpainter) -> None:
    task = task_of(128, 160, (40, 40, 60, 120))
    other = task.picture.pixels.copy()
    other[task.hole > 0] = 255
    disturbed = replace(task, picture=replace(task.picture, pixels=other), feather_px=0)
    first = inpainter.run(replace(task, feather_px=0), lambda _: None)
    assert np.array_equal(first, inpainter.run(disturbed, lambda _: None))


def test_smooth_ground_is_continued_under_the_mask(inpainter: LaMaInpainter) -> None:
    ramp = np.repeat(np.linspace(40, 200, 160)[None, :, None], 128, axis=0).repeat(3, axis=2).astype(np.uint8)
    mask = np.zeros((128, 160), np.uint8)
    mask[60:70, 30:130] = 255
    task = read(png(ramp), png(mask), limits=LIMITS)
    error = inpainter.run(task, lambda _: None).astype(int) - ramp
    assert np.abs(error[mask > 0]).mean() < 4


def test_tiles_report_one_by_one_and_an_abort_ends_the_work(inpainter: LaMaInpainter) -> None:
    task = task_of(900, 700, (40, 50, 60, 90), (700, 500, 730, 600))
    assert task.tiles_total > 1
    heard: list[int] = []
    inpainter.run(task, heard.append)
    assert heard == list(range(1, task.tiles_total + 1))

    class Stopped(Exception):
        pass

    def stop(done: int) -> None:
        raise Stopped(done)

    with pytest.raises(Stopped, match="1"):
        inpainter.run(task, stop)


def test_overlapping_tiles_leave_no_seam(inpainter: LaMaInpainter) -> None:
    """Across the place where tiles meet, the result steps no more than a single pass does there."""
    hole = np.zeros((256, 1024), np.uint8)
    hole[120:136, 32:992] = 255
    picture = task_of(256, 1024, (0, 0, 1, 1)).picture
    box = Box(0, 0, 256, 1024)
    tiled = Region(box, (Box(0, 0, 256, 512), Box(0, 256, 256, 768), Box(0, 512, 256, 1024)))
    assert cut(box, hole, side=512) == tiled
    whole = Task(picture, hole, Plan((Region(box, (box,)),)), 0, 0)
    parts = replace(whole, plan=Plan((tiled,)))
    one = inpainter.run(whole, lambda _: None).astype(int)
    several = inpainter.run(parts, lambda _: None).astype(int)

    def worst_step(result: NDArray[np.int_]) -> int:
        return int(np.abs(np.diff(result[120:136], axis=1)).max())

    assert worst_step(several) <= worst_step(one) + 2


def test_the_painted_area_is_replaced_in_full() -> None:
    task = replace(task_of(100, 100, (40, 40, 60, 60)), feather_px=2)
    other = task.picture.pixels.copy()
    other[40:60, 40:60] = 255
    marked = replace(task, picture=replace(task.picture, pixels=other))
    fill = task.picture.pixels
    assert np.array_equal(composite(marked, fill), composite(task, fill))


@pytest.mark.parametrize(
    ("source", "mask", "error", "code"),
    [
        (b"text", png(scene(8, 8)), ImageRejected, "image_unreadable"),
        (png(scene(8, 8)), png(scene(9, 8)), MaskRejected, "mask_size_mismatch"),
        (png(scene(8, 8)), png(np.zeros((8, 8), np.uint8)), MaskRejected, "mask_empty"),
    ],
)
def test_bad_input_is_refused_with_its_code(source: bytes, mask: bytes, error: type[Exception], code: str) -> None:
    with pytest.raises(error) as refusal:
        read(source, mask, limits=LIMITS)
    assert refusal.value.code == code  # type: ignore[attr-defined]


def test_reading_and_planning_need_no_torch() -> None:
    script = "import sys, model.repair.task, model.imaging; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_guide_moves_low_frequencies_and_fades_at_the_rim() -> None:
    hole = np.zeros((256, 256), np.uint8)
    hole[48:208, 48:208] = 255
    fill = np.full((256, 256, 3), 0.25, np.float32)
    small = np.full((64, 64, 3), 0.25, np.float32)
    small[12:52, 12:52] = 0.75
    result = guided(fill, small, hole, 4)
    assert result[128, 128] == pytest.approx([0.75] * 3, abs=0.01)
    assert np.abs(result[hole == 0] - 0.25).max() < 0.3
    assert np.abs(result[:16] - 0.25).max() < 1e-3
    assert np.abs(np.diff(result[:, 128, 0])).max() < 0.06


def test_the_smaller_copy_averages_known_pixels_alone() -> None:
    pixels = np.full((64, 64, 3), 200, np.uint8)
    hole = np.zeros((64, 64), np.uint8)
    hole[10:40, 10:40] = 255
    pixels[hole > 0] = 0
    few, mask = smaller(pixels, hole, 4)
    assert few.shape == (16, 16, 3)
    assert (few[mask == 0] == 200).all()
    assert set(np.argwhere(mask > 0).flatten()) == set(range(3, 10))


def test_a_guided_plan_ends_with_the_picture_unchanged_outside(inpainter: LaMaInpainter) -> None:
    task = task_of(500, 420, (100, 100, 300, 300))
    small = Costs(pass_ms=1, ns_per_px=1000, most_px=200 * 200)
    guided_task = replace(task, plan=make_plan(task.hole, small))
    (region,) = guided_task.plan.regions
    assert region.guide is not None
    heard: list[int] = []
    result = inpainter.run(guided_task, heard.append)
    assert heard == list(range(1, guided_task.tiles_total + 1))
    assert np.array_equal(result[task.hole == 0], task.picture.pixels[task.hole == 0])
    plain = inpainter.run(task, lambda _: None)
    assert np.abs(result.astype(int) - plain)[task.hole > 0].mean() < 25


def test_outlines_go_on_across_a_wide_band(inpainter: LaMaInpainter) -> None:
    picture = np.full((320, 320, 3), 255, np.uint8)
    for left in (70, 190):
        picture[:, left : left + 50] = (110, 70, 60)
    mask = np.zeros((320, 320), np.uint8)
    mask[130:200] = 255
    task = read(png(np.where(mask[..., None] > 0, np.uint8(128), picture)), png(mask), limits=LIMITS, method="fill")
    unguided = replace(task, plan=Plan(tuple(replace(region, guide=None) for region in task.plan.regions)))
    with_guide, without = (
        float(np.square(inpainter.run(one, lambda _: None).astype(float) - picture)[mask > 0].mean())
        for one in (task, unguided)
    )
    assert with_guide < 0.5 * without


def test_a_guide_brings_no_dark_rim_to_a_wide_hole_in_white(inpainter: LaMaInpainter) -> None:
    picture, mask = np.full((256, 256, 3), 255, np.uint8), np.zeros((256, 256), np.uint8)
    mask[90:166, 90:166] = 255
    task = read(png(picture), png(mask), limits=LIMITS, method="fill")
    assert [region.guide for region in task.plan.regions] == [3]
    assert inpainter.fill(task, lambda _: None).min() > 230


def test_networks_are_deterministic(inpainter: LaMaInpainter) -> None:
    task = task_of(96, 96, (40, 40, 50, 60))
    first = inpainter.run(task, lambda _: None)
    assert np.array_equal(first, inpainter.run(task, lambda _: None))

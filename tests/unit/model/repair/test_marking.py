"""Masks that pictures share: decoded, widened and planned once, and never written to."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from model.errors import MaskRejected
from model.imaging import Limits
from model.repair.marking import Marking, Markings, marking_of
from model.repair.task import Task, composite, read, recovered, write
from model.shared import Shared

LIMITS = Limits(max_bytes=10**8, max_pixels=10**8)
BOX = b'{"boxes": [[30, 20, 60, 40]]}'


def jpeg(width: int, height: int, seed: int) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    Image.fromarray(noise).resize((width, height)).save(out, "JPEG")
    return out.getvalue()


def test_pictures_of_one_size_share_what_follows_from_their_mask() -> None:
    markings = Markings()

    def task_of(seed: int, width: int = 120, **options: int) -> Task:
        return read(jpeg(width, 80, seed), BOX, limits=LIMITS, markings=markings, **options)

    first, second = task_of(0), task_of(1)
    assert first.painted is second.painted
    assert first.plan is second.plan
    assert task_of(0, dilation_px=3).hole is task_of(1, dilation_px=3).hole
    assert first.document != second.document
    assert task_of(2, width=128).hole.shape == (80, 128)
    wider = task_of(3, dilation_px=9)
    assert np.count_nonzero(wider.hole) > np.count_nonzero(first.hole)


def test_a_picture_that_shares_a_mask_comes_out_as_one_alone() -> None:
    markings = Markings()
    for seed in range(3):
        source = jpeg(120, 80, seed)
        files = []
        for shared in (markings, None):
            task = read(source, BOX, limits=LIMITS, markings=shared)
            pixels = recovered(task, composite(task, np.full_like(task.picture.pixels, 90))).pixels
            files.append(write(task, [pixels]).data)
        assert files[0] == files[1]


def test_a_shared_mask_cannot_be_written_to() -> None:
    task = read(jpeg(120, 80, 0), BOX, limits=LIMITS)
    assert task.painted is not None
    for array in (task.hole, task.painted):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_a_mask_that_is_refused_is_refused_for_every_picture() -> None:
    markings = Markings()
    for seed in range(2):
        with pytest.raises(MaskRejected):
            read(jpeg(120, 80, seed), b'{"boxes": []}', limits=LIMITS, markings=markings)


def test_large_masks_are_not_kept() -> None:
    made: list[int] = []

    def maker(side: int) -> Callable[[], Marking]:
        def make() -> Marking:
            made.append(side)
            painted = np.zeros((side, side), np.uint8)
            painted[:9, :9] = 255
            return marking_of(painted, None, None, None)

        return make

    markings = Markings()
    for side in (200, 200, 6000, 6000):
        markings.get(side, maker(side))
    assert made == [200, 6000, 6000]


def test_threads_that_want_a_value_at_once_share_one() -> None:
    made: list[str] = []
    shared: Shared[str, str] = Shared(2)

    def make() -> str:
        made.append("made")
        return "value"

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: shared.get("key", make), range(64))) == {"value"}
    assert made == ["made"]

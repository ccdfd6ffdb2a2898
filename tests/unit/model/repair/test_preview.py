"""The small picture before and after: both halves, whatever the file's colours."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from model.imaging import Limits
from model.repair.preview import SIDE, preview
from model.repair.task import Task, read

LIMITS = Limits(max_bytes=10**8, max_pixels=10**7)


def task_of(mode: str, size: tuple[int, int], colour: object) -> Task:
    """A file of one colour, half of it masked."""
    file, marks = io.BytesIO(), io.BytesIO()
    Image.new(mode, size, colour).save(file, "TIFF" if mode == "CMYK" else "PNG")  # type: ignore[arg-type]
    mask = Image.new("L", size, 0)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    mask.save(marks, "PNG")
    return read(file.getvalue(), marks.getvalue(), limits=LIMITS, dilation_px=0, feather_px=0)


def halves(data: bytes) -> tuple[Image.Image, Image.Image]:
    with Image.open(io.BytesIO(data)) as both:
        both.load()
    half = both.height // 2
    return both.crop((0, 0, both.width, half)), both.crop((0, half, both.width, both.height))


@pytest.mark.parametrize(
    ("size", "small"), [((800, 400), (SIDE, SIDE // 2)), ((40, 64), (40, 64)), ((3000, 2), (SIDE, 1))]
)
def test_the_longer_side_is_bounded_and_nothing_is_enlarged(size: tuple[int, int], small: tuple[int, int]) -> None:
    task = task_of("RGB", size, "teal")
    made = preview(task, [task.picture.pixels])
    assert (made.width, made.height) == small
    assert halves(made.data)[0].size == halves(made.data)[1].size == small


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("RGB", (200, 40, 40), (200, 40, 40)),
        ("L", 90, (90, 90, 90)),
        ("RGBA", (0, 0, 200, 128), (0, 0, 200, 128)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_before_is_the_source_and_after_the_result(mode: str, colour: object, seen: tuple[int, ...]) -> None:
    task = task_of(mode, (60, 40), colour)
    white = [np.full((40, 60, 3), 255, np.uint8) for _ in task.parts]
    before, after = halves(preview(task, white).data)
    assert before.mode == after.mode == ("RGBA" if mode == "RGBA" else "RGB")
    assert np.abs(np.asarray(before, int)[20, 30] - seen).max() <= 6
    assert np.asarray(after)[20, 30, :3].min() >= 249

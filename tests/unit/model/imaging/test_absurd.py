"""Files that are right and make no sense: one pixel, very long strips, EXIF and profiles of noise."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from bench.corpus import cases
from bench.corpus.content import file_of
from model.formats import OUTPUTS
from model.imaging import Limits
from model.repair.task import Task, read, write

LIMITS = Limits(max_bytes=10**8, max_pixels=10**8)
EVERYTHING = b'{"boxes": [[0, 0, 40000, 40000]]}'
NOISE = np.random.default_rng(8).bytes(60_000)
#: A directory that says that it follows itself, and one whose values lie beyond all bounds.
ENDLESS = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x0112, 3, 1, 6, 8)
BOUNDLESS = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIII", 1, 0x010F, 2, 0xFFFFFFF0, 0xFFFFFFF0, 0xFFFFFFF0)
SMALL = Image.fromarray(np.random.default_rng(1).integers(0, 256, (11, 13, 3), dtype=np.uint8))
KINDS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "HEIF")


def painted(task: Task) -> list[np.ndarray]:
    return [np.where(part.hole[..., None] > 0, np.uint8(90), part.picture.pixels) for part in task.parts]


def through(data: bytes, output: str | None = None) -> bytes:
    task = read(data, EVERYTHING, limits=LIMITS, max_marked_share=1)
    return write(task, painted(task), output=output).data


@pytest.mark.parametrize("case", list(cases(SMALL)), ids=lambda case: case.name)
def test_pictures_of_a_few_pixels_come_back(case) -> None:  # type: ignore[no-untyped-def]
    with Image.open(io.BytesIO(case.data)) as before, Image.open(io.BytesIO(through(case.data))) as after:
        assert (after.format, after.size) == (before.format, before.size)
        after.load()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (30_000, 1), (3, 30_000)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "GIF"])
def test_one_pixel_and_very_long_strips_come_back(kind: str, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(through(file_of(Image.new("RGB", size, (200, 90, 30)), kind)))) as after:
        assert (after.format, after.size) == (kind, size)
        after.load()


# What a library says about damaged EXIF is not an error of ours.
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("exif", [NOISE, b"Exif\0\0" + NOISE, ENDLESS, BOUNDLESS, b"II", b"MM\0*\xff\xff\xff\xff"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_absurd_exif_turns_nothing_and_breaks_nothing(kind: str, exif: bytes) -> None:
    data = file_of(Image.new("RGB", (40, 30), (200, 90, 30)), kind, exif=exif)
    for output in (None, *OUTPUTS):
        with Image.open(io.BytesIO(through(data, output))) as after:
            after.load()
            assert sorted(after.size) == [30, 40]


@pytest.mark.parametrize("kind", KINDS)
def test_absurd_profiles_are_carried_as_they_are(kind: str) -> None:
    data = file_of(Image.new("RGB", (40, 30), (200, 90, 30)), kind, icc_profile=NOISE)
    with Image.open(io.BytesIO(through(data))) as after:
        assert after.info["icc_profile"] == NOISE
    for output in OUTPUTS:
        assert through(data, output)


def test_inks_of_an_absurd_profile_become_colours_all_the_same() -> None:
    data = file_of(Image.new("CMYK", (40, 30), (0, 90, 30, 5)), "JPEG", icc_profile=NOISE)
    with Image.open(io.BytesIO(through(data, "png"))) as after:
        assert after.mode == "RGB"

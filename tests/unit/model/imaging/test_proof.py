"""A written file that is not what it has to be is never handed out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bench.corpus import cases
from model.errors import ResultDiffers
from model.imaging import Limits
from model.imaging.coding import decode, encode
from model.imaging.picture import Document, Edit, Written
from model.imaging.proof import read_back
from tests.running import REPOSITORY

LIMITS = Limits(max_bytes=10**8, max_pixels=10**8)


def small_photo() -> Image.Image:
    with Image.open(REPOSITORY / "samples" / "originals" / "garment-0c06778b.png") as image:
        photo = image.convert("RGB")
    photo.thumbnail((64, 64))
    return photo


FILES = {case.name: case.data for case in cases(small_photo()) if not case.name.startswith(("jpeg", "tiff-jpeg"))}


def edits_of(document: Document) -> list[Edit]:
    hole = np.zeros(document.pages[0].samples.shape[:2], np.uint8)
    hole[10:20, 10:20] = 255
    return [Edit(page.samples, hole) for page in document.pages]


def proved(document: Document, written: Written) -> Written:
    return read_back(document, edits_of(document), written, lambda file: decode(file, LIMITS).pages)


@pytest.mark.parametrize("name", FILES)
def test_a_pixel_that_changed_outside_the_hole_is_found(name: str) -> None:
    document = decode(FILES[name], LIMITS)
    written = encode(document, edits_of(document))
    assert proved(document, written).how == written.how
    # The same file of another picture: a repair of everything.
    strange = [
        Edit(np.ascontiguousarray(np.flip(page.samples, axis=1)), np.full(page.samples.shape[:2], 255, np.uint8))
        for page in document.pages
    ]
    other = encode(document, strange)
    with pytest.raises(ResultDiffers):
        proved(document, replace(other, how=written.how))


@pytest.mark.parametrize("name", ["png-rgb-8", "gif", "tiff-rgb-lzw", "webp-lossless-rgb", "avif-8", "heic-8"])
def test_a_file_that_cannot_be_read_is_found(name: str) -> None:
    document = decode(next(data for kind, data in FILES.items() if kind.startswith(name)), LIMITS)
    written = encode(document, edits_of(document))
    with pytest.raises(ResultDiffers):
        proved(document, replace(written, data=written.data[: len(written.data) // 2]))


def test_the_time_of_reading_back_is_told() -> None:
    document = decode(FILES["png-rgb-8"], LIMITS)
    assert encode(document, edits_of(document)).read_back_s > 0

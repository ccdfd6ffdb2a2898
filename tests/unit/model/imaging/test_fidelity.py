"""Every kind of file through the pipeline and the network: outside the mark it is the same picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from bench.fidelity import LIMITS, NEAR, RECODED, Subject, measure, subjects
from model.engine.inpainter import LaMaInpainter
from model.imaging.coding import decode, encode
from model.imaging.formats import segments
from model.imaging.formats.coefficients import IN_MEMORY
from model.imaging.picture import Edit
from tests.running import REPOSITORY

#: How much a spliced file may grow.
MOST_GROWTH = 1.05


def small_photo() -> Image.Image:
    with Image.open(REPOSITORY / "samples" / "originals" / "garment-0c06778b.png") as image:
        photo = image.convert("RGB")
    photo.thumbnail((150, 150))
    return photo


CORPUS = {subject.case.name: subject for subject in subjects(small_photo(), "across")}


def repacked(name: str) -> bool:
    """Whether a JPEG's scans are packed better when they are written, or lose their restart markers."""
    return any(part in name for part in ("progressive", "ycck-444")) or ("restart" in name and not IN_MEMORY)


@pytest.fixture(scope="module")
def inpainter() -> Iterator[LaMaInpainter]:
    with LaMaInpainter(device="cpu", threads=1) as opened:
        yield opened


@pytest.mark.parametrize("name", CORPUS)
def test_file_comes_back_as_it_was_outside_the_mark(name: str, inpainter: LaMaInpainter) -> None:
    subject: Subject = CORPUS[name]
    row = measure(subject, inpainter)
    assert row.lost == []
    assert row.repaired
    if subject.ground is not None:
        # Lossy alpha is near 0.
        assert row.alpha_left is not None
        assert row.alpha_left <= (3 if name.startswith(RECODED) else 0)
    if name.startswith("jpeg"):
        assert (row.written, row.changed) == ("spliced", 0)
        assert row.size < MOST_GROWTH
        assert row.unrepaired is not None
        assert abs(row.unrepaired - 1) <= (NEAR if repacked(name) else 0.001)
    elif name.startswith("tiff-jpeg"):
        assert (row.written, row.changed) == ("spliced", 0)
    elif name.startswith(RECODED):
        assert row.written == "recoded"
        assert row.mean_difference < 2.5
    else:
        assert (row.written, row.changed) == ("lossless", 0)


def test_corpus_holds_each_format_and_depth() -> None:
    families = {name.split("-")[0] for name in CORPUS}
    assert families == {"jpeg", "png", "webp", "avif", "heic", "tiff", "bmp", "gif"}
    assert np.asarray(small_photo()).std() > 10


@pytest.mark.parametrize("name", [name for name in CORPUS if name.startswith("jpeg") and not repacked(name)])
def test_a_sequential_jpeg_of_which_nothing_is_repaired_keeps_its_scan_byte_for_byte(name: str) -> None:
    data = CORPUS[name].case.data
    document = decode(data, LIMITS)
    nothing = [Edit(page.samples, np.zeros(page.samples.shape[:2], np.uint8)) for page in document.pages]
    written = encode(document, nothing)
    assert (written.how, written.reason) == ("spliced", "")
    assert segments.split(written.data)[1] == segments.split(data)[1]

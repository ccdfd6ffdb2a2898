"""Every kind of file through the pipeline and the network: outside the mark it is the same picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from bench.fidelity import NEAR, RECODED, Subject, measure, subjects
from model.inpainter import LaMaInpainter
from tests.running import REPOSITORY

#: How much a spliced file may grow.
MOST_GROWTH = 1.05


def small_photo() -> Image.Image:
    with Image.open(REPOSITORY / "samples" / "originals" / "garment-0c06778b.png") as image:
        photo = image.convert("RGB")
    photo.thumbnail((150, 150))
    return photo


CORPUS = {subject.case.name: subject for subject in subjects(small_photo(), "across")}


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
    if name.startswith("jpeg"):
        assert (row.written, row.changed) == ("spliced", 0)
        assert row.size < MOST_GROWTH
        assert row.unrepaired is not None
        # Nothing repaired: the scans as they were, but where they are packed better or lose their restart markers.
        repacked = {"progressive", "restart", "ycck-444"}
        assert abs(row.unrepaired - 1) <= (NEAR if any(part in name for part in repacked) else 0.001)
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

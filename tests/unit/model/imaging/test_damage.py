"""Damaged files end in a typed error or in a whole result: never in a crash, never in a hang, never half written."""

from __future__ import annotations

import faulthandler
import io
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.corpus import cases
from bench.corpus.mark import letters, png
from bench.mutations import mutated
from model.errors import HostFull, ModelError
from model.imaging import Limits
from model.imaging.memory import allocated, bounded
from model.repair.task import read, write
from tests.running import REPOSITORY
from tests.unit.model.imaging.strangers import strangers, with_alpha, with_side_pictures

LIMITS = Limits(max_bytes=10**7, max_pixels=2_000_000)
#: Seconds of computing after which a file counts as hung: the process then prints where it is and ends.
HUNG_S = 10


def seeds() -> list[bytes]:
    with Image.open(REPOSITORY / "samples" / "originals" / "garment-0c06778b.png") as image:
        photo = image.convert("RGB")
    photo.thumbnail((72, 72))
    return [*(case.data for case in cases(photo)), *strangers()]


@pytest.fixture
def watched() -> Iterator[None]:
    # By the time of the CPU: on a busy machine a file may have to wait. The signal's usual end of the process follows.
    faulthandler.register(signal.SIGPROF, file=sys.__stderr__, chain=True)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    faulthandler.unregister(signal.SIGPROF)


def survive(count: int, seed: int, whole: list[bytes] | None = None) -> dict[str, int]:
    """Damaged copies of ``whole`` through reading and writing; how they ended. An error without a type leaves this."""
    ends: dict[str, int] = {}
    for data in mutated(seeds() if whole is None else whole, count, seed):
        signal.setitimer(signal.ITIMER_PROF, HUNG_S)
        end = "repaired"
        with warnings.catch_warnings():
            # What a library says about a damaged file is not an error of ours.
            warnings.simplefilter("ignore")
            try:
                with bounded(10**8):
                    end = one(data)
            except ModelError as refusal:
                end = refusal.code  # type: ignore[attr-defined]
        ends[end] = ends.get(end, 0) + 1
    return ends


def one(data: bytes) -> str:
    mask = b'{"boxes": [[2, 2, 9, 7]]}'
    task = read(data, mask, limits=LIMITS)
    fill = [np.full_like(part.picture.pixels, 128) for part in task.parts]
    results = [
        np.where(part.hole[..., None] > 0, f, part.picture.pixels) for part, f in zip(task.parts, fill, strict=True)
    ]
    result = write(task, [np.asarray(values, np.uint8) for values in results])
    again = read(result.data, mask, limits=Limits(max_bytes=10**8, max_pixels=10**8))
    assert task.document is not None
    assert again.document is not None
    before, after = ([page.samples.shape for page in one.document.pages] for one in (task, again))
    assert before == after
    return "repaired"


@pytest.mark.usefixtures("watched")
def test_damaged_files_end_well() -> None:
    ends = survive(160, seed=1)
    assert sum(ends.values()) == 160
    assert ends["repaired"] > 10
    assert sum(count for end, count in ends.items() if end.startswith("image_")) > 10


@pytest.mark.usefixtures("watched")
def test_damaged_files_of_strangers_end_well() -> None:
    ends = survive(160, seed=3, whole=strangers())
    assert sum(ends.values()) == 160
    assert sum(count for end, count in ends.items() if end.startswith("image_")) > 10


@pytest.mark.usefixtures("watched")
def test_damaged_files_with_alpha_side_pictures_and_many_frames_end_well() -> None:
    ends = survive(80, seed=5, whole=[*with_alpha(), *with_side_pictures()])
    assert sum(ends.values()) == 80
    assert ends["repaired"] > 5
    assert sum(count for end, count in ends.items() if end.startswith("image_")) > 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("watched")
def test_two_thousand_more_with_alpha_side_pictures_and_many_frames_end_well() -> None:
    ends = survive(2000, seed=6, whole=[*with_alpha(), *with_side_pictures()])
    assert sum(ends.values()) == 2000


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("watched")
def test_two_thousand_damaged_damaged_files_end_well() -> None:
    ends = survive(2000, seed=2)
    assert sum(ends.values()) == 2000


def test_decoding_beyond_the_memory_limit_is_refused_and_the_limit_is_lifted() -> None:
    with pytest.raises(ModelError) as refusal, bounded(0):
        np.ones(allocated() + (3 << 30), np.uint8)
    assert refusal.value.code == "image_needs_too_much_memory"
    assert np.ones(1 << 20, np.uint8).sum() == 1 << 20


def test_a_picture_is_not_blamed_for_memory_that_the_process_may_not_allocate() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (64 << 20), before[1]))
    try:
        with pytest.raises(HostFull), bounded(0):
            raise AssertionError("it began all the same")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    with bounded(0):
        assert np.ones(1 << 20, np.uint8).sum() == 1 << 20


def test_polyglot_is_what_its_first_bytes_say() -> None:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "PNG")
    task = read(out.getvalue() + b"PK\x03\x04 and a zip file behind it", png(letters(40, 30, "across")), limits=LIMITS)
    assert b"PK\x03\x04" not in write(task, [part.picture.pixels for part in task.parts]).data

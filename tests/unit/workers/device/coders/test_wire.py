"""Messages in shared memory: values arrive as they were, and a pickle that names anything else is none."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from model.errors import ImageRejected
from model.imaging.picture import Picture
from workers.device.coders.wire import Nonsense, Slab, read, written

MOST = 1 << 30


@pytest.fixture
def slab() -> Iterator[Slab]:
    opened = Slab.new()
    yield opened
    opened.close()


def test_values_arrive_as_they_were(slab: Slab) -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    pixels.flags.writeable = False
    value = ("read", 3.5, None, {"a": [Picture(pixels)]}, np.zeros((0, 4), np.uint16), np.float32(2), b"x" * 100_000)
    packet, _ = written(slab, value)
    arrived, _ = read(slab, packet, most=MOST, copied=True)
    picture = arrived[3]["a"][0]
    assert np.array_equal(picture.pixels, pixels)
    assert not picture.pixels.flags.writeable
    assert arrived[4].shape == (0, 4)
    assert arrived[:3] == value[:3]
    assert arrived[5:] == value[5:]
    assert read(slab, written(slab, ImageRejected)[0], most=MOST, copied=True)[0] is ImageRejected


def test_views_of_the_same_memory_are_written_once(slab: Slab) -> None:
    array = np.zeros(1 << 20, np.uint8)
    _, once = written(slab, [array])
    _, twice = written(slab, [array, array.reshape(1 << 10, 1 << 10)])
    assert twice < once + 1000


def test_an_answer_lies_behind_its_question(slab: Slab) -> None:
    question, end = written(slab, np.full(5000, 7, np.uint8))
    asked, asked_end = read(slab, question, most=MOST, copied=False)
    assert asked_end == end
    answer, _ = written(slab, np.full(1 << 20, 9, np.uint8), end)
    assert (asked == 7).all()
    answered, _ = read(slab, answer, most=MOST, copied=True)
    written(slab, np.zeros(1 << 21, np.uint8))
    assert (answered == 9).all()


@pytest.mark.parametrize("value", [os.system, subprocess.Popen, Fraction(1, 2), Slab, eval])
def test_a_message_names_values_of_the_model_alone(slab: Slab, value: object) -> None:
    packet, _ = written(slab, value)
    with pytest.raises(Nonsense, match="none of a message's types"):
        read(slab, packet, most=MOST, copied=True)


class Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_a_message_calls_nothing(slab: Slab) -> None:
    packet, _ = written(slab, Harm())
    with pytest.raises(Nonsense):
        read(slab, packet, most=MOST, copied=True)


def test_what_is_no_message_is_refused(slab: Slab) -> None:
    packet, end = written(slab, [np.zeros(10_000, np.uint8)])
    with pytest.raises(Nonsense, match="a message of bytes"):
        read(slab, packet, most=end - 5000, copied=True)
    for broken in (b"", packet[:-1], b"\xff" * len(packet)):
        with pytest.raises(Nonsense):
            read(slab, broken, most=MOST, copied=True)
    room = slab.room(end)
    room[64:] = 255
    with pytest.raises(Nonsense):
        read(slab, packet, most=MOST, copied=True)
    assert pickle.HIGHEST_PROTOCOL >= 5


def test_a_slab_grows_and_never_shrinks(slab: Slab) -> None:
    slab.room(10 << 20)[-1] = 1
    with pytest.raises(PermissionError):
        os.ftruncate(slab.fd, 4096)


def test_a_large_message_leaves_no_memory_behind(slab: Slab) -> None:
    written(slab, np.ones(100 << 20, np.uint8))
    before = os.fstat(slab.fd).st_blocks * 512
    slab.free()
    assert os.fstat(slab.fd).st_blocks * 512 <= (64 << 20) + 4096 < before

"""The metadata of an AVIF picture is added to an encoder's file, and two decoders read it."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.corpus.content import ICC, XMP
from model.imaging.formats import boxes
from model.imaging.formats.boxes import Item, NotDescribable, described, describing, properties

TURN = b"\0\0\0\x09irot\1"
PROFILE = (12 + len(ICC)).to_bytes(4, "big") + b"colrprof" + ICC
ITEMS = [Item(b"Exif", bytes(4) + b"II*\0\x08\0\0\0\0\0\0\0\0\0"), Item(b"mime", XMP, b"application/rdf+xml")]


def coded(channels: int, bits: int = 10) -> bytes:
    samples = np.random.default_rng(3).integers(0, 1 << bits, (40, 56, channels)).astype(np.uint16)
    return bytes(imagecodecs.avif_encode(samples, bitspersample=bits, level=100, speed=10))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_described_picture_keeps_its_samples_and_says_what_it_was_given(channels: int) -> None:
    plain = coded(channels)
    file = described(plain, [PROFILE, TURN], ITEMS)
    assert np.array_equal(imagecodecs.avif_decode(file), imagecodecs.avif_decode(plain))
    with Image.open(io.BytesIO(file)) as image:
        image.load()
        assert (image.info["icc_profile"], image.info["xmp"]) == (ICC, XMP)
        assert image.getexif()[0x0112] == 8  # a quarter to the left
    # libheif refuses a file whose alpha is turned otherwise than its picture.
    other = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
    assert (other.info["icc_profile"], other.info["xmp"]) == (ICC, XMP)
    assert other.size == (40, 56)


def test_descriptions_are_copied_and_codings_are_not() -> None:
    listed = properties(described(coded(3), [PROFILE, TURN], []))
    assert {b"ispe", b"pixi", b"av1C"} < {kind for kind, _ in listed}
    assert describing(listed) == [PROFILE, TURN]


def test_nothing_to_say_leaves_the_file_as_it_is() -> None:
    plain = coded(3)
    assert described(plain, [], []) == plain


def test_items_added_twice_are_all_there() -> None:
    file = described(described(coded(4), [TURN], ITEMS[:1]), [PROFILE], ITEMS[1:])
    other = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
    assert (other.info["icc_profile"], other.info["xmp"]) == (ICC, XMP)
    assert other.info["exif"]


@pytest.mark.parametrize("part", [b"iloc", b"ipma", b"mdat", b"iinf"])
def test_file_of_another_layout_is_not_touched(part: bytes) -> None:
    broken = coded(3).replace(part, b"free")
    with pytest.raises(NotDescribable):
        described(broken, [TURN], ITEMS)


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=20))
def test_damaged_file_has_other_properties_or_none(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at % len(data)] = value
    for _, box in properties(bytes(data)):
        assert len(box) >= 8
    assert boxes.boxes(bytes(data)[:100]) is not None


WHOLE = described(coded(3), [PROFILE, TURN], ITEMS)

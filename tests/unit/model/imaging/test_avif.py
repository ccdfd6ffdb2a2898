"""AVIF keeps its depth, sampling and colours, with any metadata."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from bench.corpus.content import ICC
from model.imaging import Limits
from model.imaging.coding import decode, encode
from model.imaging.formats import boxes
from model.imaging.picture import Edit

LIMITS = Limits(max_bytes=10**8, max_pixels=10**8)


def ramp(bits: int, channels: int) -> np.ndarray:
    """Smooth, so that a lossy coding is near to it."""
    across = np.linspace(0, (1 << bits) - 1, 96)[None, :, None]
    down = np.linspace(0.4, 1, 64)[:, None, None]
    return np.asarray(across * down * np.linspace(1, 0.6, channels), np.uint16 if bits > 8 else np.uint8)


def written(data: bytes) -> bytes:
    document = decode(data, LIMITS)
    edits = [Edit(page.samples, np.zeros(page.samples.shape[:2], np.uint8)) for page in document.pages]
    file = encode(document, edits)
    assert file.reason == ""
    return file.data


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize(
    ("channels", "sampling"), [(3, "420"), (3, "422"), (3, "444"), (4, "420"), (1, "400"), (2, "400")]
)
def test_depth_sampling_and_profile_stay(bits: int, channels: int, sampling: str) -> None:
    samples = ramp(bits, channels)
    flat = samples[..., 0] if channels == 1 else samples
    coded = bytes(imagecodecs.avif_encode(flat, bitspersample=bits, level=95, speed=10, pixelformat=sampling))
    profile = (12 + len(ICC)).to_bytes(4, "big") + b"colrprof" + ICC
    source = boxes.described(coded, [profile], [])
    result = written(source)
    before, after = imagecodecs.avif_decode(source), imagecodecs.avif_decode(result)
    assert (before.dtype, before.shape) == (after.dtype, after.shape)
    assert np.abs(before.astype(int) - after).mean() < (1 << bits) / 256
    flags, kept = (file[file.find(b"av1C") + 6] & 0x7C for file in (source, result))
    assert flags == kept
    with Image.open(io.BytesIO(result)) as image:
        assert image.info["icc_profile"] == ICC


@pytest.mark.parametrize(("bits", "stated"), [(8, (12, 13, 1)), (10, (9, 16, 9)), (10, (12, 13, 0)), (12, (9, 18, 9))])
def test_primaries_and_transfer_are_the_source_s(bits: int, stated: tuple[int, int, int]) -> None:
    primaries, transfer, matrix = stated
    source = bytes(
        imagecodecs.avif_encode(
            ramp(bits, 3), bitspersample=bits, level=90, speed=10, primaries=primaries, transfer=transfer, matrix=matrix
        )
    )
    colours = dict(boxes.properties(written(source)))[b"colr"]
    assert colours[8:16] == b"nclx" + primaries.to_bytes(2, "big") + transfer.to_bytes(2, "big")


def test_alpha_does_not_cost_the_colours_their_quality() -> None:
    samples = ramp(8, 4)
    samples[..., 3] = np.random.default_rng(5).integers(0, 256, (64, 96), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(samples).save(out, "AVIF", quality=90, speed=8)
    assert len(written(out.getvalue())) < 1.1 * len(out.getvalue())


def test_a_grey_picture_of_twelve_bits_stays_one_and_does_not_grow_many_times() -> None:
    grey = np.random.default_rng(5).integers(1800, 2300, (200, 300)).astype(np.uint16)
    source = bytes(imagecodecs.avif_encode(np.dstack([grey] * 3), level=60, bitspersample=12, pixelformat="400"))
    result = written(source)
    assert len(result) < 4 * len(source)
    assert [file[file.find(b"av1C") + 6] & 0x7C for file in (source, result)] == [0x7C, 0x7C]


def test_a_property_s_turn_adds_no_orientation_to_the_exif() -> None:
    coded = bytes(imagecodecs.avif_encode(ramp(8, 3), level=90, speed=10))
    turn = (9).to_bytes(4, "big") + b"irot\1"
    assert b"Exif" not in written(boxes.described(coded, [turn], []))
    own = boxes.Item(b"Exif", bytes(4) + Image.Exif().tobytes()[6:])
    kept = boxes.described_items(written(boxes.described(coded, [turn], [own])))
    assert kept == [own]

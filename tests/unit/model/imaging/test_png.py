"""PNGs keep interlacing and transparency, in every size, kind and depth."""

from __future__ import annotations

import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.imaging import Limits
from model.imaging.coding import decode
from model.imaging.formats import png, png_chunks
from model.imaging.formats.palettes import packed_bits
from model.repair.task import read, write

LIMITS = Limits(max_bytes=10**6, max_pixels=10**6)


@given(st.integers(1, 19), st.integers(1, 19), st.sampled_from([(8, 0), (8, 2), (8, 6), (16, 2), (16, 4), (2, 0)]))
def test_interlaced_picture_data_is_read_back_by_another_decoder(
    height: int, width: int, kind: tuple[int, int]
) -> None:
    depth, colour = kind
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    samples = np.random.default_rng(height * 20 + width).integers(0, 4, (height, width, channels))
    samples = samples * 85 if depth < 16 else samples * 20_011
    head = png_chunks.Header(width, height, depth, colour, interlaced=True)
    content = png._encoded(samples.astype(np.uint16 if depth == 16 else np.uint8), head)
    data = png_chunks.joined([(b"IHDR", head.content()), (b"IDAT", content), (b"IEND", b"")])
    with Image.open(io.BytesIO(data)) as image:
        page = png.read(data, image, 1)[0]
        shown = np.asarray(image.convert({0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}[colour]))
    assert (page.samples == samples).all()
    if depth < 16:
        assert (shown.reshape(samples.shape) == samples).all()
    else:
        other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert (other[..., 1] == samples[..., 0 if colour == 4 else 1]).all()


@pytest.mark.parametrize("depth", [1, 4])
def test_interlaced_indices_are_read_back(depth: int) -> None:
    indices = np.random.default_rng(depth).integers(0, 1 << depth, (13, 11), dtype=np.uint8)
    head = png_chunks.Header(11, 13, depth, 3, interlaced=True)
    table = bytes(range(3 << depth))
    parts = [(b"IHDR", head.content()), (b"PLTE", table), (b"IDAT", png._encoded(indices, head)), (b"IEND", b"")]
    with Image.open(io.BytesIO(png_chunks.joined(parts))) as image:
        assert (np.asarray(image) == indices).all()


@pytest.mark.parametrize(("depth", "kind"), [(2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_a_mark_takes_the_ground_that_is_transparent_by_its_colour(depth: int, kind: int) -> None:
    """White is transparent; the mark lies half upon it, and all is filled with white (section 11.3.1.1)."""
    top = (1 << depth) - 1
    channels = 3 if kind == 2 else 1
    samples = np.full((12, 16, channels), top, np.uint16 if depth == 16 else np.uint8)
    samples[:, 8:] = top // 3
    samples[4:8, 4:12] = 0
    if depth == 16:
        rows = samples.astype(">u2").view(np.uint8).reshape(12, -1)
    else:
        rows = packed_bits(samples.reshape(12, -1), depth)
    head = png_chunks.Header(16, 12, depth, kind, interlaced=False)
    content = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
    key = top.to_bytes(2, "big") * channels
    data = png_chunks.joined([(b"IHDR", head.content()), (b"tRNS", key), (b"IDAT", content), (b"IEND", b"")])
    task = read(data, b'{"boxes": [[3, 3, 10, 6]]}', limits=LIMITS, dilation_px=0)
    goods = np.zeros_like(task.picture.pixels)
    goods[:, 8:] = 255
    result = write(task, [np.full_like(goods, 255), goods]).data
    old, new = (decode(file, LIMITS).pages[0].samples for file in (data, result))
    white = 65535 if depth == 16 else 255
    opaque = np.zeros((12, 16), bool)
    opaque[:, 8:] = True
    assert np.array_equal(new[..., -1] > 0, opaque)
    hole = task.hole > 0
    assert np.array_equal(new[~hole], old[~hole])
    assert (new[hole & opaque][:, :-1] > white // 2).all()

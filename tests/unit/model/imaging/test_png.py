"""Interlaced PNGs come back interlaced, in every size, kind and depth."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.imaging.formats import png


@given(st.integers(1, 19), st.integers(1, 19), st.sampled_from([(8, 0), (8, 2), (8, 6), (16, 2), (16, 4), (2, 0)]))
def test_interlaced_picture_data_is_read_back_by_another_decoder(
    height: int, width: int, kind: tuple[int, int]
) -> None:
    depth, colour = kind
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    samples = np.random.default_rng(height * 20 + width).integers(0, 4, (height, width, channels))
    samples = samples * 85 if depth < 16 else samples * 20_011
    head = png.Header(width, height, depth, colour, interlaced=True)
    content = png._encoded(samples.astype(np.uint16 if depth == 16 else np.uint8), head)
    data = png.joined([(b"IHDR", head.content()), (b"IDAT", content), (b"IEND", b"")])
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
    head = png.Header(11, 13, depth, 3, interlaced=True)
    table = bytes(range(3 << depth))
    parts = [(b"IHDR", head.content()), (b"PLTE", table), (b"IDAT", png._encoded(indices, head)), (b"IEND", b"")]
    with Image.open(io.BytesIO(png.joined(parts))) as image:
        assert (np.asarray(image) == indices).all()

"""Files of few pixels and much else are refused by their headers, before anything is decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from PIL import Image

from bench.corpus.content import file_of
from model.errors import ImageRejected, MaskRejected
from model.imaging import Limits, probe, probe_mask
from model.imaging.formats import png_chunks, segments, webp
from model.imaging.parts import MOST_FRAMES, MOST_METADATA_BYTES, MOST_PARTS

LIMITS = Limits(max_bytes=200 << 20, max_pixels=100_000_000)


def dots(count: int) -> list[Image.Image]:
    """Different pictures of one pixel."""
    return [Image.new("RGB", (1, 1), (n % 256, n // 256, 7)) for n in range(count)]


def gif(count: int) -> bytes:
    data = file_of(Image.new("P", (1, 1)), "GIF")
    frame = data[data.rindex(b",") : -1]
    return data[:-1] + frame * (count - 1) + b";"


def apng(count: int) -> bytes:
    def control(number: int) -> tuple[bytes, bytes]:
        return b"fcTL", struct.pack(">IIIIIHHBB", number, 1, 1, 0, 0, 1, 10, 0, 0)

    data = file_of(Image.new("L", (1, 1)), "PNG")
    head, *rest = png_chunks.chunks(data)
    idat = next(content for name, content in rest if name == b"IDAT")
    numbers = range(1, 2 * count - 1, 2)
    frames = [part for n in numbers for part in (control(n), (b"fdAT", struct.pack(">I", n + 1) + idat))]
    first = [(b"acTL", struct.pack(">II", count, 0)), control(0), (b"IDAT", idat)]
    return png_chunks.joined([head, *first, *frames, (b"IEND", b"")])


def animated_webp(count: int) -> bytes:
    data = file_of(dots(1)[0], "WEBP", save_all=True, append_images=dots(3)[1:], lossless=True)
    parts = webp.chunks(data)
    frame = next(part for part in parts if part[0] == b"ANMF")
    return webp.joined([*(part for part in parts if part[0] != b"ANMF"), *([frame] * count)])


def pages(count: int) -> bytes:
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        for _ in range(count):
            file.write(np.zeros((1, 1), np.uint8), metadata=None)
    return out.getvalue()


def page_without_end() -> bytes:
    """A TIFF whose only page names itself as the next one."""
    data = bytearray(pages(1))
    first = struct.unpack_from("<I", data, 4)[0]
    after = first + 2 + 12 * struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, after, first)
    return bytes(data)


@pytest.mark.parametrize("make", [gif, apng, animated_webp, pages])
def test_as_many_frames_as_the_limit_are_read(make: Callable[[int], bytes]) -> None:
    assert probe(make(MOST_FRAMES), LIMITS).frames == MOST_FRAMES


@pytest.mark.parametrize(
    "data",
    [gif(MOST_FRAMES + 1), apng(MOST_FRAMES + 1), animated_webp(MOST_FRAMES + 1), pages(MOST_FRAMES + 1),
     gif(2_000_000)],
    ids=["gif", "png", "webp", "tiff", "two-million"],
)  # fmt: skip
def test_more_are_refused(data: bytes) -> None:
    with pytest.raises(ImageRejected, match=f"over {MOST_FRAMES} frames") as refusal:
        probe(data, LIMITS)
    assert refusal.value.code == "image_too_many_parts"


def test_pages_that_lead_in_a_circle_end_where_it_closes() -> None:
    assert probe(page_without_end(), LIMITS).frames == 1


def png_of_chunks(count: int) -> bytes:
    head, *rest = png_chunks.chunks(file_of(Image.new("L", (4, 4)), "PNG"))
    return png_chunks.joined([head, *([(b"tEXt", b"a\0b")] * count), *rest])


def jpeg_with(parts: list[segments.Segment]) -> bytes:
    data = file_of(Image.new("L", (4, 4)), "JPEG")
    return segments.under([*segments.split(data)[0][:1], *parts], data)


def tables_between_scans(count: int) -> bytes:
    data = file_of(Image.new("L", (4, 4)), "JPEG")
    return data[:-2] + segments.Segment(segments.DRI, b"\0\0").bytes * count + data[-2:]


@pytest.mark.parametrize(
    "data",
    [png_of_chunks(MOST_PARTS), jpeg_with([segments.Segment(segments.COM, b"")] * MOST_PARTS),
     tables_between_scans(MOST_PARTS)],
    ids=["png", "jpeg", "jpeg-scans"],
)  # fmt: skip
def test_many_small_parts_are_refused(data: bytes) -> None:
    with pytest.raises(ImageRejected, match=f"over {MOST_PARTS} parts") as refusal:
        probe(data, LIMITS)
    assert refusal.value.code == "image_too_many_parts"


def test_much_metadata_is_refused() -> None:
    comments = [segments.Segment(segments.COM, bytes(65_000))] * (MOST_METADATA_BYTES // 65_000 + 1)
    with pytest.raises(ImageRejected, match="MiB of metadata"):
        probe(jpeg_with(comments), LIMITS)
    assert probe(jpeg_with(comments[:100]), LIMITS).width == 4


def test_masks_have_the_same_limits() -> None:
    with pytest.raises(MaskRejected) as refusal:
        probe_mask(gif(MOST_FRAMES + 1), LIMITS)
    assert refusal.value.code == "mask_too_many_parts"


def test_a_frame_larger_than_its_animation_is_refused_with_a_type() -> None:
    from model.imaging.coding import decode

    data = bytearray(gif(2))
    second = data.rindex(b",")
    data[second + 5 : second + 9] = struct.pack("<HH", 65_535, 65_535)
    with pytest.raises(ImageRejected):
        decode(bytes(data), LIMITS)

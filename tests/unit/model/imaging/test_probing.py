"""Unsupported files are refused by their header, with a code and a sentence."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageRejected
from model.imaging import Limits, probe
from model.imaging.coding import decode, encode
from model.imaging.formats import segments
from model.imaging.picture import Edit
from model.imaging.turning import as_seen, as_stored

LIMITS = Limits(max_bytes=10_000_000, max_pixels=1_000_000)
ORIENTATION = 0x0112


def photo(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Smooth, so that JPEG keeps it close; different in all corners, so that a turn shows."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)), axis=2).astype(np.uint8)


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of 8x8 pixels whose header, checksum and all, says ``width`` x ``height``."""
    data = file_of(Image.new("1", (8, 8)), "PNG")
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_seen_upright_and_kept_in_the_file(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    source = Image.fromarray(photo())
    data = file_of(source, "PNG", exif=exif)
    facts = probe(data, LIMITS)
    document = decode(data, LIMITS)
    seen = document.pages[0].samples
    assert seen.shape[:2] == (facts.height, facts.width)
    assert (facts.width > facts.height) is (orientation < 5)
    hole = np.full(seen.shape[:2], 255, np.uint8)
    again = Image.open(io.BytesIO(encode(document, [Edit(seen, hole)]).data))
    assert np.array_equal(np.asarray(again), np.asarray(source))
    assert again.getexif()[ORIENTATION] == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_is_as_pillow_turns_and_back(orientation: int) -> None:
    from PIL import ImageOps

    image = Image.fromarray(photo())
    image.getexif()[ORIENTATION] = orientation
    assert np.array_equal(as_seen(photo(), orientation), np.asarray(ImageOps.exif_transpose(image)))
    assert np.array_equal(as_stored(as_seen(photo(), orientation), orientation), photo())


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan, a refinement of a few bytes, comes again and again."""
    data = file_of(Image.new("L", (64, 48), 90), "JPEG", progressive=True)
    own = segments.scans(data, 1000)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (count - own) + data[-2:]


def test_scans_are_counted_as_they_lie_in_the_file() -> None:
    assert segments.scans(file_of(Image.fromarray(photo()), "JPEG"), 1000) == 1
    assert segments.scans(file_of(Image.fromarray(photo()), "JPEG", restart_marker_blocks=2), 1000) == 1
    assert 6 <= segments.scans(file_of(Image.fromarray(photo()), "JPEG", progressive=True), 1000) <= 12
    assert segments.scans(with_scans(100), 1000) == 100
    assert probe(with_scans(100), LIMITS).format == "JPEG"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
def test_bytes_after_the_picture_are_counted(options: dict[str, Any]) -> None:
    alone = file_of(Image.fromarray(photo()), "JPEG", **options)
    assert segments.behind(alone) == 0
    assert segments.behind(alone + b"\0" * 7) == 7
    assert segments.behind(alone + alone) == len(alone)
    assert segments.behind(alone[:-2]) == segments.behind(b"no picture") == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image_unreadable"),
        (b"this is a text, not a picture", "image_unreadable"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "image_unreadable"),
        (b"%PDF-1.7\n" + file_of(Image.fromarray(photo()), "PNG"), "image_unreadable"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_unreadable"),
        (file_of(Image.fromarray(photo()), "JPEG2000"), "image_unreadable"),
        (file_of(Image.fromarray(photo()), "PNG").replace(b"IDAT", b"IDOT"), "image_unreadable"),
        (file_of(Image.fromarray(photo(480, 640)), "JPEG")[:-2000], "image_truncated"),
        (file_of(Image.fromarray(photo(480, 640)), "PNG")[:-1000], "image_truncated"),
        (file_of(Image.new("L", (2000, 1000)), "PNG"), "image_too_many_pixels"),
        (png_that_claims(0, 40), "image_empty"),
        (png_that_claims(90_000, 90_000), "image_too_many_pixels"),
        (png_that_claims(70_000, 10), "image_too_many_pixels"),
        (b"\0" * (LIMITS.max_bytes + 1), "image_too_large"),
        (with_scans(101), "image_unreadable"),
    ],
)
def test_unsupported_files_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(ImageRejected) as refusal:
        decode(data, LIMITS)
    assert refusal.value.code == code
    assert len(str(refusal.value)) > 20


def test_pixels_are_counted_over_all_frames() -> None:
    frames = [Image.new("L", (400, 400), shade) for shade in range(8)]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert probe(data, Limits(max_bytes=10**6, max_pixels=8 * 160_000)).frames == 8
    with pytest.raises(ImageRejected) as refusal:
        probe(data, Limits(max_bytes=10**6, max_pixels=8 * 160_000 - 1))
    assert refusal.value.code == "image_too_many_pixels"


def test_pixels_are_counted_on_the_header_before_anything_is_decoded() -> None:
    with pytest.raises(ImageRejected) as refusal:
        probe(png_that_claims(60_000, 60_000), Limits(max_bytes=10**9, max_pixels=100_000_000))
    assert refusal.value.code == "image_too_many_pixels"

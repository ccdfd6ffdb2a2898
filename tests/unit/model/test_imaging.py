"""Files come back as they came in; what cannot be worked on is refused with a code and a sentence."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageRejected, MaskRejected
from model.imaging import Limits, decode, decode_mask, encode, probe

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


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_png_comes_back_with_the_same_pixels_and_mode(mode: str) -> None:
    source = Image.fromarray(photo()).convert(mode)
    if "A" in mode:
        source.putalpha(Image.fromarray(photo()[..., 0]))
    picture = decode(file_of(source, "PNG", dpi=(300, 300)), LIMITS)
    again = Image.open(io.BytesIO(encode(picture, picture.pixels)))
    assert (again.format, again.mode) == ("PNG", mode)
    assert np.array_equal(np.asarray(again), np.asarray(source))
    assert again.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_stays_lossless_where_it_was(lossless: bool, mode: str) -> None:
    source = Image.fromarray(photo()).convert(mode)
    if mode == "RGBA":
        source.putalpha(Image.fromarray(photo()[..., 0]))
    data = file_of(source, "WEBP", lossless=lossless, exact=True, icc_profile=b"profile")
    picture = decode(data, LIMITS)
    assert picture.lossless is lossless
    again = Image.open(io.BytesIO(encode(picture, picture.pixels)))
    assert (again.format, again.mode, again.info["icc_profile"]) == ("WEBP", mode, b"profile")
    if lossless:
        assert np.array_equal(np.asarray(again), np.asarray(source))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [True, False])
def test_jpeg_keeps_tables_sampling_profile_and_size(subsampling: int, progressive: bool) -> None:
    data = file_of(
        Image.fromarray(photo(160, 240)),
        "JPEG",
        quality=77,
        subsampling=subsampling,
        progressive=progressive,
        icc_profile=b"profile",
        dpi=(300, 300),
    )
    picture = decode(data, LIMITS)
    result = encode(picture, picture.pixels)
    before, after = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(result))
    assert after.format == "JPEG"
    assert after.quantization == before.quantization  # type: ignore[attr-defined]
    assert decode(result, LIMITS).subsampling == subsampling
    assert after.info["icc_profile"] == b"profile"
    assert after.info["dpi"] == (300, 300)
    assert bool(after.info.get("progressive")) is progressive
    assert len(result) < 1.1 * len(data)


def test_grey_jpeg_stays_grey() -> None:
    data = file_of(Image.fromarray(photo()).convert("L"), "JPEG")
    picture = decode(data, LIMITS)
    assert Image.open(io.BytesIO(encode(picture, picture.pixels))).mode == "L"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_seen_upright_and_kept_in_the_file(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    source = Image.fromarray(photo())
    data = file_of(source, "PNG", exif=exif)
    picture = decode(data, LIMITS)
    facts = probe(data, LIMITS)
    assert picture.pixels.shape[:2] == (facts.height, facts.width)
    assert (facts.width > facts.height) is (orientation < 5)
    again = Image.open(io.BytesIO(encode(picture, picture.pixels)))
    assert np.array_equal(np.asarray(again), np.asarray(source))
    assert again.getexif()[ORIENTATION] == orientation


def test_orientation_6_is_turned_a_quarter_clockwise() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture = decode(file_of(Image.fromarray(photo()), "PNG", exif=exif), LIMITS)
    assert np.array_equal(picture.pixels, np.rot90(photo(), -1))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image_unreadable"),
        (b"this is a text, not a picture", "image_unreadable"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "image_unreadable"),
        (file_of(Image.fromarray(photo()), "BMP"), "image_format_unsupported"),
        (file_of(Image.fromarray(photo()), "PNG").replace(b"IDAT", b"IDOT"), "image_unreadable"),
        (file_of(Image.fromarray(photo(480, 640)), "JPEG")[:-2000], "image_truncated"),
        (file_of(Image.fromarray(photo(480, 640)), "PNG")[:-1000], "image_truncated"),
        (file_of(Image.new("CMYK", (20, 20)), "JPEG"), "image_mode_unsupported"),
        (file_of(Image.fromarray(np.zeros((9, 9), np.uint16)), "PNG"), "image_mode_unsupported"),
        (file_of(Image.new("L", (2000, 1000)), "PNG"), "image_too_many_pixels"),
        (png_that_claims(0, 40), "image_empty"),
        (png_that_claims(90_000, 90_000), "image_too_many_pixels"),
        (b"\0" * (LIMITS.max_bytes + 1), "image_too_large"),
    ],
)
def test_what_cannot_be_worked_on_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ImageRejected) as refusal:
        decode(data, LIMITS)
    assert refusal.value.code == code
    assert len(str(refusal.value)) > 20


def test_several_frames_are_refused() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = file_of(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageRejected) as refusal:
        probe(data, LIMITS)
    assert refusal.value.code == "image_format_unsupported"


def test_pixels_are_counted_on_the_header_before_anything_is_decoded() -> None:
    with pytest.raises(ImageRejected) as refusal:
        probe(png_that_claims(90_000, 90_000), Limits(max_bytes=10**9, max_pixels=100_000_000))
    assert refusal.value.code == "image_too_many_pixels"


def mask_file(mode: str) -> bytes:
    """A mask whose left half is marked, in each way people write one."""
    half = np.zeros((48, 64), np.uint8)
    half[:, :32] = 255
    grey = Image.fromarray(half)
    if mode == "RGBA":
        black = Image.new("RGBA", grey.size, (0, 0, 0, 0))
        black.putalpha(grey)
        return file_of(black, "PNG")
    if mode == "JPEG":
        return file_of(grey, "JPEG")
    return file_of(grey.convert(mode), "PNG")


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "RGBA", "JPEG"])
def test_masks_are_read_from_alpha_or_luminance(mode: str) -> None:
    mask = decode_mask(mask_file(mode), LIMITS, width=64, height=48)
    assert set(np.unique(mask)) == {0, 255}
    assert (mask[:, :32] == 255).all()
    assert not mask[:, 32:].any()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"nothing", "mask_unreadable"),
        (file_of(Image.new("L", (64, 47), 255), "PNG"), "mask_size_mismatch"),
        (file_of(Image.new("L", (64, 48), 0), "PNG"), "mask_empty"),
    ],
)
def test_masks_that_do_not_fit_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(MaskRejected) as refusal:
        decode_mask(data, LIMITS, width=64, height=48)
    assert refusal.value.code == code

"""Bytes of strangers are decoded in a process of their own, which limits end, not the caller."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from bench.corpus.content import file_of
from model.errors import ImageRejected
from model.imaging import Limits, apart
from model.imaging.apart import try_decode, view_apart
from model.imaging.view import view

LIMITS = Limits(max_bytes=10**8, max_pixels=10**8)


def picture() -> bytes:
    return file_of(Image.effect_noise((300, 200), 50).convert("RGB"), "PNG")


def test_a_view_is_the_one_that_this_process_would_make() -> None:
    data = picture()
    assert view_apart(data, LIMITS) == view(data, LIMITS)


def test_a_refusal_comes_back_with_its_code_and_sentence() -> None:
    damaged = bytearray(picture())
    damaged[5000:5100] = bytes(100)
    with pytest.raises(ImageRejected) as expected:
        view(bytes(damaged), LIMITS)
    for asked in (view_apart, try_decode):
        with pytest.raises(ImageRejected) as refusal:
            asked(bytes(damaged), LIMITS)
        assert (refusal.value.code, str(refusal.value)) == (expected.value.code, str(expected.value))


def test_a_good_picture_is_decoded_apart_without_an_answer() -> None:
    try_decode(file_of(Image.new("RGB", (30, 20), "red"), "HEIF"), LIMITS)


def test_a_process_over_its_memory_is_refused_with_a_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_BASE_MEMORY", 1 << 26)
    with pytest.raises(ImageRejected) as refusal:
        view_apart(picture(), LIMITS)
    assert refusal.value.code == "image_needs_too_much_memory"


def test_a_process_over_its_time_is_refused_with_a_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_BASE_SECONDS", 0)
    monkeypatch.setattr(apart, "_SECONDS_A_MEGAPIXEL", 0)
    with pytest.raises(ImageRejected) as refusal:
        view_apart(picture(), LIMITS)
    assert refusal.value.code == "image_takes_too_long"


def test_a_large_jpeg_is_decoded_in_a_part_of_its_size() -> None:
    large = file_of(Image.new("RGB", (6000, 4000), "red"), "JPEG")
    shown = view(large, LIMITS)
    with Image.open(io.BytesIO(shown.data)) as image:
        assert image.width * image.height <= 4_000_000
        assert abs(image.width / image.height - 1.5) < 0.01
        assert image.convert("RGB").getpixel((100, 100))[0] > 240  # type: ignore[index]
    assert (shown.width, shown.height) == (6000, 4000)

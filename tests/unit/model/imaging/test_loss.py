"""Formats that are coded again stay within the bound on the loss, whatever their source was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.comparing import pixels_of
from bench.corpus.content import file_of
from model.imaging import Limits
from model.imaging.formats.sizing import LEAST_DB, Coded, within_bound
from model.imaging.loss import similarity_db
from model.repair.task import Repaired, read, write
from tests.running import REPOSITORY

LIMITS = Limits(max_bytes=10**8, max_pixels=10**8)
BOX = b'{"boxes": [[20, 20, 40, 30]]}'


def photo() -> Image.Image:
    with Image.open(REPOSITORY / "samples" / "originals" / "garment-0c06778b.png") as image:
        small = image.convert("RGB")
    small.thumbnail((160, 160))
    return small


def noise() -> Image.Image:
    """The most difficult picture: each pixel has a colour of its own."""
    return Image.fromarray(np.random.default_rng(2).integers(0, 256, (96, 128, 3), dtype=np.uint8))


def repaired(data: bytes) -> tuple[Repaired, list[NDArray[np.uint8]]]:
    """The repaired file, and what lies outside the hole of each of its frames: 255 there."""
    task = read(data, BOX, limits=LIMITS)
    fills = [np.where(part.hole[..., None] > 0, np.uint8(128), part.picture.pixels) for part in task.parts]
    holes = {part.page: part.hole for part in task.parts}
    return write(task, fills), [np.where(hole > 0, np.uint8(0), np.uint8(255)) for hole in holes.values()]


SOURCES: dict[str, Callable[[Image.Image], bytes]] = {
    "webp": lambda image: file_of(image, "WEBP", quality=30),
    "webp-animated": lambda image: file_of(
        image, "WEBP", quality=30, save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)]
    ),
    "avif": lambda image: file_of(image, "AVIF", quality=30, speed=9),
    "avif-10": lambda image: bytes(
        imagecodecs.avif_encode(np.asarray(image, np.uint16) * 4, bitspersample=10, level=30, speed=9)
    ),
    "heic": lambda image: file_of(image, "HEIF", quality=20),
}


@pytest.mark.parametrize("picture", [photo, noise])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_coarse_source_is_coded_finely_enough(kind: str, picture: Callable[[], Image.Image]) -> None:
    source = SOURCES[kind](picture())
    result, outside = repaired(source)
    for before, after, kept in zip(pixels_of(source), pixels_of(result.data), outside, strict=True):
        assert similarity_db(before, after, kept, alpha=before.shape[2] == 4) >= LEAST_DB
    assert result.record["written"] == "recoded"
    assert result.record["size_ratio"] == round(len(result.data) / len(source), 3)
    assert result.record.get("outside_db", LEAST_DB) >= LEAST_DB
    if result.record["size_ratio"] > 1.1:
        assert "times as large as its source" in result.record["reason"]


def test_webp_of_noise_is_coded_without_loss_and_says_so() -> None:
    result, _ = repaired(SOURCES["webp"](noise()))
    assert "It is coded without loss" in result.record["reason"]


def test_a_fine_source_keeps_its_size() -> None:
    result, _ = repaired(file_of(photo(), "WEBP", quality=95))
    assert abs(result.record["size_ratio"] - 1) < 0.15


def test_similarity_counts_alpha_and_leaves_out_what_alpha_hides() -> None:
    meant = np.full((8, 8, 4), 100, np.uint8)
    meant[:4, :, 3] = 0
    hidden = meant.copy()
    hidden[:4, :, :3] = 250
    everywhere = np.full((8, 8), 255, np.uint8)
    assert similarity_db(meant, hidden, everywhere, alpha=True) == np.inf
    less = meant.copy()
    less[..., 3] += 1
    assert similarity_db(meant, less, everywhere, alpha=True) == pytest.approx(20 * np.log10(255))
    assert similarity_db(meant, less.astype(np.uint16), everywhere, alpha=True) == -np.inf


def coder(size: Callable[[int], float], similarity: Callable[[int], float]) -> Any:
    tried: list[int] = []

    def encode(quality: int) -> Coded:
        tried.append(quality)
        return Coded(bytes(round(size(quality))), similarity(quality))

    return encode, tried


def test_the_search_takes_the_source_s_size_where_that_keeps_the_bound() -> None:
    encode, tried = coder(lambda quality: 100 * 1.04**quality, lambda quality: 30 + 0.25 * quality)
    coded = within_bound(encode, round(100 * 1.04**91))
    assert coded is not None
    assert abs(len(coded.data) / (100 * 1.04**91) - 1) < 0.05
    assert len(tried) <= 4


def test_the_search_takes_the_smallest_size_that_keeps_the_bound() -> None:
    encode, tried = coder(lambda quality: 100 * 1.04**quality, lambda quality: 30 + 0.16 * quality)
    coded = within_bound(encode, 100)
    assert coded is not None
    assert LEAST_DB <= coded.similarity_db <= LEAST_DB + 1
    assert len(tried) <= 6


def test_the_search_gives_up_where_no_quality_keeps_the_bound() -> None:
    encode, tried = coder(lambda quality: 100 * 1.04**quality, lambda quality: 20 + 0.1 * quality)
    assert within_bound(encode, 100) is None
    assert 100 in tried

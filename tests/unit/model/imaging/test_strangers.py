"""Files that other programs write in unusual ways: repaired in their own terms, or refused with a type."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from model.errors import ImageRejected
from model.imaging import Limits
from model.imaging.formats import segments
from model.repair.task import Repaired, read, write
from tests.unit.model.imaging.strangers import animation, jpeg_with, noise, resource, thumbnail_resource, tiff

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
BOX = b'{"boxes": [[8, 20, 30, 24]]}'
INSIDE = np.s_[12:52, 0:46]


def repaired(data: bytes) -> Repaired:
    task = read(data, BOX, limits=LIMITS)
    return write(task, [np.where(part.hole[..., None] > 0, np.uint8(90), part.picture.pixels) for part in task.parts])


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize(("bits", "channels"), [(1, 1), (4, 1), (8, 1), (8, 3)])
def test_a_tiff_of_reversed_bits_is_repaired_in_its_own_order(bits: int, channels: int, compression: int) -> None:
    samples = noise(70, 64, *((3,) if channels == 3 else ()), top=1 << bits)
    results = []
    for fill_order in (1, 2):
        data = tiff(samples, bits, compression, fill_order)
        assert np.array_equal(tifffile.imread(io.BytesIO(data)), samples)
        result = repaired(data)
        assert result.record["written"] == "lossless"
        with tifffile.TiffFile(io.BytesIO(result.data)) as file:
            assert file.pages[0].fillorder == fill_order  # type: ignore[union-attr]
            after = file.pages[0].asarray()
        untouched = np.ones(samples.shape[:2], bool)
        untouched[INSIDE] = False
        assert np.array_equal(after[untouched], samples[untouched])
        assert not np.array_equal(after[INSIDE], samples[INSIDE])
        results.append(after)
        with Image.open(io.BytesIO(result.data)) as image:
            shown = np.asarray(image.convert("L" if channels == 1 else "RGB")) // (255 // ((1 << bits) - 1))
        assert np.array_equal(shown, after)
    assert np.array_equal(*results)


def resources_of(data: bytes) -> bytes:
    """What readers join: the contents of all of Photoshop's segments."""
    parts = [part.content for part in segments.split(data)[0] if part.marker == segments.APP13]
    return b"".join(part.removeprefix(segments.PHOTOSHOP) for part in parts)


def test_photoshop_resources_keep_as_many_segments_as_they_need() -> None:
    before, behind = resource(1028, noise(50_000).tobytes()), resource(2000, noise(30_001).tobytes())
    whole = before + thumbnail_resource((9, 9)) + behind
    room = segments.LONGEST - len(segments.PHOTOSHOP)
    cuts = ([whole[:room], whole[room:]], [whole[:50_007], whole[50_007:]], [before, whole[len(before) :]])
    for parts in cuts:
        after = resources_of(repaired(jpeg_with(parts)).data)
        assert after.startswith(before)
        assert after.endswith(behind)
        thumbnail = after[len(before) : -len(behind)]
        assert thumbnail[4:6] == (1036).to_bytes(2, "big")
        assert thumbnail != thumbnail_resource((9, 9))


def test_photoshop_resources_that_a_new_thumbnail_makes_longer_than_a_segment_are_spread() -> None:
    before = resource(1028, noise(65_000).tobytes())
    data = repaired(jpeg_with([before + thumbnail_resource((1, 1))[:400]])).data
    assert resources_of(data).startswith(before)


@pytest.mark.parametrize("shown_first", [True, False])
@pytest.mark.parametrize("frames", [2, 3])
def test_an_animation_of_more_frames_than_it_says_is_refused(frames: int, shown_first: bool) -> None:
    repaired(animation(frames, frames, shown_first))
    for said in range(frames):
        with pytest.raises(ImageRejected) as refusal:
            repaired(animation(frames, said, shown_first))
        assert refusal.value.code == "image_unreadable"
    with pytest.raises(ImageRejected) as refusal:
        repaired(animation(frames, frames + 1, shown_first))
    assert refusal.value.code == "image_unreadable"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_lossless_jpeg_is_refused_with_advice(channels: int) -> None:
    samples = noise(70, 64, 3) if channels == 3 else noise(70, 64)
    with pytest.raises(ImageRejected, match="lossless JPEG") as refusal:
        repaired(bytes(imagecodecs.jpeg8_encode(samples, lossless=True)))
    assert refusal.value.code == "image_mode_unsupported"

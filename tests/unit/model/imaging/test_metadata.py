"""What files say: thumbnails are renewed, labels added, manifests carried, formats changed only when asked."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from bench.corpus import cases
from bench.corpus.content import ICC, JUMBF, XMP, exif
from bench.corpus.mark import letters, png
from model.errors import ImageRejected
from model.imaging import Limits
from model.imaging.formats import segments
from model.imaging.formats.coefficients import IN_MEMORY
from model.imaging.formats.segments import Segment
from model.imaging.metadata.exif import thumbnail_of, with_thumbnail
from model.imaging.metadata.photoshop import with_photoshop_thumbnail
from model.imaging.metadata.provenance import COMPOSITE, Label, labelled
from model.imaging.metadata.reading import xmp_of
from model.repair.task import Repaired, read, write
from tests.running import REPOSITORY

LIMITS = Limits(max_bytes=10**8, max_pixels=10**7)
LABEL = Label("job_1", "FFC inpainting", datetime(2026, 11, 22, 14, 30, tzinfo=UTC))


def photo() -> Image.Image:
    with Image.open(REPOSITORY / "samples" / "originals" / "garment-0c06778b.png") as image:
        small = image.convert("RGB")
    small.thumbnail((120, 120))
    return small


CORPUS = {case.name: case.data for case in cases(photo())}


def painted_red(name: str, output: str | None = None, label: Label | None = None) -> Repaired:
    """The file with its whole picture marked and filled red."""
    task = read(CORPUS[name], b'{"boxes": [[0, 0, 9999, 9999]]}', limits=LIMITS, max_marked_share=1)
    red = [np.full_like(part.picture.pixels, (200, 30 + 10 * n, 40)) for n, part in enumerate(task.parts)]
    return write(task, red, output=output, label=label)


def test_the_thumbnail_in_exif_shows_the_result_and_nothing_else_moves() -> None:
    result = painted_red("jpeg-baseline-420").data
    start = result.index(b"Exif\0\0") + 6
    before = exif(photo())
    after = result[start : start + len(before)]
    at = before.index(b"\xff\xd8")
    assert after[: at - 20] == before[: at - 20]
    with Image.open(io.BytesIO(after[at:])) as thumbnail:
        shown = np.asarray(thumbnail.convert("RGB")).astype(int)
    assert np.abs(shown - (200, 30, 40)).max() < 25


def test_a_thumbnail_that_finds_no_room_is_put_behind_or_taken_out() -> None:
    told = exif(Image.new("RGB", (96, 96), "white"))
    noise = np.random.default_rng(3).integers(0, 255, (400, 400, 3)).astype(np.uint8)
    longer = with_thumbnail(told, thumbnail_of(noise), 1 << 16)
    old = told[told.index(b"\xff\xd8\xff") :]
    assert old[:200] not in longer
    with Image.open(io.BytesIO(longer[longer.rindex(b"\xff\xd8\xff\xe0") :])) as thumbnail:
        assert max(thumbnail.size) <= 160
    assert b"\xff\xd8" not in with_thumbnail(told, thumbnail_of(noise), len(told))
    assert with_thumbnail(b"no exif", thumbnail_of(noise), 100) == b"no exif"


def test_photoshops_thumbnail_is_renewed_and_iptc_kept() -> None:
    iptc = b"8BIM\x04\x04\0\0\0\0\0\x0a\x1c\x02\x78\0\5shirt"
    old = b"8BIM\x04\x0c\0\0\0\0\0\x04\xde\xad\xbe\xef"
    renewed = with_photoshop_thumbnail(iptc + old, thumbnail_of(np.full((50, 40, 3), 90, np.uint8)))
    assert renewed.startswith(iptc)
    assert b"\xde\xad\xbe\xef" not in renewed
    with Image.open(io.BytesIO(renewed[renewed.index(b"\xff\xd8") :])) as thumbnail:
        assert thumbnail.size == (40, 50)


LABELLED = ["jpeg-baseline-420", "png-rgb-8", "webp-lossless-rgb", "avif-8", "heic-8", "tiff-rgb-lzw", "gif"]


@pytest.mark.parametrize("name", LABELLED)
def test_results_say_how_they_were_made_where_asked(name: str) -> None:
    repaired = painted_red(name, label=LABEL)
    packet = xmp_of(repaired.data, repaired.record["format"])
    assert packet is not None
    text = packet.decode()
    assert COMPOSITE in text
    assert "job job_1" in text
    assert "FFC inpainting" in text
    if xmp_of(CORPUS[name], repaired.record["format"]):
        assert 'format="shop"' in text
    with Image.open(io.BytesIO(repaired.data)) as image:
        image.load()


def test_history_grows_and_what_cannot_be_read_is_replaced() -> None:
    once = labelled(None, LABEL)
    twice = labelled(once, LABEL)
    assert (once.count(b"softwareAgent"), twice.count(b"softwareAgent")) == (1, 2)
    assert twice.count(b"compositeWithTrainedAlgorithmicMedia") == 1
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>'
    for broken in (b"<x:xmpmeta", b"\xff\xfe\0", bomb):
        assert labelled(broken, LABEL).count(b"softwareAgent") == 1


@pytest.mark.parametrize("name", ["jpeg-baseline-420", "png-rgb-8", "webp-lossless-rgb", "avif-8", "heic-8"])
def test_manifests_are_carried_and_recorded(name: str) -> None:
    repaired = painted_red(name)
    assert JUMBF in repaired.data
    assert repaired.record["c2pa"] is True
    assert painted_red("gif").record["c2pa"] is False


@pytest.mark.parametrize("output", ["jpeg", "png", "webp", "avif", "tiff"])
@pytest.mark.parametrize(
    "name", ["jpeg-orientation-6", "jpeg-cmyk", "png-rgba-16", "png-palette-8", "tiff-grey-16-tiles"]
)
def test_another_format_is_made_where_asked(name: str, output: str) -> None:
    repaired = painted_red(name, output=output)
    with Image.open(io.BytesIO(repaired.data)) as image:
        image.load()
        assert repaired.record["format"] == image.format
        seen = np.asarray(image.convert("RGB")).astype(int)
        assert image.getexif().get(0x0112, 1) == (6 if (name, output) == ("jpeg-orientation-6", "jpeg") else 1)
        if name == "jpeg-orientation-6":
            assert image.info["icc_profile"] == ICC
    if "grey" not in name and name != "jpeg-cmyk" and (name, output) != ("png-rgba-16", "jpeg"):
        assert np.abs(seen[10:-10, 10:-10] - (200, 30, 40)).mean() < 12
    if (name, output) == ("png-rgba-16", "png"):
        assert imagecodecs.png_decode(repaired.data).dtype == np.uint16


def test_frames_go_into_formats_that_hold_them_only() -> None:
    with Image.open(io.BytesIO(painted_red("gif-animated", output="webp").data)) as image:
        assert getattr(image, "n_frames", 1) == 3
    with pytest.raises(ImageRejected) as refusal:
        painted_red("gif-animated", output="jpeg")
    assert refusal.value.code == "image_output_unsupported"


def test_options_left_out_change_nothing() -> None:
    mask = png(letters(*photo().size, "across"))
    task = read(CORPUS["png-rgb-8"], mask, limits=LIMITS, mask_inverted=True, max_marked_share=1)
    assert (task.hole > 0).mean() > 0.5


def test_the_record_says_what_a_spliced_jpeg_leaves_out() -> None:
    assert "reason" not in painted_red("jpeg-baseline-420").record
    restarting = painted_red("jpeg-restart-markers-420").record
    if IN_MEMORY:
        assert "reason" not in restarting
    else:
        assert restarting["reason"] == "Its restart markers are left out."
    out = io.BytesIO()
    photo().save(out, "MPO", save_all=True, append_images=[photo().rotate(9)])
    task = read(out.getvalue(), b'{"boxes": [[2, 2, 9, 9]]}', limits=LIMITS)
    repaired = write(task, np.full_like(task.picture.pixels, 90))
    assert (repaired.record["format"], repaired.record["written"]) == ("JPEG", "spliced")
    assert repaired.record["reason"] == "Left out, with what describes it: further pictures."
    assert repaired.record["left_out"] == ["further_pictures"]
    with Image.open(io.BytesIO(repaired.data)) as image:
        assert getattr(image, "n_frames", 1) == 1


def test_a_label_that_finds_no_place_is_said_and_costs_nothing() -> None:
    assert painted_red("bmp-24", label=LABEL).record["reason"] == "The label finds no place in the file."
    assert "reason" not in painted_red("png-rgb-8", label=LABEL).record
    assert "reason" not in painted_red("bmp-24").record
    headers, _ = segments.split(CORPUS["jpeg-baseline-420"])
    told = [part for part in headers if segments.describes(part) and not part.content.startswith(segments.XMP)]
    full = XMP.replace(b"shop", b"x" * (segments.LONGEST - len(segments.XMP) - len(XMP) - 200))
    data = segments.under([*told, Segment(segments.APP1, segments.XMP + full)], CORPUS["jpeg-baseline-420"])
    task = read(data, b'{"boxes": [[2, 2, 9, 9]]}', limits=LIMITS)
    repaired = write(task, np.full_like(task.picture.pixels, 90), label=LABEL)
    assert xmp_of(repaired.data, "JPEG") == full
    assert repaired.record["reason"] == "The label finds no place in the file."

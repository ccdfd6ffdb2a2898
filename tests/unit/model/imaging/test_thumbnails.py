"""Thumbnails in XMP packets and among Photoshop's resources of a TIFF: after a repair none of them shows the mark."""

from __future__ import annotations

import base64
import io
import re
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from bench.corpus.content import file_of
from model.imaging import Limits
from model.imaging.formats.tiff_places import with_tag
from model.imaging.metadata.exif import thumbnail_of
from model.imaging.metadata.reading import xmp_of
from model.imaging.metadata.xmp import with_xmp_thumbnails
from model.repair.task import read, write

LIMITS = Limits(max_bytes=10**8, max_pixels=10**7)
RED = (200, 30, 40)
NOISE = Image.fromarray(np.random.default_rng(7).integers(0, 255, (60, 80, 3)).astype(np.uint8))
OLD = file_of(NOISE, "JPEG", quality=80)
CODED = base64.encodebytes(OLD).replace(b"\n", b"&#xA;")


def packet(image: bytes) -> bytes:
    """As Photoshop and Bridge write it."""
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        b'xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/"><xmp:Thumbnails><rdf:Alt>' + image + b"</rdf:Alt>"
        b"</xmp:Thumbnails><xmp:Rating>3</xmp:Rating></rdf:Description></rdf:RDF></x:xmpmeta>"
    )


ELEMENT = packet(b'<rdf:li rdf:parseType="Resource"><xmpGImg:image>' + CODED + b"</xmpGImg:image></rdf:li>")
ATTRIBUTE = packet(b'<rdf:li xmpGImg:format="JPEG" xmpGImg:image="' + CODED + b'"/>')


def reddened(data: bytes, output: str | None = None) -> bytes:
    task = read(data, b'{"boxes": [[0, 0, 9999, 9999]]}', limits=LIMITS, max_marked_share=1)
    return write(task, [np.full_like(part.picture.pixels, RED) for part in task.parts], output=output).data


def shown_in(told: bytes) -> tuple[tuple[int, int], np.ndarray]:
    """Size and mean colour of the thumbnail of a packet."""
    coded = re.search(rb"image(?:>|=\")([^<\"]+)", told)
    assert coded is not None
    with Image.open(io.BytesIO(base64.b64decode(coded[1]))) as image:
        return image.size, np.asarray(image.convert("RGB")).mean(axis=(0, 1))


def with_packet(kind: str, told: bytes) -> bytes:
    photo = NOISE.resize((160, 120))
    if kind == "PNG":
        chunk = PngImagePlugin.PngInfo()
        chunk.add_itxt("XML:com.adobe.xmp", told.decode(), zip=True)
        return file_of(photo, "PNG", pnginfo=chunk)
    if kind == "TIFF":
        return file_of(photo, "TIFF", tiffinfo={700: told})
    return file_of(photo, kind, xmp=told)


@pytest.mark.parametrize("told", [ELEMENT, ATTRIBUTE])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_the_thumbnail_in_xmp_shows_the_result_and_nothing_else_moves(kind: str, told: bytes) -> None:
    result = reddened(with_packet(kind, told))
    new = xmp_of(result, kind)
    assert new is not None
    size, colour = shown_in(new)
    assert size == NOISE.size
    assert np.abs(colour - RED).max() < 10
    assert len(new) == len(told)
    assert new.split(b"image", 1)[0] == told.split(b"image", 1)[0]
    assert new.endswith(told[-90:])
    assert CODED[-500:-400] not in result


@pytest.mark.parametrize("output", ["jpeg", "png", "webp", "avif", "tiff"])
def test_the_thumbnail_in_xmp_is_renewed_in_another_format_too(output: str) -> None:
    result = reddened(with_packet("WEBP" if output != "webp" else "JPEG", ELEMENT), output=output)
    with Image.open(io.BytesIO(result)) as image:
        new = xmp_of(result, str(image.format))
    assert new is not None
    assert np.abs(shown_in(new)[1] - RED).max() < 10


def test_an_invalid_or_too_small_thumbnail_is_blanked() -> None:
    new = thumbnail_of(np.full((40, 40, 3), 90, np.uint8))
    for image in (b"<xmpGImg:image>AAAA</xmpGImg:image>", b"<xmpGImg:image>A</xmpGImg:image>", b"<xmpGImg:width>9"):
        told = packet(b"<rdf:li>" + image + b"</rdf:li>")
        blanked = with_xmp_thumbnails(told, new)
        assert len(blanked) == len(told)
        assert b"Thumbnails" not in blanked
        assert b"<xmp:Rating>3</xmp:Rating>" in blanked


@pytest.mark.parametrize("told", [b"", b"<xmp:Thumbnails/><xmp:Rating>3", b"<xmp:Thumbnails>" * 50_000, ELEMENT[:300]])
def test_packets_without_thumbnails_stay_as_they_are(told: bytes) -> None:
    assert with_xmp_thumbnails(told, thumbnail_of(np.zeros((9, 9, 3), np.uint8))) == told


@pytest.mark.parametrize("kind", ["B", 7])
def test_the_thumbnail_among_photoshops_resources_of_a_tiff_is_renewed(kind: str | int) -> None:
    head = struct.pack(">IIIIIIHH", 1, *NOISE.size, 240, 14400, len(OLD), 24, 1)
    caption = b"8BIM\x04\x04\0\0\0\0\0\x0a\x1c\x02\x78\0\5shirt"
    resource = b"8BIM\x04\x0c\0\0" + (len(head) + len(OLD)).to_bytes(4, "big") + head + OLD + b"\0" * (len(OLD) % 2)
    resources = caption + resource
    out = io.BytesIO()
    tifffile.imwrite(
        out,
        np.asarray(NOISE),
        photometric="rgb",
        metadata=None,
        extratags=[(34377, kind, len(resources), resources, True)],
    )
    result = reddened(out.getvalue())
    assert OLD[-200:-100] not in result
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        new = file.pages[0].tags.valueof(34377)  # type: ignore[union-attr]
    assert new.startswith(caption)
    with Image.open(io.BytesIO(new[new.index(b"\xff\xd8") :])) as image:
        assert np.abs(np.asarray(image.convert("RGB")).mean(axis=(0, 1)) - RED).max() < 10


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("length", [3, 40, 400])
def test_a_tag_takes_the_old_place_or_goes_to_the_end_and_nothing_of_the_old_stays(bigtiff: bool, length: int) -> None:
    out = io.BytesIO()
    tifffile.imwrite(
        out, np.asarray(NOISE), photometric="rgb", metadata=None, bigtiff=bigtiff,
        extratags=[(700, "B", 90, b"old packet" * 9, True)],
    )  # fmt: skip
    data = out.getvalue()
    result = with_tag(data, 700, b"n" * length)
    assert (len(result) > len(data)) == (length == 400)
    assert b"packet" not in result
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert file.pages[0].tags.valueof(700).rstrip(b"\0") == b"n" * length  # type: ignore[union-attr]
        assert np.array_equal(file.asarray(), np.asarray(NOISE))

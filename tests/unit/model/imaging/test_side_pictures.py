"""Side pictures (gain maps, depth maps, further pictures): left out with what promises them, and told by codes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from model.imaging import Limits
from model.imaging.formats import boxes, segments
from model.imaging.formats.segments import Segment
from model.imaging.metadata.reading import xmp_of
from model.imaging.side_pictures import left_out, without_promises
from model.repair.task import Repaired, read, write

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
HDR, CONTAINER = b"http://ns.adobe.com/hdr-gain-map/1.0/", b"http://ns.google.com/photos/1.0/container/"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:g="' + HDR + b'" xmlns:c="' + CONTAINER + b'" xmlns:dc="http://purl.org/dc"'
    b' g:Version=\'1.0\' g:GainMapMax="2.5" dc:title="goods"><g:Offset>1</g:Offset><dc:creator>shop</dc:creator>'
    b'<c:Directory><rdf:Seq><rdf:li c:Semantic="GainMap"/></rdf:Seq></c:Directory>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def photo(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(6).integers(90, 110, (64, 96, 3), dtype=np.uint8)).save(out, kind, **options)
    return out.getvalue()


def jpeg(behind: bytes, *further: Segment) -> bytes:
    data = photo("JPEG")
    headers, _ = segments.split(data)
    own = [segment for segment in headers if segments.describes(segment)]
    return segments.under([*own, *further], data) + behind


def gain_map() -> bytes:
    data = photo("JPEG")
    stated = Segment(segments.APP1, segments.XMP + b'<x xmlns:hdrgm="' + HDR + b'"/>')
    return segments.under([stated], data)


def repaired(data: bytes, output: str | None = None) -> Repaired:
    task = read(data, b'{"boxes": [[2, 2, 9, 9]]}', limits=LIMITS)
    return write(task, [part.picture.pixels for part in task.parts], output=output)


ISO = Segment(segments.APP2, segments.GAIN_MAP + b"\0\0\0\0")
FILES = {
    "gain map": (jpeg(gain_map(), Segment(segments.APP1, segments.XMP + XMP), ISO), ["gain_map"]),
    "video": (jpeg(b"\0\0\0\x18ftypmp42" + bytes(200)), ["video"]),
    "pictures": (jpeg(photo("JPEG")), ["further_pictures"]),
    "depth": (
        jpeg(photo("JPEG"), Segment(segments.APP1, segments.XMP + b'<x Item:Semantic="Depth"/>')),
        ["depth_map"],
    ),
    "notes": (jpeg(b"camera notes " * 20), ["data_behind_the_picture"]),
    "padding": (jpeg(bytes(40)), None),
    "avif with a gain map": (boxes.described(photo("AVIF"), [], [boxes.Item(b"tmap", bytes(62))]), ["gain_map"]),
    "avif": (photo("AVIF"), None),
    "heic with a thumbnail": (photo("HEIF", thumbnails=[32]), ["thumbnail"]),
    "heic": (photo("HEIF"), None),
    "png": (photo("PNG"), None),
}


CAMERA, NOTE = b"http://ns.google.com/photos/1.0/camera/", b"http://ns.adobe.com/xmp/note/"
MOTION = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:GCamera="' + CAMERA + b'" xmlns:n="' + NOTE + b'" GCamera:MotionPhoto="1"'
    b' GCamera:MicroVideoOffset="4711" GCamera:SpecialTypeID="kept" n:HasExtendedXMP="0123"/></rdf:RDF></x:xmpmeta>'
)


def extended(namespace: bytes) -> Segment:
    """A part of extended XMP with a picture in it."""
    packet = b'<x xmlns:G="' + namespace + b'" G:Data="' + b"QUJD" * 100 + b'"/>'
    head = b"0" * 32 + len(packet).to_bytes(4) + bytes(4)
    return Segment(segments.APP1, segments.XMP_EXTENSION + head + packet)


def test_what_promises_a_video_goes_with_it_and_the_rest_of_the_camera_s_notes_stays() -> None:
    video = b"\0\0\0\x18ftypmp42" + bytes(200)
    result = repaired(jpeg(video, Segment(segments.APP1, segments.XMP + MOTION)))
    packet = xmp_of(result.data, "JPEG") or b""
    assert result.record["left_out"] == ["video"]
    assert b"MotionPhoto" not in packet
    assert b"MicroVideo" not in packet
    assert b'GCamera:SpecialTypeID="kept"' in packet
    assert b"HasExtendedXMP" in packet


@pytest.mark.parametrize(
    ("namespace", "code"),
    [(b"http://ns.google.com/photos/1.0/depthmap/", "depth_map"),
     (b"http://ns.google.com/photos/1.0/image/", "further_pictures")],
)  # fmt: skip
def test_pictures_in_extended_xmp_are_left_out_with_what_points_at_them(namespace: bytes, code: str) -> None:
    main = Segment(segments.APP1, segments.XMP + MOTION)
    result = repaired(jpeg(b"", main, extended(namespace)))
    assert result.record["left_out"] == [code]
    assert b"QUJDQUJD" not in result.data
    packet = xmp_of(result.data, "JPEG") or b""
    assert b"HasExtendedXMP" not in packet
    assert b"MotionPhoto" in packet


def test_extended_xmp_without_pictures_stays() -> None:
    main = Segment(segments.APP1, segments.XMP + MOTION)
    history = extended(b"http://ns.adobe.com/camera-raw-settings/1.0/")
    result = repaired(jpeg(b"", main, history))
    assert "left_out" not in result.record
    assert {main, history} <= {*segments.split(result.data)[0]}


def test_a_heic_of_several_pictures_keeps_the_primary_one() -> None:
    heif = pillow_heif.from_pillow(Image.new("RGB", (64, 48), "red"))
    heif.add_from_pillow(Image.new("RGB", (64, 48), "blue"))
    out = io.BytesIO()
    heif.save(out, primary_index=1)
    result = repaired(out.getvalue())
    assert result.record["left_out"] == ["further_pictures"]
    with Image.open(io.BytesIO(result.data)) as image:
        assert getattr(image, "n_frames", 1) == 1
        assert image.convert("RGB").getpixel((50, 40))[2] > 240  # type: ignore[index]


@pytest.mark.parametrize("kind", FILES)
def test_what_is_left_out_is_listed(kind: str) -> None:
    data, codes = FILES[kind]
    for output in (None, "png"):
        record = repaired(data, output).record
        assert record.get("left_out") == codes
        for code in codes or ():
            assert code.replace("_", " ") in record["reason"]


def test_what_promises_a_gain_map_goes_with_it() -> None:
    data, _ = FILES["gain map"]
    for output in (None, "png", "webp"):
        result = repaired(data, output)
        packet = xmp_of(result.data, result.record["format"]) or b""
        assert b'dc:title="goods"' in packet
        assert b"<dc:creator>shop</dc:creator>" in packet
        assert not any(word in packet for word in (b"Version", b"GainMapMax", b"Offset", b"Directory", b"Semantic"))
    assert ISO not in segments.split(repaired(data).data)[0]
    assert left_out(repaired(data).data, "JPEG") == ()


def test_packets_without_a_promise_stay_and_broken_ones_end() -> None:
    assert without_promises(XMP, ()) == XMP
    plain = XMP.replace(HDR, b"http://a.example/").replace(CONTAINER, b"http://b.example/")
    assert without_promises(plain, ("gain_map",)) == plain
    broken = XMP + b"<g:Open " * 50_000 + b"<g:Never>" * 50_000
    assert without_promises(broken, ("gain_map",)).endswith(b"<g:Never>")


def test_auxiliary_pictures_are_told_by_their_types() -> None:
    def of(urn: bytes) -> tuple[str, ...]:
        box = boxes._box(b"auxC", bytes(4) + urn + b"\0")
        properties = boxes._box(b"iprp", boxes._box(b"ipco", box))
        return left_out(boxes._box(b"ftyp", b"heic") + boxes._box(b"meta", bytes(4) + properties), "AVIF")

    assert of(b"urn:com:apple:photo:2020:aux:hdrgainmap") == ("gain_map",)
    assert of(b"urn:mpeg:hevc:2015:auxid:2") == ("depth_map",)
    assert of(b"urn:com:apple:photo:2018:aux:portraiteffectsmatte") == ("auxiliary_pictures",)
    assert of(b"urn:mpeg:hevc:2015:auxid:1") == ()

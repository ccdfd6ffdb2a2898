"""Side pictures: what a file holds besides its picture, by codes, and the metadata that promises them.

A new coding of the picture leaves them out: they would still show the mark.
"""

from __future__ import annotations

import re

import pillow_heif

from model.imaging.formats import boxes, segments

GAIN_MAP, DEPTH_MAP, VIDEO = "gain_map", "depth_map", "video"
FURTHER_PICTURES, AUXILIARY_PICTURES, THUMBNAIL = "further_pictures", "auxiliary_pictures", "thumbnail"
DATA_BEHIND = "data_behind_the_picture"

#: At most this many bytes behind a JPEG count as padding.
_FILLING = 64
#: How gain maps announce themselves: Adobe's and Google's XMP, ISO 21496-1, Apple's XMP.
_GAIN_MAPS = (b"http://ns.adobe.com/hdr-gain-map/1.0/", b"urn:iso:std:iso:ts:21496", b"hdrgainmap")
_DEPTH_MAPS = (b'semantic="depth"', b"depthmap", b"depthdata", b"aux:depth")
_VIDEOS = re.compile(rb"ftyp(?:mp4|isom|iso\d|qt  |avc1)")
#: The number of images that a Multi-Picture Format index states (CIPA DC-007, tag 0xB001), in both byte orders.
_MPF_COUNT = re.compile(rb"\xb0\x01\x00\x04\x00\x00\x00\x01(....)|\x01\xb0\x04\x00\x01\x00\x00\x00(....)", re.DOTALL)
#: Auxiliary pictures (ISO/IEC 23008-12, 6.5.8; HEVC and Apple): alpha is a part of the picture.
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_DEPTH = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth", b"urn:mpeg:hevc:2015:auxid:2")

#: XMP that describes a side picture, by the code of that. Google's photos list what lies behind them in a container,
#: as items; the older forms of its depth maps hold the map itself, in extended XMP.
_CONTAINER, _ITEM = b"http://ns.google.com/photos/1.0/container/", b"http://ns.google.com/photos/1.0/container/item/"
_CAMERA = b"http://ns.google.com/photos/1.0/camera/"
_GOOGLE_IMAGE = b"http://ns.google.com/photos/1.0/image/"
_NAMESPACES = {
    GAIN_MAP: (b"http://ns.adobe.com/hdr-gain-map/1.0/", b"http://ns.apple.com/HDRGainMap/1.0/"),
    DEPTH_MAP: (
        b"http://ns.google.com/photos/1.0/depthmap/",
        b"http://ns.google.com/photos/1.0/focus/",
        b"http://ns.google.com/photos/dd/1.0/device/",
        _GOOGLE_IMAGE,
    ),
    FURTHER_PICTURES: (_GOOGLE_IMAGE,),
}
#: Digest, length and place stand before a part of extended XMP.
_EXTENSION_HEADER = 40
#: Properties of the camera's namespace that promise a video behind the picture; others describe the picture.
_MOTION = re.compile(rb"(?:MotionPhoto|MicroVideo)\w*")


def left_out(data: bytes, format_name: str) -> tuple[str, ...]:
    """Codes of what ``data`` holds besides its picture, in the order of the alphabet."""
    if format_name == "JPEG":
        headers, _ = segments.split(data)
        return tuple(sorted(_behind(data) | in_extended_xmp(headers)))
    return tuple(sorted(_beside(data, format_name))) if format_name in ("AVIF", "HEIF") else ()


def sentence(codes: tuple[str, ...]) -> str:
    """What is left out, in words; empty where nothing is."""
    return f"Left out, with what describes it: {', '.join(codes).replace('_', ' ')}." if codes else ""


def without_promises(packet: bytes, codes: tuple[str, ...]) -> bytes:
    """An XMP packet without the properties that describe a gain map, and the list of side pictures, left out."""
    namespaces = [namespace for code in codes for namespace in _NAMESPACES.get(code, ())]
    for namespace in dict.fromkeys([*namespaces, *((_CONTAINER, _ITEM) if codes else ())]):
        for prefix in _prefixes(packet, namespace):
            packet = _without(packet, re.escape(prefix) + rb":[\w.-]+")
    if VIDEO in codes:
        for prefix in _prefixes(packet, _CAMERA):
            packet = _without(packet, re.escape(prefix) + b":" + _MOTION.pattern)
    return packet


def in_extended_xmp(headers: list[segments.Segment]) -> set[str]:
    """Codes of the pictures in a JPEG's extended XMP (XMP specification part 3, section 1.1.3.1), as base64."""
    parts = [part.content for part in headers if part.marker == segments.APP1]
    extended = b"".join(
        part[len(segments.XMP_EXTENSION) + _EXTENSION_HEADER :]
        for part in parts
        if part.startswith(segments.XMP_EXTENSION)
    )
    codes = set()
    if b"http://ns.google.com/photos/1.0/depthmap/" in extended or b"http://ns.google.com/photos/dd/" in extended:
        codes.add(DEPTH_MAP)
    if _GOOGLE_IMAGE in extended:
        codes.add(FURTHER_PICTURES)
    return codes


def without_extension(packet: bytes) -> bytes:
    """An XMP packet that no longer says that it goes on in extended XMP."""
    for prefix in _prefixes(packet, b"http://ns.adobe.com/xmp/note/"):
        packet = _without(packet, re.escape(prefix) + b":HasExtendedXMP")
    return packet


def _prefixes(packet: bytes, namespace: bytes) -> list[bytes]:
    """The prefixes that stand for ``namespace``."""
    return re.findall(rb"xmlns:([\w.-]+)\s*=\s*[\"']" + re.escape(namespace) + rb"[\"']", packet)


def _without(packet: bytes, name: bytes) -> bytes:
    """``packet`` without the properties of this ``name`` (a pattern), as attributes and as elements."""
    packet = re.sub(rb"\s" + name + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')", b"", packet)
    opening = re.compile(rb"<(" + name + rb")(?:\s[^<>]*)?>")
    out, at = [], 0
    while match := opening.search(packet, at):
        closing = b"</" + match[1] + b">"
        end = match.end() if match[0].endswith(b"/>") else packet.find(closing, match.end()) + len(closing)
        if end < match.end():
            break  # a packet that no reader can make sense of
        out.append(packet[at : match.start()])
        at = end
    return b"".join(out) + packet[at:]


def _behind(data: bytes) -> set[str]:
    """What lies behind a JPEG's picture."""
    size = segments.behind(data)
    if size <= _FILLING:
        return set()
    behind = data[len(data) - size :]
    headers, _ = segments.split(data)
    stated = b"".join(segment.content for segment in headers if segment.marker == segments.APP1).lower()
    lower = behind.lower()
    codes = set()
    if any(sign in lower for sign in _GAIN_MAPS):
        codes.add(GAIN_MAP)
    if _DEPTH_MAPS[0] in stated or any(sign in lower for sign in _DEPTH_MAPS):
        codes.add(DEPTH_MAP)
    if _VIDEOS.search(behind):
        codes.add(VIDEO)
    index = next((part.content for part in headers if part.content.startswith(segments.MPF)), b"")
    count = _MPF_COUNT.search(index)
    pictures = int.from_bytes(count[1] or count[2][::-1], "big") - 1 if count else int(b"\xff\xd8\xff" in behind)
    if pictures > len(codes & {GAIN_MAP, DEPTH_MAP}):
        codes.add(FURTHER_PICTURES)
    return codes or {DATA_BEHIND}


def _beside(data: bytes, format_name: str) -> set[str]:
    """The items of an AVIF or HEIC that are neither its picture nor its alpha nor metadata."""
    codes = set()
    for auxiliary in boxes.auxiliary_types(data):
        if auxiliary in _DEPTH:
            codes.add(DEPTH_MAP)
        elif b"hdrgainmap" in auxiliary.lower():
            codes.add(GAIN_MAP)
        elif auxiliary not in _ALPHA:
            codes.add(AUXILIARY_PICTURES)
    if b"tmap" in boxes.item_types(data):
        codes.add(GAIN_MAP)
    if b"thmb" in boxes.reference_types(data):
        codes.add(THUMBNAIL)
    if format_name == "HEIF" and len(pillow_heif.open_heif(data)) > 1:
        codes.add(FURTHER_PICTURES)
    return codes

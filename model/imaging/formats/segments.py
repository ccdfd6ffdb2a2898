"""JPEG marker segments (ITU-T T.81, annex B): taking a file apart, and other pixels under its headers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

SOI, EOI, SOS, SOF1, DHT, DQT, DRI, COM = 0xD8, 0xD9, 0xDA, 0xC1, 0xC4, 0xDB, 0xDD, 0xFE
APP0, APP1, APP2, APP11, APP13, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xEF
#: Frame headers: all of SOF0 to SOF15 but DHT, JPG and DAC.
SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE, ARITHMETIC = frozenset({0xC2, 0xC6, 0xCA, 0xCE}), frozenset(range(0xC9, 0xD0)) - {0xCC}
LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
#: Largest content of a segment.
LONGEST = 65_533

EXIF, XMP, XMP_EXTENSION = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
MPF, PHOTOSHOP, ADOBE = b"MPF\0", b"Photoshop 3.0\0", b"Adobe"
GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"

#: A marker that interrupts coded data: any but restarts. 0xFF before a zero is data.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_END = b"\xff\xd9"


@dataclass(frozen=True)
class Segment:
    """A marker and its content, without marker and length."""

    marker: int
    content: bytes

    @property
    def bytes(self) -> bytes:
        return bytes((0xFF, self.marker)) + (len(self.content) + 2).to_bytes(2, "big") + self.content


def split(data: bytes) -> tuple[list[Segment], bytes]:
    """The segments before the first scan, and the file from that scan's SOS on.

    Raises:
        ValueError: the file is none, or ends within its headers.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG file")
    headers: list[Segment] = []
    at = 2
    while True:
        # Markers may be preceded by fill bytes, and sloppy writers leave other bytes between segments.
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            raise ValueError("the file ends within its headers")
        marker = data[at + 1]
        if marker == SOS:
            return headers, data[at:]
        if marker in (0x00, 0xFF, 0x01, SOI) or 0xD0 <= marker <= 0xD7:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == EOI:
            raise ValueError("the file holds no scan")
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        headers.append(Segment(marker, data[at + 4 : at + 2 + size]))
        at += 2 + max(size, 2)


def scans(data: bytes, most: int) -> int:
    """The number of scans, counted up to ``most`` + 1: each is a pass over all pixels."""
    return sum(marker == SOS for marker, _ in itertools.islice(_ends(data), most + 1))


def behind(data: bytes) -> int:
    """The number of bytes behind the picture: further pictures, a video, a camera's notes."""
    return next((len(data) - place - 2 for marker, place in _ends(data) if marker == EOI), 0)


def _ends(data: bytes) -> Iterator[tuple[int, int]]:
    """The marker that begins each scan, and EOI behind the last one, with their places in ``data``."""
    try:
        _, rest = split(data)
    except ValueError:
        return
    at, before = 0, len(data) - len(rest)
    yield SOS, before
    while marker_match := _MARKER.search(rest, at + 2):
        at = marker_match.start()
        marker = rest[at + 1]
        if marker in (SOS, EOI):
            yield marker, before + at
        if marker == EOI:
            return
        if marker != SOS:
            # Tables may stand before the next scan; their contents are no markers.
            at += int.from_bytes(rest[at + 2 : at + 4], "big")


def ended(data: bytes) -> bytes:
    """``data`` with an end marker (EOI) where it is a JPEG that lacks one."""
    if not data.startswith(b"\xff\xd8") or any(marker == EOI for marker, _ in _ends(data)):
        return data
    return (data[:-1] if data.endswith(b"\xff") else data) + _END


def holds_every_scan(data: bytes) -> bool:
    """Whether the scans that have begun carry every coefficient of every component in full precision.

    A progressive picture sends its coefficients in steps (T.81, annex G): one that is cut off between two scans is
    coarse, and yet no scan of it is incomplete.
    """
    try:
        headers, _ = split(data)
        content = frame(headers).content
    except ValueError:
        return False
    missing = {(content[6 + 3 * index], place) for index in range(content[5]) for place in range(64)}
    for marker, at in _ends(data):
        if marker != SOS or at + 4 >= len(data):
            continue
        count = data[at + 4]
        components = data[at + 5 : at + 5 + 2 * count : 2]
        first, last, precision = data[at + 5 + 2 * count : at + 8 + 2 * count].ljust(3, b"\xff")
        if precision & 0x0F == 0:
            missing -= {(component, place) for component in components for place in range(first, min(last, 63) + 1)}
    return not missing


def continuations(data: bytes) -> list[bytes]:
    """``data``, which has no end marker, with different coded data behind it and then an end marker.

    A decoder that needs a bit behind the end of ``data`` decodes these differently: the picture is not all there.
    """
    last_scan = max((at for marker, at in _ends(data) if marker == SOS), default=0)
    restarts = _RESTART.findall(data, last_scan)
    following = (restarts[-1][1] - 0xD0 + 1) % 8 if restarts else 0
    restarting = bytes((0xFF, DRI)) in data
    ends = [b""]
    for filler in (b"\0", b"\xaa", b"\x55"):
        # With restart markers in order, so that a decoder that waits for one goes on (T.81, annex E.2.4).
        markers = [bytes((0xFF, 0xD0 + (following + index) % 8)) for index in range(8)] if restarting else []
        ends.append(filler * 16 + b"".join(marker + filler * 16 for marker in markers))
    whole = data.removesuffix(b"\xff")
    return [whole + end + _END for end in ends]


def restarts(data: bytes) -> bool:
    """Whether the file states an interval of restart markers."""
    headers, _ = split(data)
    return any(segment.marker == DRI and any(segment.content) for segment in headers)


def describes(segment: Segment) -> bool:
    """Whether it is metadata (APPn, COM) rather than a part of the coding."""
    return APP0 <= segment.marker <= APP15 or segment.marker == COM


def under(headers: list[Segment], coded: bytes) -> bytes:
    """The pixels of the JPEG file ``coded`` under other ``headers``."""
    own, scans = split(coded)
    kept = [segment for segment in own if not describes(segment)]
    return b"\xff\xd8" + b"".join(segment.bytes for segment in (*headers, *kept)) + scans


def adobe_transform(headers: list[Segment]) -> int | None:
    """The colour transform that Adobe's marker states: 0 none, 1 YCbCr, 2 YCCK; ``None`` without one."""
    for segment in headers:
        if segment.marker == APP14 and segment.content.startswith(ADOBE) and len(segment.content) >= 12:
            return segment.content[11]
    return None


def has_jfif(headers: list[Segment]) -> bool:
    """Whether a JFIF marker is there, which states YCbCr for three components."""
    return any(segment.marker == APP0 and segment.content.startswith(b"JFIF\0") for segment in headers)


def frame(headers: list[Segment]) -> Segment:
    """The frame header.

    Raises:
        ValueError: there is none.
    """
    for segment in headers:
        if segment.marker in SOF:
            return segment
    raise ValueError("the file has no frame header")

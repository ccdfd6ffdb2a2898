"""PNG chunk by chunk, without a decoder: headers, metadata, and whether the picture data is undamaged.

Portable Network Graphics Specification (Third Edition), W3C 2025. Light enough for the API.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
#: Samples of a pixel, by colour type.
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}

#: Picture data is inflated in steps of at most 1 MiB, to the same amount beyond twice the size of its rows.
_STEP = _SLACK = 1 << 20

Chunk = tuple[bytes, bytes]


@dataclass(frozen=True)
class Header:
    """IHDR. ``depth``: bits of a sample; ``kind``: the colour type."""

    width: int
    height: int
    depth: int
    kind: int
    interlaced: bool

    def content(self) -> bytes:
        """The content of the IHDR chunk."""
        size = self.width.to_bytes(4, "big") + self.height.to_bytes(4, "big")
        return size + bytes((self.depth, self.kind, 0, 0, self.interlaced))


def chunks(data: bytes) -> Iterator[Chunk]:
    """Names and contents, up to IEND or to where the file ends."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        yield name, data[at + 8 : at + 8 + size]
        if name == b"IEND":
            return
        at += 12 + size


def joined(parts: list[Chunk]) -> bytes:
    """A file of these chunks."""
    out = [SIGNATURE]
    for name, content in parts:
        out += [len(content).to_bytes(4, "big"), name, content, zlib.crc32(name + content).to_bytes(4, "big")]
    return b"".join(out)


def header(data: bytes) -> Header:
    """The first chunk of ``data``."""
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return Header(width, height, data[24], data[25], data[28] == 1)


def whole_frames(parts: list[Chunk]) -> Iterator[Chunk]:
    """``parts`` with the picture data of each frame in one chunk, without its sequence numbers."""
    for name, group in itertools.groupby(parts, key=lambda part: part[0]):
        contents = [content for _, content in group]
        if name == b"IDAT":
            yield name, b"".join(contents)
        elif name == b"fdAT":
            yield name, b"".join(content[4:] for content in contents)
        else:
            yield from ((name, content) for content in contents)


def has_untold_frames(data: bytes) -> bool:
    """Whether more frames (fcTL) follow than the animation's header (acTL) says; programs differ in what they show."""
    stated: int | None = None
    frames = 0
    for name, content in chunks(data):
        if name == b"acTL":
            stated = int.from_bytes(content[:4], "big")
        frames += name == b"fcTL"
    return stated is not None and frames > stated


def exif_of(data: bytes) -> bytes | None:
    """The content of eXIf, which may stand before the picture data or after it; ``None`` without one."""
    return next((content for name, content in chunks(data) if name == b"eXIf"), None)


def xmp_of(data: bytes) -> bytes | None:
    """The XMP packet (XMP specification part 3, section 1.1.5), before the picture data or after it."""
    for name, content in chunks(data):
        if name != b"iTXt" or not content.startswith(XMP_KEYWORD + b"\0"):
            continue
        compressed = content[len(XMP_KEYWORD) + 1 :][:1] == b"\1"
        # Compression flag and method; then language tag and translated keyword, each ended by a zero.
        packet = content[len(XMP_KEYWORD) + 3 :].split(b"\0", 2)[-1]
        return _inflated(packet) if compressed else packet
    return None


def damage_of(data: bytes) -> str | None:
    """How the picture data of a frame is damaged; ``None`` where every zlib stream ends with the right checksum.

    Pillow notices neither wrong CRCs nor, near the end of a stream, wrong Adler-32 checksums.
    """
    head = header(data)
    row = 1 + -(-head.width * head.depth * CHANNELS.get(head.kind, 4) // 8)
    most = 2 * head.height * row + _SLACK
    streams = (content for name, content in whole_frames(list(chunks(data))) if name in (b"IDAT", b"fdAT"))
    return next((damage for damage in (_damage_of_stream(stream, most) for stream in streams) if damage), None)


def _damage_of_stream(stream: bytes, most: int) -> str | None:
    inflater = zlib.decompressobj()
    inflated = 0
    try:
        for at in range(0, len(stream), _STEP):
            packed, part = stream[at : at + _STEP], b""
            while packed or len(part) == _STEP:
                part = inflater.decompress(packed, _STEP)
                packed = inflater.unconsumed_tail
                inflated += len(part)
                if inflated > most:
                    return "its data goes on far behind the last row"
            if inflater.eof:
                return None
    except zlib.error as error:
        return str(error)
    return "its data is truncated"


def _inflated(packet: bytes) -> bytes | None:
    """A compressed text; ``None`` where it cannot be inflated, or is longer than 16 MiB."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(packet, 16 * _STEP)
    except zlib.error:
        return None
    return text if inflater.eof else None

"""Limits on what a file may hold besides pixels: frames, parts and metadata, counted from its headers alone.

A file of few pixels can take minutes: 30 MB hold two million frames of one pixel. Nothing is decoded here, and counting
ends at the first limit. Light enough for the API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from model.errors import ModelError
from model.imaging.formats import png_chunks, segments

#: Most frames of an animation, or pages of a document with the smaller copies of its pages.
MOST_FRAMES = 2_000
#: Most parts: chunks, segments, blocks, boxes, entries of directories.
MOST_PARTS = 100_000
#: Most bytes of metadata: EXIF, XMP, profiles, text, whatever is not coded pixels.
MOST_METADATA_BYTES = 32 << 20

#: Frames that a part begins, and bytes of metadata in it.
Part = tuple[int, int]
Rejection = Callable[[str, str], ModelError]

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
_GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER, _GIF_TABLE = 0x21, 0x2C, 0x3B, 0x80
_WEBP_CODED = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM"})
#: Tags of a TIFF that are not metadata: the places of its pixels, and Photoshop's layers. The tag that points at
#: directories beneath a page.
_CODED_TAGS, _BENEATH = frozenset({273, 279, 324, 325, 37724}), 330
#: Bytes of a value by its kind (TIFF 6.0, section 2; BigTIFF).
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def check_parts(data: bytes, rejected: Rejection, noun: str) -> None:
    """Count the parts of a file of any known format.

    Raises:
        ModelError: made by ``rejected``: it has too many.
    """
    frames = metadata = 0
    for count, (begun, described) in enumerate(_parts(data), start=1):
        frames += begun
        metadata += described
        if frames > MOST_FRAMES:
            limit = f"over {MOST_FRAMES} frames or pages: split it"
        elif count > MOST_PARTS:
            limit = f"over {MOST_PARTS} parts (chunks, segments, blocks): export it again"
        elif metadata > MOST_METADATA_BYTES:
            limit = f"over {MOST_METADATA_BYTES >> 20} MiB of metadata: remove what it does not need"
        else:
            continue
        raise rejected(f"{noun}_too_many_parts", f"The {noun} file has {limit}.")


def _parts(data: bytes) -> Iterator[Part]:
    if data.startswith(png_chunks.SIGNATURE):
        return _of_png(data)
    if data[:3] == b"GIF":
        return _of_gif(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _of_webp(data)
    if data[:2] == b"\xff\xd8":
        return _of_jpeg(data)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _of_tiff(data)
    return _of_boxes(data) if data[4:8] == b"ftyp" else iter(())


def _of_png(data: bytes) -> Iterator[Part]:
    at = len(png_chunks.SIGNATURE)
    while at + 12 <= len(data):
        size, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        yield int(name == b"fcTL"), 0 if name in (b"IDAT", b"fdAT") else min(size, len(data) - at)
        if name == b"IEND":
            return
        at += 12 + size


def _of_gif(data: bytes) -> Iterator[Part]:
    at = 13 + _gif_table(data[10:11])
    while at < len(data) and data[at] != _GIF_TRAILER:
        start, kind = at, data[at]
        if kind == _GIF_IMAGE:
            at += 11 + _gif_table(data[at + 9 : at + 10])
        else:
            at += 2 if kind == _GIF_EXTENSION else 1
        if kind in (_GIF_IMAGE, _GIF_EXTENSION):
            while at < len(data) and data[at]:
                at += 1 + data[at]
            at += 1
        yield int(kind == _GIF_IMAGE), 0 if kind == _GIF_IMAGE else at - start


def _gif_table(flags: bytes) -> int:
    """Bytes of a colour table."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & _GIF_TABLE else 0


def _of_webp(data: bytes) -> Iterator[Part]:
    at, end = 12, min(len(data), int.from_bytes(data[4:8], "little") + 8)
    while at + 8 <= end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        is_frame = name == b"ANMF"
        yield int(is_frame), 0 if is_frame or name in _WEBP_CODED else min(size, end - at)
        # The chunks of a frame are parts, too: a header of 16 bytes stands before them.
        at += 24 if is_frame else 8 + size + size % 2


def _of_jpeg(data: bytes) -> Iterator[Part]:
    """Segments up to the end marker; between scans only their markers are looked for."""
    at, in_scan = 2, False
    while marker_match := _MARKER.search(data, at):
        at = marker_match.start()
        marker = data[at + 1]
        if marker == _JPEG_END:
            return
        if marker == segments.SOI or marker < 0xC0:
            at += 2
            yield 0, 0
            continue
        size = int.from_bytes(data[at + 2 : at + 4])
        in_scan |= marker == _JPEG_SCAN
        yield 0, size if segments.APP0 <= marker <= segments.APP15 or marker == segments.COM else 0
        at += 2 + max(size, 2)


def _of_tiff(data: bytes) -> Iterator[Part]:
    order = "little" if data[:2] == b"II" else "big"
    big = int.from_bytes(data[2:4], order) == 43  # type: ignore[arg-type]
    count_size, entry_size, offset_size = (8, 20, 8) if big else (2, 12, 4)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    visited: set[int] = set()
    following = [number(8 if big else 4, offset_size)]
    while following:
        at = following.pop()
        if at == 0 or at >= len(data) or at in visited:
            continue  # where pages lead in a circle, decoders stop
        visited.add(at)
        yield 1, 0
        count = number(at, count_size)
        for entry in range(at + count_size, min(at + count_size + count * entry_size, len(data)), entry_size):
            tag, kind = number(entry, 2), number(entry + 2, 2)
            values = number(entry + 4, offset_size)
            size = values * _SIZES.get(kind, 1)
            place = entry + 4 + offset_size
            if size > offset_size:
                place = number(place, offset_size)
            yield 0, 0 if tag in _CODED_TAGS else min(size, len(data))
            if tag == _BENEATH:
                width = _SIZES.get(kind, 4)
                for index in range(min(values, MOST_FRAMES + 1)):
                    beneath = number(place + index * width, width)
                    yield int(0 < beneath < len(data)), 0
        following.append(number(at + count_size + count * entry_size, offset_size))


def _of_boxes(data: bytes) -> Iterator[Part]:
    at = 0
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        elif size == 0:
            size = len(data) - at
        if size < 8:
            return
        coded = name in (b"mdat", b"idat", b"free")
        yield 0, 0 if coded else min(size, len(data) - at)
        at += size

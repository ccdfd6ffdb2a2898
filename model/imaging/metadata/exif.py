"""Renews the thumbnail inside EXIF, byte for byte: all other data, including maker notes, keeps its place.

Exif 2.32, section 4.5.5: the thumbnail is a JPEG that the second directory (IFD1) points at.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from model.imaging.picture import Pixels

#: Makes a JPEG from its longest side in pixels and its quality.
Thumbnail = Callable[[int, int], bytes]

#: A sanity limit, because EXIF outside JPEG has none.
LONGEST_EXIF = 1 << 24
_OFFSET, _LENGTH = 0x0201, 0x0202
_QUALITIES = (85, 75, 60, 40, 20)
#: Side in pixels for an unreadable old thumbnail: EXIF's recommendation.
_USUAL_SIDE = 160
#: Largest side of a new thumbnail, in pixels.
_LARGEST_SIDE = 1024


def thumbnail_of(stored: Pixels) -> Thumbnail:
    """Thumbnails of ``uint8 [H, W, 3]``, in the orientation in which it is stored."""
    # Reduced once for all that are made: thinned first, then averaged.
    thin = max(1, max(stored.shape[:2]) // (4 * _LARGEST_SIDE))
    image = Image.fromarray(np.ascontiguousarray(stored[::thin, ::thin]))
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), reducing_gap=2.0)

    def make(side: int, quality: int) -> bytes:
        small = image.copy() if max(image.size) <= side else image.resize(_fitted(image.size, side), reducing_gap=2.0)
        out = io.BytesIO()
        small.convert("RGB").save(out, "JPEG", quality=quality)
        return out.getvalue()

    return make


def with_thumbnail(exif: bytes, thumbnail: Thumbnail, longest: int) -> bytes:
    """``exif`` (from its byte order on) with a new thumbnail where it has one, in at most ``longest`` bytes.

    Unreadable EXIF is returned unchanged: no program can show a thumbnail in it.
    """
    try:
        order, place = _thumbnail_entries(exif)
    except (struct.error, ValueError):
        return exif
    if place is None:
        return exif
    offset_at, length_at = place
    offset, length = (struct.unpack_from(order + "I", exif, at)[0] for at in place)
    for new in attempts(thumbnail, exif[offset : offset + length]):
        if len(new) <= length and offset + length <= len(exif):
            changed = bytearray(exif)
            changed[offset : offset + length] = new.ljust(length, b"\0")
            struct.pack_into(order + "I", changed, length_at, len(new))
            return bytes(changed)
    changed = bytearray(exif)
    if length > 0 and offset + length <= len(exif):
        changed[offset : offset + length] = bytes(length)  # the old one shows the mark
    if len(exif) + len(new) <= longest:
        struct.pack_into(order + "I", changed, offset_at, len(exif))
        struct.pack_into(order + "I", changed, length_at, len(new))
        return bytes(changed) + new
    struct.pack_into(order + "I", changed, length_at, 0)
    return bytes(changed)


def attempts(thumbnail: Thumbnail, old: bytes) -> Iterator[bytes]:
    """Thumbnails of the size of the ``old`` one, each smaller in bytes than the one before."""
    side = _side(old)
    return (thumbnail(side, quality) for quality in _QUALITIES)


def _thumbnail_entries(exif: bytes) -> tuple[str, tuple[int, int] | None]:
    """The byte order, and the places of the values of the thumbnail's offset and length."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        raise ValueError("not EXIF")
    first = struct.unpack_from(order + "I", exif, 4)[0]
    count = struct.unpack_from(order + "H", exif, first)[0]
    second = struct.unpack_from(order + "I", exif, first + 2 + 12 * count)[0]
    if second == 0:
        return order, None
    places = {}
    for index in range(struct.unpack_from(order + "H", exif, second)[0]):
        at = second + 2 + 12 * index
        tag, kind = struct.unpack_from(order + "HH", exif, at)
        if kind == 4:
            places[tag] = at + 8
    if _OFFSET not in places or _LENGTH not in places:
        return order, None
    return order, (places[_OFFSET], places[_LENGTH])


def _side(old: bytes) -> int:
    try:
        with Image.open(io.BytesIO(old), formats=["JPEG"]) as image:
            return max(image.size)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return _USUAL_SIDE


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

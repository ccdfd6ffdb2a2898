"""GIF, block by block: stored frames with a repaired pixel get new indices, all else is copied from the source.

Frames are repaired as displayed, in the colours of their own tables; transparent pixels of a
stored frame show the frame before it, which is repaired as well. GIF89a specification, sections 17 to 27.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageRejected
from model.imaging.formats.palettes import Palette
from model.imaging.picture import Edit, Page
from model.imaging.probing import each_frame, load

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL, _APPLICATION = 0xF9, 0xFF
_TABLE, _INTERLACED = 0x80, 0x40
_XMP, _XMP_TRAILER = b"XMP DataXMP", 258


@dataclass(frozen=True)
class _Frame:
    """One stored image, with its place in the file and on the screen."""

    start: int
    end: int
    left: int
    top: int
    width: int
    height: int
    flags: int
    #: Its own colour table, if it has one.
    table: bytes
    #: LZW code size and sub-blocks.
    coded: bytes
    #: Index that is transparent, if any.
    transparent: int | None


def read(image: Image.Image, frames: int) -> list[Page]:
    """Read every frame as displayed.

    Raises:
        ImageRejected: the pixels are damaged.
    """
    return [Page(np.array(frame.convert("RGBA"), np.uint8), "rgb", alpha=True) for frame in each_frame(image, frames)]


def write(data: bytes, edits: list[Edit], xmp: bytes | None = None) -> bytes:
    """``data`` with its frames edited; ``xmp`` replaces its XMP packet."""
    shared, stored = _frames(data)
    out, at = [], 0
    for frame, edit in zip(stored, edits, strict=False):
        out += [data[at : frame.start], _repaired(data, frame, shared, edit, is_still=len(edits) == 1)]
        at = frame.end
    return _with_xmp(b"".join(out) + data[at:], len(_head(data)[0]), xmp)


def _repaired(data: bytes, frame: _Frame, shared: bytes, edit: Edit, *, is_still: bool) -> bytes:
    """The frame's block after the repair; pixels may become transparent and, in a still picture, cease to be."""
    window = np.s_[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
    inside = edit.hole[window] > 0
    own = data[frame.start : frame.end]
    if not inside.any() or not (frame.table or shared):
        return own
    indices = _indices(frame, shared)[: inside.shape[0], : inside.shape[1]]
    if frame.transparent is not None and not is_still:
        inside &= indices != frame.transparent
    if not inside.any():
        return own
    whole = _indices(frame, shared)
    palette = Palette.of(frame.table or shared)
    if frame.transparent is not None and frame.transparent < len(palette.alphas):
        palette.alphas[frame.transparent] = 0
    palette.paint(indices, edit.samples[window], inside)
    whole[: inside.shape[0], : inside.shape[1]] = indices
    descriptor = own[:9] + bytes((frame.flags & ~_INTERLACED,))
    return descriptor + frame.table + _coded(whole)


def _indices(frame: _Frame, shared: bytes) -> NDArray[np.uint8]:
    """The stored indices, decoded from a file that holds only this frame."""
    table = frame.table or shared
    bits = (len(table) // 3).bit_length() - 2
    size = frame.width.to_bytes(2, "little") + frame.height.to_bytes(2, "little")
    file = (
        b"GIF89a" + size + bytes((_TABLE | 0x70 | bits, 0, 0)) + table
        + b"," + b"\0" * 4 + size + bytes((frame.flags & _INTERLACED,)) + frame.coded + b";"
    )  # fmt: skip
    with Image.open(io.BytesIO(file)) as image:
        load(image, ImageRejected, "image")
        return np.array(image, np.uint8).reshape(frame.height, frame.width)


def _coded(indices: NDArray[np.uint8]) -> bytes:
    """Indices as LZW code size and sub-blocks, copied from an encoder's file."""
    image = Image.fromarray(indices, "P")
    image.putpalette(bytes(range(256)) * 3)
    out = io.BytesIO()
    image.save(out, "GIF", optimize=False, interlace=False)
    _, (frame,) = _frames(out.getvalue())
    return frame.coded


def _frames(data: bytes) -> tuple[bytes, list[_Frame]]:
    """The shared colour table, and every stored image."""
    head, shared = _head(data)
    at, frames, transparent = len(head), [], None
    while at < len(data) and data[at] != _TRAILER:
        if data[at] == _EXTENSION:
            if data[at + 1] == _CONTROL:
                transparent = data[at + 6] if data[at + 3] & 1 else None
            at = _after_blocks(data, at + 2)
        elif data[at] == _IMAGE:
            left, top, width, height = (int.from_bytes(data[at + n : at + n + 2], "little") for n in (1, 3, 5, 7))
            flags = data[at + 9]
            coded_at = at + 10 + (3 << (flags & 7) + 1 if flags & _TABLE else 0)
            end = _after_blocks(data, coded_at + 1)
            table, coded = data[at + 10 : coded_at], data[coded_at:end]
            frames.append(_Frame(at, end, left, top, width, height, flags, table, coded, transparent))
            at, transparent = end, None
        else:
            at += 1
    return shared, frames


def _head(data: bytes) -> tuple[bytes, bytes]:
    """Everything before the first block, and the colour table in it."""
    size = 3 << (data[10] & 7) + 1 if data[10] & _TABLE else 0
    return data[: 13 + size], data[13 : 13 + size]


def _after_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def xmp_of(data: bytes) -> bytes | None:
    """The XMP packet, if there is one."""
    place = _xmp_place(data)
    return data[place.start + 3 + len(_XMP) : place.stop - _XMP_TRAILER] if place else None


def _xmp_place(data: bytes) -> slice | None:
    """The place of the XMP extension. Its packet ends in a trailer that ends it for any reader of sub-blocks."""
    start = data.find(b"\x21\xff\x0b" + _XMP)
    end = data.find(b"\x01\xff\xfe", start)
    return slice(start, end + _XMP_TRAILER) if 0 <= start < end else None


def _with_xmp(data: bytes, at: int, xmp: bytes | None) -> bytes:
    """``data`` with this packet as its XMP (XMP specification part 3, section 1.1.2)."""
    if xmp is None:
        return data
    if place := _xmp_place(data):
        data = data[: place.start] + data[place.stop :]
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return data[:at] + b"\x21\xff\x0b" + _XMP + xmp + trailer + data[at:]

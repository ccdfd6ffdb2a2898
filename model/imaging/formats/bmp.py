"""BMP: repaired pixels are written into the source's bytes, at any depth; coded rows (RLE) are stored uncompressed.

Windows GDI, "Bitmap Storage"; the headers of OS/2 1.x and of versions 3 to 5.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageRejected
from model.imaging.formats.palettes import Palette, packed_bits
from model.imaging.picture import Edit, Page, Pixels, Written
from model.imaging.probing import load

_RLE = {1, 2}
_BITFIELDS = 3
#: Size of the file header, size of the OS/2 1.x header, and the place of the colour masks.
_FILE_HEADER, _OS2_HEADER, _MASKS_AT = 14, 12, 54
#: The place of the mask of alpha, and the size of the headers from which on there is one (version 3 and later).
_ALPHA_MASK_AT, _WITH_ALPHA = 66, 56
_MASKS = {16: (0x7C00, 0x03E0, 0x001F), 32: (0xFF0000, 0xFF00, 0xFF)}


@dataclass(frozen=True)
class _Layout:
    """The place of the rows in a file, and their coding."""

    start: int
    width: int
    rows: int
    upside_down: bool
    depth: int
    coding: int
    #: Start of the colour table, and bytes of one entry.
    table: int
    entry: int
    colours: int
    #: Bits of red, green, blue and, where the header states them, alpha in a pixel of 16 or 32.
    masks: tuple[int, ...]

    @property
    def row(self) -> int:
        """Number of bytes of a row."""
        return (self.width * self.depth + 31) // 32 * 4


def read(image: Image.Image) -> list[Page]:
    """The picture.

    Raises:
        ImageRejected: the pixels are damaged.
    """
    load(image, ImageRejected, "image")
    if image.mode in ("1", "L"):
        return [Page(np.array(image.convert("L"), np.uint8)[..., None], "grey")]
    alpha = image.mode == "RGBA"
    return [Page(np.array(image.convert("RGBA" if alpha else "RGB"), np.uint8), "rgb", alpha)]


def write(data: bytes, edit: Edit) -> Written:
    """``data`` with ``edit`` (as stored) laid in."""
    layout = _layout(data)
    if layout.coding not in _RLE:
        return Written(_laid_in(data, layout, edit), "lossless")
    data = _plain(data, layout)
    return Written(_laid_in(data, _layout(data), edit), "lossless", "Its rows were coded; they are stored plainly now.")


def _layout(data: bytes) -> _Layout:
    start, header = struct.unpack_from("<II", data, 10)
    if header == _OS2_HEADER:
        width, rows, _, depth = struct.unpack_from("<HHHH", data, 18)
        coding, colours, entry = 0, 0, 3
    else:
        width, rows, _, depth, coding = struct.unpack_from("<iiHHI", data, 18)
        colours, entry = struct.unpack_from("<I", data, 46)[0], 4
    masks = struct.unpack_from("<III", data, _MASKS_AT) if coding == _BITFIELDS else ()
    alpha = struct.unpack_from("<I", data, _ALPHA_MASK_AT)[0] if coding == _BITFIELDS and header >= _WITH_ALPHA else 0
    table = _FILE_HEADER + header
    colours = colours or 1 << depth
    if depth <= 8 and start in (0, table):
        start = table + entry * colours
    colours = min(colours, 1 << depth, (len(data) - table) // entry)
    masks = (*(masks if any(masks) else _MASKS.get(depth, ())), *((alpha,) if alpha else ()))
    return _Layout(start or table, width, abs(rows), rows > 0, depth, coding, table, entry, colours, masks)


def _plain(data: bytes, layout: _Layout) -> bytes:
    """The file with uncompressed rows, in the depth that it states."""
    with Image.open(io.BytesIO(data)) as image:
        load(image, ImageRejected, "image")
        indices = np.array(image, np.uint8)[:: -1 if layout.upside_down else 1]
    packed = packed_bits(indices, layout.depth)
    rows = np.pad(packed, ((0, 0), (0, layout.row - packed.shape[1]))).tobytes()
    head = bytearray(data[: layout.start])
    struct.pack_into("<I", head, 2, len(head) + len(rows))
    struct.pack_into("<II", head, 30, 0, len(rows))
    return bytes(head) + rows


def _laid_in(data: bytes, layout: _Layout, edit: Edit) -> bytes:
    size = layout.row * layout.rows
    # The last row may lack its padding bytes.
    out = np.frombuffer(data.ljust(layout.start + size, b"\0"), np.uint8).copy()
    rows = out[layout.start : layout.start + size].reshape(layout.rows, layout.row)
    if layout.upside_down:
        rows = rows[::-1]
    inside = edit.hole > 0
    if layout.depth <= 8:
        table = np.frombuffer(data[layout.table :], np.uint8, layout.entry * layout.colours)
        palette = Palette.of(np.ascontiguousarray(table.reshape(-1, layout.entry)[:, 2::-1]).tobytes())
        indices = _unpacked(rows, layout)
        palette.paint(indices, edit.samples if edit.samples.shape[2] >= 3 else edit.samples.repeat(3, axis=2), inside)
        packed = packed_bits(indices, layout.depth)
        touched = inside.any(axis=1)
        rows[touched, : packed.shape[1]] = packed[touched]
    elif layout.depth == 24:
        pixels = rows[:, : 3 * layout.width].reshape(layout.rows, layout.width, 3)
        pixels[inside] = edit.samples[..., 2::-1][inside]
    else:
        kind = np.dtype("<u2" if layout.depth == 16 else "<u4")
        pixels = rows[:, : kind.itemsize * layout.width].view(kind)
        pixels[inside] = _mixed(pixels[inside], edit.samples[inside], layout.masks)
    return out[: len(data)].tobytes()


def _unpacked(rows: Pixels, layout: _Layout) -> NDArray[np.uint8]:
    """The indices of packed rows: ``[H, W]``."""
    shifts = np.arange(8 - layout.depth, -1, -layout.depth, dtype=np.uint8)
    top = np.uint8((1 << layout.depth) - 1)
    return np.ascontiguousarray(((rows[..., None] >> shifts) & top).reshape(layout.rows, -1)[:, : layout.width])


def _mixed(old: NDArray[Any], samples: Pixels, masks: tuple[int, ...]) -> NDArray[np.uint32]:
    """Pixels (``[n]``) with the colours ``samples`` (``[n, 3 or 4]``) where ``masks`` say; other bits stay."""
    new = old.astype(np.uint32)
    for channel, mask in enumerate(masks[: samples.shape[1]]):
        shift = (mask & -mask).bit_length() - 1
        value = np.rint(samples[:, channel] * ((mask >> shift) / 255)).astype(np.uint32)
        new = (new & ~np.uint32(mask)) | (value << np.uint32(shift))
    return new

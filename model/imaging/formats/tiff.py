"""TIFF, strip by strip: strips and tiles that the repair touches are coded anew, all else is the source's own bytes.

So every tag, profile, page and private directory stays where it is. New strips that are longer than before go to the
end of the file, and the directory's offsets follow. TIFF 6.0; BigTIFF.
"""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from model.errors import ImageRejected
from model.imaging.formats.palettes import Palette
from model.imaging.picture import Colour, Edit, Page, Samples
from model.imaging.probing import DAMAGE, Limits, damaged

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED = 0, 1, 2, 3, 5
_PLAIN, _LZW, _ADOBE_DEFLATE, _PACKBITS, _DEFLATE = 1, 5, 8, 32773, 32946
#: Codings that can be made again strip by strip without loss.
_CODINGS = {_PLAIN, _LZW, _ADOBE_DEFLATE, _PACKBITS, _DEFLATE}
_OFFSETS, _COUNTS, _XMP, _ORIENTATION = {273, 324}, {279, 325}, 700, 274
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _SEPARATED: 4, _PALETTE: 1}
_SUPPORTED = "grey, RGB, palette or CMYK of 1, 8 or 16 bits, plain or packed with LZW, Deflate or PackBits"
_COMPLAINTS = (*DAMAGE, tifffile.TiffFileError)


def read(data: bytes, limits: Limits) -> list[Page]:
    """Every page.

    Raises:
        ImageRejected: the pixels are damaged, or of a kind that could not be written back.
    """
    try:
        with warnings.catch_warnings(), tifffile.TiffFile(io.BytesIO(data)) as file:
            warnings.simplefilter("ignore")
            pages = list(file.pages)
            _hold(pages, limits)
            return [_shown(page, _stored(page)) for page in pages]
    except MemoryError:
        raise ImageRejected("image_too_many_pixels", "There is not enough memory to decode the image.") from None
    except _COMPLAINTS as error:
        raise damaged(error, ImageRejected, "image") from None


def write(data: bytes, edits: list[Edit], xmp: bytes | None = None) -> bytes:
    """``data`` with its pages edited (as stored); ``xmp`` replaces its XMP packet."""
    out = bytearray(data)
    with warnings.catch_warnings(), tifffile.TiffFile(io.BytesIO(data)) as file:
        warnings.simplefilter("ignore")
        for page, edit in zip(file.pages, edits, strict=True):
            _repair(out, file, page, edit)
    return bytes(out) if xmp is None else _with_xmp(bytes(out), xmp)


def _hold(pages: list[Any], limits: Limits) -> None:
    """Refuse what is too large or cannot be written back, before any of it is decoded."""
    total = 0
    for page in pages:
        total += page.imagewidth * page.imagelength * max(1, page.imagedepth)
        if min(page.imagewidth, page.imagelength) < 1:
            raise ImageRejected("image_empty", "A page of the image has no pixels.")
        if total > limits.max_pixels:
            raise ImageRejected(
                "image_too_many_pixels", f"The image's pages have over {limits.max_pixels} pixels in all."
            )
        plain = page.photometric in _CHANNELS and page.compression in _CODINGS and page.imagedepth == 1
        kind = np.dtype(page.dtype) if page.dtype is not None else None
        fitting = kind in (np.uint8, np.uint16, np.bool_) and page.bitspersample in (1, 8, 16)
        enough = _CHANNELS.get(page.photometric, 99) <= page.samplesperpixel <= 8
        if not (plain and fitting and enough):
            raise ImageRejected("image_mode_unsupported", f"This kind of TIFF is not supported: send {_SUPPORTED}.")


def _stored(page: Any) -> Samples:
    """``[H, W, C]`` as the file has it."""
    samples = page.asarray()
    if page.planarconfig == 2 and samples.ndim == 3:
        samples = samples.transpose(1, 2, 0)
    return np.asarray(samples.reshape(page.imagelength, page.imagewidth, -1))


def _shown(page: Any, stored: Samples) -> Page:
    channels = _CHANNELS[page.photometric]
    alpha = _alpha_at(page)
    turn = page.tags[_ORIENTATION].value if _ORIENTATION in page.tags else 1
    turn = int(turn) if turn in range(1, 9) else 1
    if page.photometric == _PALETTE:
        table = np.asarray(page.colormap)
        return Page((table[:, stored[..., 0]] >> 8).astype(np.uint8).transpose(1, 2, 0), "rgb", False, turn)
    if stored.dtype == np.bool_:
        stored = stored.astype(np.uint8) * np.uint8(255)
    colour = stored[..., :channels]
    if page.photometric == _WHITE_IS_ZERO:
        colour = np.iinfo(colour.dtype).max - colour
    kind: Colour = "grey" if channels == 1 else "rgb" if channels == 3 else "cmyk"
    if alpha is not None and kind != "cmyk":
        return Page(np.concatenate((colour, stored[..., alpha : alpha + 1]), axis=2), kind, True, turn)
    return Page(np.ascontiguousarray(colour), kind, False, turn)


def _alpha_at(page: Any) -> int | None:
    """The channel that is alpha (ExtraSamples 1 or 2), if there is one."""
    channels = _CHANNELS[page.photometric]
    extra = [int(kind) for kind in page.extrasamples]
    return channels if extra and extra[0] in (1, 2) and page.samplesperpixel > channels else None


def _edited(page: Any, stored: Samples, edit: Edit) -> Samples:
    """``stored`` with the repaired pixels, in the file's own terms."""
    inside = edit.hole > 0
    channels = _CHANNELS[page.photometric]
    stored = stored.copy()
    if page.photometric == _PALETTE:
        table = (np.asarray(page.colormap) >> 8).astype(np.uint8).T
        indices = stored[..., 0].astype(np.uint8)
        Palette.of(np.ascontiguousarray(table).tobytes()).paint(indices, edit.samples, inside)
        stored[..., 0] = indices
        return stored
    new = edit.samples[..., :channels][inside]
    if stored.dtype == np.bool_:
        new = new > 127
    if page.photometric == _WHITE_IS_ZERO:
        new = ~new if stored.dtype == np.bool_ else np.iinfo(stored.dtype).max - new
    stored[..., :channels][inside] = new
    return stored


def _repair(out: bytearray, file: Any, page: Any, edit: Edit) -> None:
    """Code the touched strips or tiles of a page anew, into ``out``."""
    stored = _edited(page, _stored(page), edit)
    offsets, counts = list(page.dataoffsets), list(page.databytecounts)
    for index, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        plane, rows, columns, height, width = _segment(page, index)
        if not edit.hole[rows, columns].any():
            continue
        samples = stored[rows, columns, plane]
        if page.is_tiled:
            missing = ((0, height - samples.shape[0]), (0, width - samples.shape[1]), (0, 0))
            samples = np.pad(samples, missing, mode="edge")
        coded = _coded(page, samples, file.byteorder)
        counts[index] = len(coded)
        if len(coded) <= count:
            out[offset : offset + len(coded)] = coded
        else:
            out += b"\0" * (len(out) % 2)
            offsets[index] = len(out)
            out += coded
    _list(out, file, page, _OFFSETS, offsets)
    _list(out, file, page, _COUNTS, counts)


def _segment(page: Any, index: int) -> tuple[slice, slice, slice, int, int]:
    """Which channels, rows and columns a strip or tile holds, and its full height and width."""
    height = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    width = page.tilewidth if page.is_tiled else page.imagewidth
    down, across = -(-page.imagelength // height), -(-page.imagewidth // width)
    plane, place = divmod(index, down * across)
    row, column = divmod(place, across)
    channels = slice(plane, plane + 1) if page.planarconfig == 2 else slice(None)
    return (
        channels, slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width), height, width,
    )  # fmt: skip


def _coded(page: Any, samples: Samples, order: str) -> bytes:
    """A strip's or tile's samples ``[h, w, c]`` as the file codes them."""
    if samples.dtype == np.bool_:
        rows: NDArray[Any] = np.packbits(samples[..., 0], axis=1)
    else:
        rows = samples
        if page.predictor == 2:
            rows = np.concatenate((rows[:, :1], rows[:, 1:] - rows[:, :-1]), axis=1)  # modulo the sample's range
        rows = rows.astype(rows.dtype.newbyteorder("<" if order == "<" else ">"))
    plain = rows.tobytes()
    if page.compression == _PLAIN:
        return plain
    if page.compression == _PACKBITS:
        rows = rows.reshape(rows.shape[0], -1)
        return b"".join(bytes(tifffile.TIFF.COMPRESSORS[_PACKBITS](row.tobytes())) for row in rows)
    return bytes(tifffile.TIFF.COMPRESSORS[page.compression](plain))


def _list(out: bytearray, file: Any, page: Any, codes: set[int], values: list[int]) -> None:
    """Set the places or lengths of a page's strips in its directory."""
    tag = next((tag for tag in page.tags if tag.code in codes), None)
    if tag is None:
        return  # lengths may be missing where nothing is packed; then they do not change
    kind = {3: "H", 4: "I", 13: "I", 16: "Q"}[int(tag.dtype)]
    values = values[: tag.count]
    if max(values) < 1 << (8 * struct.calcsize(kind)):
        struct.pack_into(f"{file.byteorder}{len(values)}{kind}", out, tag.valueoffset, *values)
        return
    # Of 16 bits, and one no longer fits: the list is made anew, of 32 bits, behind everything.
    struct.pack_into(file.byteorder + "H", out, tag.offset + 2, 4)
    packed = struct.pack(f"{file.byteorder}{len(values)}I", *values)
    field, room = (tag.offset + 12, 8) if file.is_bigtiff else (tag.offset + 8, 4)
    if len(packed) <= room:
        out[field : field + len(packed)] = packed
    else:
        out += b"\0" * (len(out) % 2)
        struct.pack_into(file.byteorder + ("Q" if file.is_bigtiff else "I"), out, field, len(out))
        out += packed


def _with_xmp(data: bytes, xmp: bytes) -> bytes:
    """``data`` with this XMP packet (tag 700): its first directory is written anew behind everything."""
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(order + "H", data, 2)[0] != 42:
        return data  # BigTIFF keeps the packet it has
    first = struct.unpack_from(order + "I", data, 4)[0]
    count = struct.unpack_from(order + "H", data, first)[0]
    entries = [data[first + 2 + 12 * index : first + 14 + 12 * index] for index in range(count)]
    rest = data[first + 2 + 12 * count : first + 6 + 12 * count]
    out = bytearray(data + b"\0" * (len(data) % 2))
    entry = struct.pack(order + "HHII", _XMP, 1, len(xmp), len(out))
    out += xmp + b"\0" * (len(xmp) % 2)
    kept = [old for old in entries if struct.unpack_from(order + "H", old)[0] != _XMP]
    kept = sorted([*kept, entry], key=lambda part: int(struct.unpack_from(order + "H", part)[0]))
    struct.pack_into(order + "I", out, 4, len(out))
    out += struct.pack(order + "H", len(kept)) + b"".join(kept) + rest
    return bytes(out)

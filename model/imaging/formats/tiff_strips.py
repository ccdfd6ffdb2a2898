"""A TIFF's strips and tiles: their places, and their samples coded as in the file. TIFF 6.0, sections 7 to 15.

Strips coded as JPEG (TIFF Technical Note 2) are spliced, as JPEG files are.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from model.imaging.formats import segments
from model.imaging.formats.palettes import packed_bits
from model.imaging.formats.splice import splice
from model.imaging.picture import Edit, Mask, Samples

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
PLAIN, LZW, OLD_JPEG, JPEG, ADOBE_DEFLATE, PACKBITS, DEFLATE, LZMA, ZSTD = 1, 5, 6, 7, 8, 32773, 32946, 34925, 50000
#: Codings of faxes (ITU-T T.4 and T.6; TIFF 6.0, sections 10 and 11), by libtiff's names in Pillow.
FAX = {2: "tiff_ccitt", 3: "group3", 4: "group4"}
#: Codings that can be made again strip by strip without loss.
LOSSLESS = {PLAIN, LZW, ADOBE_DEFLATE, PACKBITS, DEFLATE, LZMA, ZSTD, *FAX}
#: T4Options: one or two dimensions, fill bits.
_T4_OPTIONS = 292
#: Samples of 12 bits, two in three bytes.
_TWELVE = 12
_REVERSED_BITS = 2
#: The predictor of floating point (TIFF technical note 3).
_OF_FLOATS = 3
#: How a JPEG strip's components follow from its samples.
_KINDS = {BLACK_IS_ZERO: "grey", RGB: "plain", SEPARATED: "plain", YCBCR: "ycc"}


def touched(page: Any, stored: Samples, hole: Mask) -> Iterator[tuple[int, Edit]]:
    """Number, samples and hole of each strip or tile that ``hole`` touches, in full size."""
    for index in range(len(page.dataoffsets)):
        plane, rows, columns, height, width = _place(page, index)
        inside, samples = hole[rows, columns], stored[rows, columns, plane]
        if not inside.any():
            continue
        if page.is_tiled:
            missing = ((0, height - samples.shape[0]), (0, width - samples.shape[1]))
            samples, inside = np.pad(samples, (*missing, (0, 0)), mode="edge"), np.pad(inside, missing)
        yield index, Edit(samples, inside)


def recoded(file: Any, page: Any, stored: Samples, hole: Mask) -> dict[int, bytes]:
    """The strips or tiles that ``hole`` touches, by their number, made of the samples ``stored``.

    Raises:
        NotSpliceable: a JPEG strip cannot be written back.
    """
    return {
        index: _spliced(file, page, index, edit)
        if page.compression == JPEG
        else _coded(page, edit.samples, file.byteorder)
        for index, edit in touched(page, stored, hole)
    }


def _place(page: Any, index: int) -> tuple[slice, slice, slice, int, int]:
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


def whole_jpeg(file: Any, page: Any, index: int) -> bytes:
    """A strip as a whole JPEG file, with the tables that all strips of the page share."""
    file.filehandle.seek(page.dataoffsets[index])
    strip = bytes(file.filehandle.read(page.databytecounts[index]))
    shared = page.jpegtables
    return strip if shared is None else b"\xff\xd8" + shared[2:-2] + strip[2:]


def _spliced(file: Any, page: Any, index: int, edit: Edit) -> bytes:
    source = whole_jpeg(file, page, index)
    kind = "grey" if page.planarconfig == 2 else _KINDS[page.photometric]
    own, _ = segments.split(source)
    described = [segment for segment in own if segments.describes(segment)]
    return segments.under(described, splice(source, edit.samples, edit.hole, kind))


def _coded(page: Any, samples: Samples, order: str) -> bytes:
    """A strip's or tile's samples ``[h, w, c]`` as the file codes them."""
    packed = _packed(page, samples, order)
    # FillOrder 2: the bits of each byte lie in reversed order, whatever the coding (TIFF 6.0, section 8).
    return bytes(imagecodecs.bitorder_encode(packed)) if page.fillorder == _REVERSED_BITS else packed


def _packed(page: Any, samples: Samples, order: str) -> bytes:
    """A strip's or tile's samples ``[h, w, c]``, compressed, with the first bit of each byte as its highest."""
    depth = page.bitspersample
    if page.compression in FAX:
        return _faxed(page, samples)
    if depth == _TWELVE:
        rows: NDArray[Any] = _packed_twelve(samples.reshape(samples.shape[0], -1))
    elif depth < 8:
        rows = packed_bits(samples.reshape(samples.shape[0], -1).astype(np.uint8), depth)
    else:
        rows = samples
        if np.dtype(page.dtype).kind == "i":
            rows = rows ^ rows.dtype.type(1 << (depth - 1))
        if page.predictor == 2:
            rows = np.concatenate((rows[:, :1], rows[:, 1:] - rows[:, :-1]), axis=1)  # modulo the sample's range
        rows = rows.astype(rows.dtype.newbyteorder("<" if order == "<" else ">"))
        if page.predictor == _OF_FLOATS:
            rows = imagecodecs.floatpred_encode(rows, axis=-2)
    plain = rows.tobytes()
    if page.compression == PLAIN:
        return plain
    if page.compression == PACKBITS:
        rows = rows.reshape(rows.shape[0], -1)
        return b"".join(bytes(tifffile.TIFF.COMPRESSORS[PACKBITS](row.tobytes())) for row in rows)
    return bytes(tifffile.TIFF.COMPRESSORS[page.compression](plain))


def _packed_twelve(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Rows of samples of 12 bits, each row from a byte on."""
    even = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))).astype(np.uint16)
    first, second = even[:, ::2], even[:, 1::2]
    packed = np.stack((first >> 4, (first & 15) << 4 | second >> 8, second & 255), axis=2).astype(np.uint8)
    return packed.reshape(len(rows), -1)[:, : -(-rows.shape[1] * _TWELVE // 8)]


def _faxed(page: Any, samples: Samples) -> bytes:
    """A strip of one bit a pixel as libtiff codes it."""
    bits = samples[..., 0].astype(bool)
    # Pillow stores black as 0 in a picture whose 0 is black; the strip keeps the file's own values.
    tags: dict[int, int] = {262: BLACK_IS_ZERO}
    options = page.tags.valueof(_T4_OPTIONS)
    if page.compression == 3 and options is not None:
        tags[_T4_OPTIONS] = int(options)
    out = io.BytesIO()
    image = Image.fromarray(np.where(bits, np.uint8(255), np.uint8(0))).convert("1", dither=Image.Dither.NONE)
    image.save(out, "TIFF", compression=FAX[int(page.compression)], tiffinfo=tags, strip_size=1 << 30)
    out.seek(0)
    with tifffile.TiffFile(out) as file:
        coded = file.pages[0]
        offset, count = coded.dataoffsets[0], coded.databytecounts[0]
    return out.getvalue()[offset : offset + count]

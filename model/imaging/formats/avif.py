"""AVIF: encoded again at the quality that gives the source's own size, in its depth and sampling.

Profile, primaries, EXIF, XMP, orientation and the box of a C2PA manifest are copied from the source.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from model.imaging.formats.boxes import Item, boxes, c2pa, described, describing, properties
from model.imaging.formats.decoded import page_of
from model.imaging.formats.sizing import nearest_size
from model.imaging.metadata.exif import LONGEST_EXIF, Thumbnail, with_thumbnail
from model.imaging.picture import Edit, Page, Samples, Written

_SPEED = 8
#: From weights of red, green and blue: Rec. 709, FCC, Rec. 601 (twice), SMPTE 240, Rec. 2020, by the primaries.
_MATRICES = frozenset({1, 4, 5, 6, 7, 9, 12})
_XMP = b"application/rdf+xml"


def read(data: bytes, image: Image.Image) -> list[Page]:
    """Read the picture; depths over 8 bits are scaled to 16.

    Raises:
        ImageRejected: the pixels are damaged.
    """
    return [page_of(image, lambda: _deep(data, image))]


def write(data: bytes, edit: Edit, thumbnail: Thumbnail, xmp: bytes | None = None) -> Written:
    """``data`` with its picture replaced; ``xmp`` replaces its XMP packet."""
    own_properties = properties(data)
    items = _items(data, thumbnail, xmp)
    descriptive = describing(own_properties)
    outer = boxes(data)
    size = sum(len(box) for kind, box in outer if kind in (b"ftyp", b"meta", b"mdat"))
    size -= sum(map(len, descriptive)) + sum(len(item.content) for item in items)
    flags = _configuration(data, own_properties)
    bits, sampling, colours = _depth(flags), _sampling(flags), _colours(own_properties)
    if bits > 8:
        encode = _deep_encoder(edit.samples, {"pixelformat": sampling, **colours}, bits)
    else:
        encode = _encoder(edit.samples, sampling, colours)
    return Written(described(nearest_size(encode, size), descriptive, items) + c2pa(data), "recoded")


def _deep(data: bytes, image: Image.Image) -> Samples | None:
    """The samples of a picture of more than 8 bits, on the scale of 16; ``None`` for others."""
    bits = _depth(_configuration(data, properties(data)))
    if bits <= 8:
        return None
    samples = imagecodecs.avif_decode(data)
    if samples.dtype != np.uint16 or samples.shape[:2] != (image.height, image.width):
        return None
    wide = samples.reshape(image.height, image.width, -1).astype(np.uint32)
    return np.asarray((wide << (16 - bits)) | (wide >> (2 * bits - 16)), np.uint16)


def _configuration(data: bytes, own_properties: list[tuple[bytes, bytes]]) -> int:
    """The flags of the coding's configuration (AV1-ISOBMFF, section 2.3); as of 8 bits, 4:2:0 without one.

    A picture made of tiles has none; then it is the first one in the file, which belongs to the tiles.
    """
    own = next((box for kind, box in own_properties if kind == b"av1C"), b"")
    at = data.find(b"av1C")
    box = own or (data[at - 4 : at + 8] if at >= 4 else b"")
    return box[10] if len(box) > 10 else 0x0C


def _depth(flags: int) -> int:
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def _sampling(flags: int) -> str:
    return "400" if flags & 0x10 else {0x0: "444", 0x8: "422"}.get(flags & 0x0C, "420")


def _colours(own_properties: list[tuple[bytes, bytes]]) -> dict[str, int]:
    """Primaries, transfer and, where the encoder can use it, matrix (ITU-T H.273) that the file states."""
    for kind, box in own_properties:
        if kind == b"colr" and box[8:12] == b"nclx" and len(box) >= 18:
            primaries, transfer, matrix = (int.from_bytes(box[at : at + 2], "big") for at in (12, 14, 16))
            stated = {"primaries": primaries, "transfer": transfer}
            return stated | ({"matrix": matrix} if matrix in _MATRICES else {})
    return {}


def _items(data: bytes, thumbnail: Thumbnail, xmp: bytes | None) -> list[Item]:
    """EXIF, with its thumbnail renewed, and XMP."""
    with Image.open(io.BytesIO(data)) as source:
        exif, packet = source.info.get("exif"), xmp or source.info.get("xmp")
    items = []
    if exif:
        exif = bytes(exif).removeprefix(b"Exif\0\0")
        # The item begins with the offset of the TIFF header.
        items.append(Item(b"Exif", bytes(4) + with_thumbnail(exif, thumbnail, LONGEST_EXIF)))
    if packet:
        items.append(Item(b"mime", bytes(packet), _XMP))
    return items


def _encoder(samples: Samples, sampling: str, colours: dict[str, int]) -> Callable[[int], bytes]:
    """Pillow's encoder codes alpha at the given quality; imagecodecs keeps it lossless at the colours' cost."""
    image = Image.fromarray(np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples))

    def encode(quality: int) -> bytes:
        out = io.BytesIO()
        image.save(out, "AVIF", quality=quality, speed=_SPEED, subsampling=":".join(sampling))
        return _stating(out.getvalue(), colours)

    return encode


def _stating(coded: bytes, colours: dict[str, int]) -> bytes:
    """``coded`` with these primaries and transfer for those that its encoder takes all pictures to have."""
    at = coded.find(b"colrnclx") + 8
    if at < 8 or not colours:
        return coded
    stated = colours["primaries"].to_bytes(2, "big") + colours["transfer"].to_bytes(2, "big")
    return coded[:at] + stated + coded[at + 4 :]


def _deep_encoder(samples: Samples, coding: dict[str, Any], bits: int) -> Callable[[int], bytes]:
    samples = samples >> (16 - bits)
    if coding["pixelformat"] == "400" and samples.shape[2] >= 3:
        samples = samples[..., [0, 3] if samples.shape[2] == 4 else [0]]
    flat = np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples)

    def encode(quality: int) -> bytes:
        return bytes(imagecodecs.avif_encode(flat, level=quality, speed=_SPEED, bitspersample=bits, **coding))

    return encode

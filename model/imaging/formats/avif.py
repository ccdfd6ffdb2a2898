"""AVIF: encoded again near the source's size, within the bound on the loss, in its depth and sampling.

Profile, primaries, EXIF, XMP, orientation and the box of a C2PA manifest are copied from the source.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from model.errors import ResultDiffers
from model.imaging.formats.boxes import XMP_TYPE, Item, boxes, c2pa, described, described_items, describing, properties
from model.imaging.formats.decoded import page_of, with_channels
from model.imaging.formats.sizing import LEAST_DB, Coded, within_bound
from model.imaging.loss import similarity_db
from model.imaging.metadata.exif import LONGEST_EXIF, Thumbnail, with_thumbnail
from model.imaging.picture import Edit, Mask, Page, Samples, Written

_SPEED = 8
#: From weights of red, green and blue: Rec. 709, FCC, Rec. 601 (twice), SMPTE 240, Rec. 2020, by the primaries.
_MATRICES = frozenset({1, 4, 5, 6, 7, 9, 12})
#: Above this quality files grow several times and hardly come nearer to the source.
_MOST_QUALITY = 98

Encoder = Callable[[int], bytes]


def read(data: bytes, image: Image.Image) -> list[Page]:
    """Read the picture; depths over 8 bits are scaled to 16.

    Raises:
        ImageRejected: the pixels are damaged.
    """
    return [page_of(image, lambda: _deep(data, image))]


def write(data: bytes, edit: Edit, thumbnail: Thumbnail, xmp: bytes | None = None) -> Written:
    """``data`` with its picture replaced; ``xmp`` replaces its XMP packet.

    Raises:
        ImageRejected: the picture cannot be coded within the bound on the loss.
    """
    own_properties = properties(data)
    items = _items(data, thumbnail, xmp)
    descriptive = describing(own_properties)
    outer = boxes(data)
    size = sum(len(box) for kind, box in outer if kind in (b"ftyp", b"meta", b"mdat"))
    size -= sum(map(len, descriptive)) + sum(len(item.content) for item in items)
    flags = _configuration(data, own_properties)
    bits, sampling, colours = _depth(flags), _sampling(flags), _colours(own_properties)
    outside = np.where(edit.hole > 0, np.uint8(0), np.uint8(255))
    for tried in dict.fromkeys((sampling, "400" if sampling == "400" else "444")):
        if bits > 8:
            encode = _deep_encoder(edit.samples, {"pixelformat": tried, **colours}, bits)
        else:
            encode = _encoder(edit.samples, tried, colours)
        coded = within_bound(functools.partial(_coded, encode, edit.samples, outside, bits), size, _MOST_QUALITY)
        if coded is not None:
            break
    else:
        tried, coded = "444", _lossless(edit.samples, outside, colours, bits)
    reason = "" if tried == sampling else f"Its sampling is 4:4:4, which keeps the bound of {LEAST_DB:.0f} dB."
    file = described(coded.data, descriptive, items) + c2pa(data)
    return Written(file, "recoded", reason, similarity_db=coded.similarity_db)


def samples_of(data: bytes, like: Samples) -> Samples | None:
    """The samples of a file, by another decoder than the one that reads sources, in the shape and depth of ``like``.

    ``None``: they are of another kind.
    """
    decoded = imagecodecs.avif_decode(data)
    if decoded.dtype == np.uint16 and like.dtype == np.uint16:
        decoded = _widened(decoded, _depth(_configuration(data, properties(data))))
    decoded = decoded.reshape(*decoded.shape[:2], -1)
    decoded = with_channels(decoded, like.shape[2])
    return decoded if (decoded.shape, decoded.dtype) == (like.shape, like.dtype) else None


def _coded(encode: Encoder, meant: Samples, outside: Mask, bits: int, quality: int) -> Coded:
    data = encode(quality)
    written = samples_of(data, meant)
    similarity = similarity_db(meant, written, outside, alpha=meant.shape[2] in (2, 4)) if written is not None else 0.0
    return Coded(data, similarity)


def _lossless(samples: Samples, outside: Mask, colours: dict[str, int], bits: int) -> Coded:
    """Without loss: in red, green and blue, and in full resolution."""
    coding: dict[str, Any] = {**colours, "matrix": 0, "pixelformat": "444"}
    wide = samples >> (16 - bits) if samples.dtype == np.uint16 else samples
    if wide.shape[2] < 3:
        wide = wide[..., [0, 0, 0, 1] if wide.shape[2] == 2 else [0, 0, 0]]
    flat = np.ascontiguousarray(wide)

    def encode(_: int) -> bytes:
        return bytes(imagecodecs.avif_encode(flat, level=100, speed=_SPEED, bitspersample=bits, **coding))

    coded = _coded(encode, samples, outside, bits, 100)
    if not coded.is_within_bound:
        raise ResultDiffers("AVIF", coded.similarity_db)
    return coded


def _deep(data: bytes, image: Image.Image) -> Samples | None:
    """The samples of a picture of more than 8 bits, on the scale of 16; ``None`` for others."""
    bits = _depth(_configuration(data, properties(data)))
    if bits <= 8:
        return None
    samples = imagecodecs.avif_decode(data)
    if samples.dtype != np.uint16 or samples.shape[:2] != (image.height, image.width):
        return None
    return _widened(samples.reshape(image.height, image.width, -1), bits)


def _widened(samples: Samples, bits: int) -> Samples:
    """Samples of ``bits`` bits on the scale of 16."""
    wide = samples.astype(np.uint32)
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
    """The file's EXIF, with its thumbnail renewed, and its XMP.

    They come from the file itself: Pillow adds an orientation to the EXIF of pictures that a property turns.
    """
    items = []
    for item in described_items(data):
        if item.kind == b"Exif":
            # The item begins with the offset of the TIFF header behind it.
            start = 4 + int.from_bytes(item.content[:4])
            renewed = with_thumbnail(item.content[start:], thumbnail, LONGEST_EXIF)
            items.append(Item(b"Exif", item.content[:start] + renewed))
        elif xmp is None:
            items.append(item)
    return items if xmp is None else [*items, Item(b"mime", xmp, XMP_TYPE)]


def _encoder(samples: Samples, sampling: str, colours: dict[str, int]) -> Encoder:
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


def _deep_encoder(samples: Samples, coding: dict[str, Any], bits: int) -> Encoder:
    samples = samples >> (16 - bits)
    if samples.shape[2] < 3:
        # The encoder drops the quality for grey samples, and keeps it for grey in three channels.
        samples = samples[..., [0, 0, 0, 1] if samples.shape[2] == 2 else [0, 0, 0]]
    flat = np.ascontiguousarray(samples)

    def encode(quality: int) -> bytes:
        return bytes(imagecodecs.avif_encode(flat, level=quality, speed=_SPEED, bitspersample=bits, **coding))

    return encode

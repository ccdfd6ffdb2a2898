"""HEIC: encoded again near the source's size, within the bound on the loss, with all of its metadata.

A C2PA manifest lies in a separate box, which is copied unchanged.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from model.errors import ResultDiffers
from model.imaging.formats.boxes import boxes, c2pa
from model.imaging.formats.decoded import page_of, with_channels
from model.imaging.formats.sizing import LEAST_DB, Coded, within_bound
from model.imaging.loss import similarity_db
from model.imaging.metadata.exif import LONGEST_EXIF, Thumbnail, with_thumbnail
from model.imaging.picture import Edit, Mask, Page, Samples, Written

#: Preset of x265. At the source's size its error is 0.3 of 255 levels, against 0.2 of "faster", in a third of the time.
_PRESET = "ultrafast"
#: Options of a coding in red, green and blue, which with the quality -1 loses nothing.
_LOSSLESS = {"matrix_coefficients": 0, "full_range_flag": 1}


def read(data: bytes, image: Image.Image) -> list[Page]:
    """Read the picture; depths over 8 bits are scaled to 16.

    Raises:
        ImageRejected: the pixels are damaged.
    """
    return [page_of(image, lambda: _deep(data, image))]


def write(data: bytes, edit: Edit, thumbnail: Thumbnail, xmp: bytes | None = None) -> Written:
    """``data`` with its picture replaced; ``xmp`` replaces its XMP packet.

    Raises:
        ResultDiffers: the picture cannot be coded within the bound on the loss.
    """
    with Image.open(io.BytesIO(data)) as source:
        options = _metadata(source, thumbnail, xmp) | _coding(source.info)
    size = sum(len(box) for kind, box in boxes(data) if kind == b"mdat")
    outside = np.where(edit.hole > 0, np.uint8(0), np.uint8(255))
    full = options | {"chroma": "444"}
    for tried in (options, full) if options != full else (options,):
        coded = within_bound(functools.partial(_coded, edit.samples, outside, tried), size)
        if coded is not None:
            break
    else:
        tried, coded = full, _coded(edit.samples, outside, full | _LOSSLESS, -1)
        if not coded.is_within_bound:
            raise ResultDiffers("HEIC", coded.similarity_db)
    reason = "" if tried == options else f"Its sampling is 4:4:4, which keeps the bound of {LEAST_DB:.0f} dB."
    return Written(coded.data + c2pa(data), "recoded", reason, similarity_db=coded.similarity_db)


def samples_of(data: bytes, like: Samples) -> Samples | None:
    """The samples of a file, in the shape and depth of ``like``; ``None``: they are of another kind."""
    decoded = np.asarray(pillow_heif.open_heif(data, convert_hdr_to_8bit=False))
    decoded = decoded.reshape(*decoded.shape[:2], -1)
    decoded = with_channels(decoded, like.shape[2])
    return decoded if (decoded.shape, decoded.dtype) == (like.shape, like.dtype) else None


def _deep(data: bytes, image: Image.Image) -> Samples | None:
    """The samples of a picture of more than 8 bits, on the scale of 16; ``None`` for others."""
    if image.info.get("bit_depth", 8) <= 8:
        return None
    deep = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
    samples = np.asarray(deep)
    return np.array(samples.reshape(image.height, image.width, -1), np.uint16)


def _coding(info: Mapping[Any, Any]) -> dict[str, Any]:
    """The source's colour coding (sampling, primaries, matrix), as options of the encoder."""
    coding: dict[str, Any] = {}
    if info.get("chroma") in (420, 422, 444):
        coding["chroma"] = str(info["chroma"])
    shown = info.get("nclx_profile") or {}
    names = ("color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag")
    return coding | {name: int(shown[name]) for name in names if name in shown}


def _metadata(source: Image.Image, thumbnail: Thumbnail, xmp: bytes | None) -> dict[str, Any]:
    """The picture's metadata as options of the encoder."""
    metadata = {name: source.info[name] for name in ("icc_profile", "exif", "xmp") if source.info.get(name)}
    if "exif" in metadata:
        exif = bytes(metadata["exif"])
        lead = b"Exif\0\0" if exif.startswith(b"Exif\0\0") else b""
        metadata["exif"] = lead + with_thumbnail(exif[len(lead) :], thumbnail, LONGEST_EXIF)
    if xmp is not None:
        metadata["xmp"] = xmp
    return metadata


def _coded(meant: Samples, outside: Mask, options: dict[str, Any], quality: int) -> Coded:
    channels = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[meant.shape[2]]
    mode = channels + (";16" if meant.dtype == np.uint16 else "")
    heif = pillow_heif.from_bytes(mode, (meant.shape[1], meant.shape[0]), np.ascontiguousarray(meant).tobytes())
    out = io.BytesIO()
    heif.save(out, quality=quality, enc_params={"preset": _PRESET}, **options)
    written = samples_of(out.getvalue(), meant)
    similarity = similarity_db(meant, written, outside, alpha=len(channels) % 2 == 0) if written is not None else 0.0
    return Coded(out.getvalue(), similarity)

"""Cut-outs: goods on transparent ground with a mark over both, in each format that has alpha."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from bench.corpus.content import Recipe, file_of
from bench.corpus.mark import OPACITY, Mask

#: Edge of the goods, drawn this many times larger and reduced, so that it is smooth.
_FINE = 4


def goods(photo: Image.Image) -> Image.Image:
    """``photo`` within an ellipse, on transparent ground."""
    width, height = photo.size
    drawn = Image.new("L", (width * _FINE, height * _FINE))
    box = [side * _FINE * share for share in (0.2, 0.75) for side in (width, height)]
    ImageDraw.Draw(drawn).ellipse((box[0], box[1] * 0.5, box[2], box[3] * 1.15), fill=255)
    cut = photo.convert("RGBA")
    cut.putalpha(drawn.resize(photo.size, Image.Resampling.BOX))
    return cut


def signed_cutout(photo: Image.Image, drawn: Mask, opacity: float = OPACITY) -> Image.Image:
    """:func:`goods` under white letters: translucent over ground and goods alike."""
    layer = Image.new("RGBA", photo.size, "white")
    strength = np.where(drawn > 0, np.uint8(round(255 * opacity)), np.uint8(0))
    layer.putalpha(Image.fromarray(strength))
    return Image.alpha_composite(goods(photo), layer)


def cutouts(photo: Image.Image, drawn: Mask) -> Iterator[Recipe]:
    """``photo`` as a cut-out with the letters ``drawn`` on it."""
    cut, opaque = signed_cutout(photo, drawn), signed_cutout(photo, drawn, 1.0)
    moving = {"save_all": True, "append_images": [opaque], "duration": 80}
    yield "png-cutout", lambda: file_of(cut, "PNG")
    yield "png-palette-cutout", lambda: file_of(opaque.quantize(120, method=Image.Quantize.FASTOCTREE), "PNG")
    yield "png-animated-cutout", lambda: file_of(cut, "PNG", **moving)
    yield "webp-lossless-cutout", lambda: file_of(cut, "WEBP", lossless=True, exact=True)
    yield "webp-lossy-cutout", lambda: file_of(cut, "WEBP", quality=90, exact=True)
    yield "webp-animated-lossless-cutout", lambda: file_of(cut, "WEBP", lossless=True, exact=True, **moving)
    yield "avif-cutout", lambda: file_of(cut, "AVIF", quality=90, speed=9)
    yield "heic-cutout", lambda: file_of(cut, "HEIF", quality=85)
    yield "tiff-cutout", lambda: file_of(cut, "TIFF", compression="tiff_lzw")
    yield "gif-cutout", lambda: file_of(opaque, "GIF")
    yield "bmp-cutout", lambda: _bmp(cut)


def _bmp(cut: Image.Image) -> bytes:
    """A BMP whose header (version 5) states alpha, which Pillow does not write."""
    rows = np.asarray(cut)[::-1, :, [2, 1, 0, 3]].tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, *cut.size, 1, 32, 3, len(rows), 2835, 2835, 0, 0)
    head = (head + struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)).ljust(124, b"\0")
    return struct.pack("<2sIHHI", b"BM", 138 + len(rows), 0, 0, 138) + head + rows

"""JPEG: codings, samplings, orientations, inks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from bench.corpus.content import (
    DENSITY,
    ICC,
    IPTC,
    JUMBF,
    XMP,
    Recipe,
    exif,
    file_of,
)
from model.imaging.formats import segments
from model.imaging.formats.segments import Segment


def _described(jpeg: bytes, exif_data: bytes) -> bytes:
    """A JPEG with the metadata that cameras, editors and signing software write."""
    headers, _ = segments.split(jpeg)
    described = [segment for segment in headers if segments.describes(segment)]
    icc = Segment(segments.APP2, b"ICC_PROFILE\0\1\1" + ICC)
    described += [
        Segment(segments.APP1, segments.EXIF + exif_data), Segment(segments.APP1, segments.XMP + XMP),
        Segment(segments.APP13, IPTC), icc, Segment(segments.APP11, b"JP\0\1\0\0\0\1" + JUMBF),
        Segment(segments.COM, b"a comment"),
    ]  # fmt: skip
    return segments.under(described, jpeg)


def plain_and_progressive(photo: Image.Image) -> Iterator[Recipe]:
    def make(image: Image.Image, **options: Any) -> Callable[[], bytes]:
        options = {"dpi": DENSITY, **options}
        return lambda: _described(file_of(image, "JPEG", quality=86, **options), exif(image))

    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        yield f"jpeg-baseline-{name}", make(photo, subsampling=subsampling)
        yield f"jpeg-progressive-{name}", make(photo, subsampling=subsampling, progressive=True)
    yield "jpeg-optimised-420", make(photo, optimize=True)
    yield "jpeg-restart-markers-420", make(photo, restart_marker_blocks=4)
    yield "jpeg-restart-markers-444", make(photo, subsampling=0, restart_marker_rows=1)
    yield "jpeg-grey", make(photo.convert("L"))
    yield "jpeg-grey-progressive", make(photo.convert("L"), progressive=True)
    # A density would add the JFIF marker, which implies YCbCr.
    yield "jpeg-rgb", make(photo, keep_rgb=True, dpi=(0, 0))
    odd = photo.crop((0, 0, photo.width - 3, photo.height - 5))
    yield "jpeg-odd-size-420", make(odd)


def turned(photo: Image.Image) -> Iterator[Recipe]:
    def make(orientation: int) -> Callable[[], bytes]:
        return lambda: _described(file_of(photo, "JPEG", quality=86), exif(photo, orientation))

    for orientation in range(1, 9):
        yield f"jpeg-orientation-{orientation}", make(orientation)


def four_inks(photo: Image.Image) -> Iterator[Recipe]:
    inks = photo.convert("CMYK")
    yield "jpeg-cmyk", lambda: _described(file_of(inks, "JPEG", quality=90), exif(photo))
    yield "jpeg-cmyk-progressive", lambda: _described(file_of(inks, "JPEG", quality=90, progressive=True), exif(photo))
    yield "jpeg-ycck-420", lambda: _described(_ycck_420(inks), exif(photo))
    yield "jpeg-ycck-444", lambda: _described(_ycck_444(inks), exif(photo))


def _ycck_420(inks: Image.Image) -> bytes:
    inverted = 255 - np.asarray(inks)
    return bytes(imagecodecs.jpeg8_encode(inverted, level=90, colorspace="CMYK", outcolorspace="YCCK"))


def _ycck_444(inks: Image.Image) -> bytes:
    """YCCK without subsampling, which no encoder here writes: stores its components as inks under a YCCK marker."""
    samples = np.asarray(inks)
    components = np.asarray(Image.fromarray(samples[..., :3]).convert("YCbCr"))
    stored = np.dstack((255 - components, samples[..., 3]))
    data = bytearray(file_of(Image.fromarray(stored, "CMYK"), "JPEG", quality=90))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)

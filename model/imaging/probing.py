"""Reads a file's header and checks it against the limits before a pixel is decoded. Light enough for the API."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pillow_heif
from PIL import Image, UnidentifiedImageError

from model.errors import ImageRejected, MaskRejected, ModelError
from model.formats import READ
from model.imaging.formats import png_chunks, segments
from model.imaging.parts import check_parts

pillow_heif.register_heif_opener()

#: Longest side of a picture in pixels, by JPEG's frame header.
LONGEST_SIDE = 65_535
#: Most passes over a JPEG's pixels. Encoders write about ten; a small file of thousands would take hours.
MOST_SCANS = 100
_ORIENTATION = 0x0112
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG = b"\x89PNG\r\n\x1a\n"
#: Exceptions that Pillow and its decoders raise on damaged files.
DAMAGE = (
    OSError, ValueError, SyntaxError, struct.error, OverflowError, EOFError, IndexError, KeyError, TypeError,
    RuntimeError, AttributeError, ZeroDivisionError, AssertionError, NotImplementedError,
    Image.DecompressionBombError,  # a frame that is larger than the picture says
)  # fmt: skip

#: Bytes per pixel by mode, at the peak of decoding, repairing and encoding (``bench/pipeline.py``).
_BYTES_PER_PIXEL = {"1": 15, "L": 15, "I;16": 24, "RGB": 18, "RGBA": 50, "LA": 50, "P": 50, "CMYK": 40}

Rejection = Callable[[str, str], ModelError]


@dataclass(frozen=True)
class Limits:
    """The largest file and the largest picture that are accepted."""

    max_bytes: int
    #: Over all frames.
    max_pixels: int


@dataclass(frozen=True)
class Probe:
    """The facts of a header. ``width`` and ``height`` are those of the viewing orientation."""

    format: str
    width: int
    height: int
    mode: str
    content_type: str
    extension: str
    #: Frames of an animation or pages of a document.
    frames: int = 1

    @property
    def pixels(self) -> int:
        """Over all frames."""
        return self.width * self.height * self.frames

    @property
    def memory(self) -> int:
        """Peak memory in bytes: samples, hole, fill, result, and a JPEG's coefficients."""
        return self.pixels * _BYTES_PER_PIXEL.get(self.mode, 18)


def probe(data: bytes, limits: Limits) -> Probe:
    """Read the header of ``data``.

    Raises:
        ImageRejected: not a picture, of a kind that is not supported, or over ``limits``.
    """
    with opened(data, limits, ImageRejected, "image") as image:
        return facts(data, image, ImageRejected, "image")


def probe_picture_mask(data: bytes, limits: Limits) -> Probe:
    """Read the header of a mask that is a picture.

    Raises:
        MaskRejected: as :func:`probe`, with codes that begin with ``mask_``.
    """
    with opened(data, limits, MaskRejected, "mask") as image:
        return facts(data, image, MaskRejected, "mask")


@contextmanager
def opened(data: bytes, limits: Limits, rejected: Rejection, noun: str) -> Iterator[Image.Image]:
    """Open the picture without decoding it, within ``limits``; a JPEG without an end marker gets one."""
    if not data:
        raise rejected(f"{noun}_unreadable", f"The {noun} file is empty: send it again.")
    if len(data) > limits.max_bytes:
        raise rejected(f"{noun}_too_large", f"The {noun} file has {len(data)} bytes; the limit is {limits.max_bytes}.")
    check_parts(data, rejected, noun)
    with _open(segments.ended(data), limits, rejected, noun) as image:
        _hold(image, limits, rejected, noun)
        if format_of(image) == "JPEG" and segments.scans(data, MOST_SCANS) > MOST_SCANS:
            raise rejected(f"{noun}_unreadable", f"The {noun} is a JPEG of over {MOST_SCANS} scans: export it again.")
        yield image


def facts(data: bytes, image: Image.Image, rejected: Rejection, noun: str) -> Probe:
    """The header of ``data``, opened as ``image``."""
    width, height = image.size
    if orientation(data, image) >= 5:
        width, height = height, width
    name = format_of(image)
    kind, frames = READ[name], _frames(image, rejected, noun)
    return Probe(name, width, height, image.mode, kind.content_type, kind.ending, frames)


def format_of(image: Image.Image) -> str:
    """Its format; a JPEG with further pictures behind it (MPO) is a JPEG."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def orientation(data: bytes, image: Image.Image) -> int:
    """EXIF orientation, 1 to 8, of ``data``, opened as ``image``."""
    if image.format == "HEIF":
        return 1  # the decoder has already applied it
    value = exif(data, image).get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def exif(data: bytes, image: Image.Image) -> Image.Exif:
    """The EXIF of ``data``, opened as ``image``; empty where it cannot be read, as in browsers.

    Reads headers alone: of a PNG, Pillow's own ``getexif`` decodes the pixels.
    """
    if image.format == "PNG":
        stored, packet = png_chunks.exif_of(data), png_chunks.xmp_of(data)
        if stored is not None:
            image.info["exif"] = b"Exif\0\0" + stored
        if packet is not None:
            image.info.setdefault("xmp", packet)
    try:
        return Image.Image.getexif(image)
    except DAMAGE:
        return Image.Exif()


def check_sound(data: bytes, image: Image.Image, rejected: Rejection, noun: str) -> None:
    """Find damage in the pixels of ``data``, opened as ``image``, that Pillow does not report.

    A PNG's picture data must end with the right checksum. A JPEG without an end marker must hold all of its pixels.

    Raises:
        ModelError: made by ``rejected``: the pixels are damaged.
    """
    damage = None
    if format_of(image) == "PNG":
        damage = png_chunks.damage_of(data)
    elif format_of(image) == "JPEG" and segments.ended(data) is not data and not _holds_every_pixel(data):
        damage = "its data is truncated"
    if damage is not None:
        raise damaged(ValueError(damage), rejected, noun)


def _holds_every_pixel(data: bytes) -> bool:
    """Whether a JPEG without an end marker has the same pixels, whatever comes behind its last byte."""
    if not segments.holds_every_scan(data):
        return False
    digests = set()
    for continued in segments.continuations(data):
        with Image.open(io.BytesIO(continued), formats=["JPEG"]) as image:
            try:
                digests.add(hashlib.blake2b(image.tobytes()).digest())
            except DAMAGE:
                return False
        if len(digests) > 1:
            return False
    return True


def load(image: Image.Image, rejected: Rejection, noun: str) -> None:
    """Decode the pixels of an opened picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
    except MemoryError:
        raise rejected(f"{noun}_too_many_pixels", f"There is not enough memory to decode the {noun}.") from None
    except DAMAGE as error:
        raise damaged(error, rejected, noun) from None


def each_frame(image: Image.Image, count: int) -> Iterator[Image.Image]:
    """``image`` at each of its ``count`` frames, decoded as displayed.

    Raises:
        ImageRejected: the pixels are damaged.
    """
    for index in range(count):
        try:
            image.seek(index)
        except DAMAGE as error:
            raise damaged(error, ImageRejected, "image") from None
        load(image, ImageRejected, "image")
        yield image


def damaged(error: BaseException, rejected: Rejection, noun: str) -> ModelError:
    """The error for a decoder's exception."""
    if "truncated" in str(error) or isinstance(error, EOFError):
        return rejected(f"{noun}_truncated", f"The {noun} file ends before its pixels do: send it again.")
    return rejected(f"{noun}_unreadable", f"The {noun}'s pixels are damaged ({error}): export it again.")


def _open(data: bytes, limits: Limits, rejected: Rejection, noun: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # The service's own limit applies; Pillow's warning would repeat it.
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data), formats=[*READ])
    except Image.DecompressionBombError:
        raise rejected(
            f"{noun}_too_many_pixels", f"The {noun} is over the limit of {limits.max_pixels} pixels."
        ) from None
    except MemoryError:
        raise rejected(f"{noun}_too_many_pixels", f"There is not enough memory to open the {noun}.") from None
    except UnidentifiedImageError:
        if data.startswith(_PNG) and data[12:16] == b"IHDR" and 0 in struct.unpack(">II", data[16:24].ljust(8, b"\1")):
            raise rejected(f"{noun}_empty", f"The {noun} has no pixels.") from None
        if data.startswith(_TIFF):
            raise rejected(
                f"{noun}_format_unsupported",
                f"The {noun} is a TIFF that is damaged or of a kind that is not supported, such as colours in floating "
                "point: save it as grey, RGB, palette or CMYK of 8 or 16 bits a sample.",
            ) from None
        raise rejected(
            f"{noun}_unreadable",
            f"The {noun} is not a picture in a known format: send {', '.join(READ)}.",
        ) from None
    except DAMAGE as error:
        raise rejected(f"{noun}_unreadable", f"The {noun}'s header is damaged ({error}): export it again.") from None


def _hold(image: Image.Image, limits: Limits, rejected: Rejection, noun: str) -> None:
    """Check an opened picture against the limits."""
    if image.width < 1 or image.height < 1:
        raise rejected(f"{noun}_empty", f"The {noun} has no pixels ({image.width}x{image.height}).")
    if image.width * image.height > limits.max_pixels:
        raise rejected(
            f"{noun}_too_many_pixels",
            f"The {noun} has {image.width}x{image.height} pixels; the limit is {limits.max_pixels} in all.",
        )
    if max(image.size) > LONGEST_SIDE:
        raise rejected(
            f"{noun}_too_many_pixels",
            f"The {noun} has {image.width}x{image.height} pixels; the limit for a side is {LONGEST_SIDE}.",
        )
    frames = _frames(image, rejected, noun)
    if frames * image.width * image.height > limits.max_pixels:
        raise rejected(
            f"{noun}_too_many_pixels",
            f"The {noun} has {frames} frames of {image.width}x{image.height} pixels; "
            f"the limit is {limits.max_pixels} in all.",
        )
    if frames > 1 and not READ[format_of(image)].holds_several:
        raise rejected(
            f"{noun}_format_unsupported",
            f"The {noun} is a {image.format} file of {frames} pictures: send each as a file of its own.",
        )


def _frames(image: Image.Image, rejected: Rejection, noun: str) -> int:
    if image.format in ("MPO", "HEIF"):
        return 1  # programs show the first of an MPO, the primary one of a HEIC
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(getattr(image, "n_frames", 1))
    except MemoryError:
        raise rejected(f"{noun}_too_many_pixels", f"There is not enough memory to open the {noun}.") from None
    except DAMAGE as error:
        raise damaged(error, rejected, noun) from None

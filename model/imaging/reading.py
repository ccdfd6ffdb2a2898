"""Reading pictures and masks. The size is checked on the header, before a pixel is decoded.

Pixels are handed out the way a person sees the picture (EXIF orientation applied); ``Picture`` remembers how they lay
in the file, so that writing puts them back.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from model.errors import ImageRejected, MaskRejected, ModelError

#: Formats that come back as they came in: Pillow's name to media type and extension.
FORMATS = {
    "JPEG": ("image/jpeg", ".jpg"),
    "PNG": ("image/png", ".png"),
    "WEBP": ("image/webp", ".webp"),
}
#: Pillow's modes that are 8 bits a channel in grey or RGB, with or without alpha or a palette.
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}
_ORIENTATION = 0x0112
_PNG = b"\x89PNG\r\n\x1a\n"

Rejection = Callable[[str, str], ModelError]


@dataclass(frozen=True)
class Limits:
    """The largest file and the largest picture that are accepted."""

    max_bytes: int
    max_pixels: int


@dataclass(frozen=True)
class Probe:
    """What a header says. ``width`` and ``height`` are as a person sees the picture."""

    format: str
    width: int
    height: int
    mode: str
    content_type: str
    extension: str


@dataclass(frozen=True)
class Picture:
    """A decoded picture and all that writing needs to give it back in kind."""

    #: ``uint8 [H, W, 3]``, as a person sees it.
    pixels: NDArray[np.uint8]
    #: ``uint8 [H, W]`` or ``None``.
    alpha: NDArray[np.uint8] | None
    probe: Probe
    #: EXIF orientation of the file, 1 to 8.
    orientation: int
    #: Pillow's ``info`` of the file: ICC profile, EXIF, density and the like.
    info: dict[str, Any] = field(repr=False)
    #: JPEG quantisation tables and chroma sampling of the source.
    tables: dict[int, list[int]] | None = field(default=None, repr=False)
    subsampling: int | None = None
    #: Whether the file kept every pixel exactly.
    lossless: bool = True


def probe(data: bytes, limits: Limits) -> Probe:
    """Read the header of ``data``.

    Raises:
        ImageRejected: not a picture, of a kind that is not supported, or over ``limits``.
    """
    with _opened(data, limits, ImageRejected, "image") as image:
        return _probe(image)


def probe_mask(data: bytes, limits: Limits) -> Probe:
    """Read the header of a mask's file.

    Raises:
        MaskRejected: as :func:`probe`, with codes that begin with ``mask_``.
    """
    with _opened(data, limits, MaskRejected, "mask") as image:
        return _probe(image)


def decode(data: bytes, limits: Limits) -> Picture:
    """Decode ``data`` in full.

    Raises:
        ImageRejected: see :func:`probe`; ``image_truncated`` where the pixels end early.
    """
    with _opened(data, limits, ImageRejected, "image") as image:
        facts = _probe(image)
        if image.mode not in _MODES:
            raise ImageRejected(
                "image_mode_unsupported",
                f"Pictures with pixels of mode {image.mode} are not supported: send 8 bits a channel, grey or RGB.",
            )
        _load(image, ImageRejected, "image")
        turned = _as_seen(image)
        has_alpha = "A" in turned.getbands() or "transparency" in turned.info
        rgba = np.array(turned.convert("RGBA" if has_alpha else "RGB"), np.uint8)
        subsampling = None
        if image.format == "JPEG":
            from PIL.JpegImagePlugin import get_sampling

            subsampling = get_sampling(image)
        return Picture(
            pixels=np.ascontiguousarray(rgba[..., :3]),
            alpha=np.ascontiguousarray(rgba[..., 3]) if has_alpha else None,
            probe=facts,
            orientation=_orientation(image),
            info={str(name): value for name, value in image.info.items()},
            tables=getattr(image, "quantization", None),
            subsampling=subsampling,
            lossless=_is_lossless(data, facts.format),
        )


def decode_mask(data: bytes, limits: Limits, *, width: int, height: int) -> NDArray[np.uint8]:
    """A mask file as ``uint8 [H, W]`` of 0 and 255.

    Taken from its alpha where that is not opaque throughout, else from its luminance; above half is repair.

    Raises:
        MaskRejected: not a picture, of another size than the picture as seen, or nowhere above half.
    """
    with _opened(data, limits, MaskRejected, "mask") as image:
        _load(image, MaskRejected, "mask")
        seen = _as_seen(image)
        if seen.size != (width, height):
            raise MaskRejected(
                "mask_size_mismatch",
                f"The mask is {seen.width}x{seen.height}, its picture {width}x{height}: "
                "send a mask of the picture's size.",
            )
        values = np.asarray(seen.convert("L"), np.uint8)
        if "A" in seen.getbands() or "transparency" in seen.info:
            alpha = np.asarray(seen.convert("RGBA"), np.uint8)[..., 3]
            if alpha.min() < 255:
                values = alpha
    mask = np.where(values > 127, np.uint8(255), np.uint8(0))
    if not mask.any():
        raise MaskRejected("mask_empty", "The mask marks nothing: paint what is to be removed in white.")
    return mask


def _opened(data: bytes, limits: Limits, rejected: Rejection, noun: str) -> Image.Image:
    if not data:
        raise rejected(f"{noun}_unreadable", f"The {noun} file is empty: send it again.")
    if len(data) > limits.max_bytes:
        raise rejected(f"{noun}_too_large", f"The {noun} file has {len(data)} bytes; the limit is {limits.max_bytes}.")
    try:
        with warnings.catch_warnings():
            # Sizes are held against our own limit below; Pillow's warning would say it twice.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError:
        raise rejected(
            f"{noun}_too_many_pixels", f"The {noun} is over the limit of {limits.max_pixels} pixels."
        ) from None
    except UnidentifiedImageError:
        if data.startswith(_PNG) and data[12:16] == b"IHDR" and 0 in struct.unpack(">II", data[16:24].ljust(8, b"\1")):
            raise rejected(f"{noun}_empty", f"The {noun} has no pixels.") from None
        raise rejected(f"{noun}_unreadable", f"The {noun} is not a picture in a format that is known here.") from None
    except (OSError, ValueError, SyntaxError, struct.error, OverflowError, EOFError, IndexError, TypeError) as error:
        raise rejected(f"{noun}_unreadable", f"The {noun}'s header is damaged ({error}): export it again.") from None
    if image.width < 1 or image.height < 1:
        raise rejected(f"{noun}_empty", f"The {noun} has no pixels ({image.width}x{image.height}).")
    if image.width * image.height > limits.max_pixels:
        raise rejected(
            f"{noun}_too_many_pixels",
            f"The {noun} has {image.width}x{image.height} pixels; the limit is {limits.max_pixels} in all.",
        )
    if image.format not in FORMATS:
        raise rejected(f"{noun}_format_unsupported", f"{image.format} files are not supported: send JPEG, PNG or WebP.")
    if getattr(image, "n_frames", 1) > 1:
        raise rejected(
            f"{noun}_format_unsupported", f"The {noun} has several frames: send each frame as a picture of its own."
        )
    return image


def _load(image: Image.Image, rejected: Rejection, noun: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
    except MemoryError:
        raise rejected(f"{noun}_too_many_pixels", f"There is not enough memory to decode the {noun}.") from None
    except (OSError, ValueError, SyntaxError, struct.error, EOFError, IndexError, TypeError) as error:
        truncated = "truncated" in str(error) or isinstance(error, EOFError)
        if truncated:
            raise rejected(f"{noun}_truncated", f"The {noun} file ends before its pixels do: send it again.") from None
        raise rejected(f"{noun}_unreadable", f"The {noun}'s pixels are damaged ({error}): export it again.") from None


def _is_lossless(data: bytes, format_name: str) -> bool:
    if format_name == "WEBP":
        # RIFF container: a VP8L chunk comes first, or after VP8X and its companions.
        return b"VP8L" in data[12:16] or (data[12:16] == b"VP8X" and b"VP8 " not in _chunk_names(data))
    return format_name == "PNG"


def _chunk_names(riff: bytes) -> list[bytes]:
    names, at = [], 12
    while at + 8 <= len(riff):
        names.append(riff[at : at + 4])
        size = int.from_bytes(riff[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return names


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, struct.error, TypeError, IndexError):
        return 1  # EXIF that cannot be read turns nothing, as in browsers
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


#: How the stored pixels become the seen ones, by EXIF orientation (Exif 2.32, tag 274).
TO_SEEN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _as_seen(image: Image.Image) -> Image.Image:
    turn = TO_SEEN.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _probe(image: Image.Image) -> Probe:
    width, height = image.size
    if _orientation(image) >= 5:
        width, height = height, width
    content_type, extension = FORMATS[str(image.format)]
    return Probe(str(image.format), width, height, image.mode, content_type, extension)

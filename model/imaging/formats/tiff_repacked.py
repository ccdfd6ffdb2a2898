"""TIFF of one page whose coding cannot be written back: decoded by libtiff, and packed anew with Deflate, without loss.

These are old-style JPEG (TIFF 6.0, section 22), JPEG with further channels, and YCbCr without JPEG. Tags that describe
the picture are kept, those of the coding are new, and private ones are left out.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image, TiffTags

from model.errors import ImageRejected
from model.imaging.formats import tiff_places
from model.imaging.formats.tiff_strips import JPEG, LOSSLESS, OLD_JPEG, RGB, SEPARATED, YCBCR
from model.imaging.metadata.exif import Thumbnail
from model.imaging.metadata.photoshop import with_photoshop_thumbnail
from model.imaging.picture import Colour, Edit, Page, Written
from model.imaging.probing import DAMAGE, damaged, load

_COLOURS: dict[str, Colour] = {"L": "grey", "RGB": "rgb", "RGBA": "rgb", "CMYK": "cmyk"}
_XMP, _PHOTOSHOP = 700, 34377
#: Tags of the coding, and the orientation, which the decoder applies.
_OF_CODING = frozenset(
    {254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 284, 292, 293, 317, 322, 323, 324, 325, 330}
    | {338, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532}
)
#: Tags from here on are private, but for copyright, IPTC, EXIF, profile and GPS.
_PRIVATE, _KNOWN = 32768, frozenset({33432, 33723, 34665, 34675, 34853})
_REASON = "It is packed with Deflate, without loss: its own coding cannot be written."


def is_needed(pages: list[Any]) -> bool:
    """Whether the only page of ``pages`` (tifffile's) is of such a coding."""
    if len(pages) != 1 or pages[0].bitspersample != 8:
        return False
    page = pages[0]
    if page.compression == JPEG:
        return page.photometric in (RGB, SEPARATED, YCBCR) and page.samplesperpixel == 4 + (
            page.photometric == SEPARATED
        )
    return page.compression == OLD_JPEG or (page.compression in LOSSLESS and page.photometric == YCBCR)


def read(data: bytes) -> Page:
    """The page, as a person sees it.

    Raises:
        ImageRejected: the pixels are damaged, or of colours that libtiff does not convert.
    """
    image = _opened(data)
    samples = np.array(image, np.uint8).reshape(image.height, image.width, -1)
    return Page(samples, _COLOURS[image.mode], alpha=image.mode == "RGBA")


def write(data: bytes, edit: Edit, thumbnail: Thumbnail, xmp: bytes | None = None) -> Written:
    """``data`` with its page edited; ``xmp`` replaces its XMP packet.

    Raises:
        ImageRejected: its tags cannot be written.
    """
    source = _opened(data)
    described = source.getexif()
    resources = described.get(_PHOTOSHOP)
    private = {tag for tag, value in described.items() if tag >= _PRIVATE or _is_no_text(tag, value)} - _KNOWN
    for tag in {*described} & {*_OF_CODING, *private, _XMP}:
        del described[tag]
    samples = edit.samples
    image = Image.fromarray(np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples), source.mode)
    out = io.BytesIO()
    try:
        image.save(
            out, "TIFF", compression="tiff_adobe_deflate", tiffinfo=described,
            icc_profile=source.info.get("icc_profile"),
        )  # fmt: skip
    except DAMAGE as error:
        raise damaged(error, ImageRejected, "image") from None
    file = out.getvalue()
    if isinstance(resources, bytes):
        file = tiff_places.with_tag(file, _PHOTOSHOP, with_photoshop_thumbnail(resources, thumbnail))
    packet = xmp if xmp is not None else source.info.get("xmp")
    if packet is not None:
        file = tiff_places.with_tag(file, _XMP, packet)
    reason = f"{_REASON} Private and wrong tags are left out." if private - {_PHOTOSHOP} else _REASON
    return Written(file, "lossless", reason)


def _is_no_text(tag: int, value: Any) -> bool:
    """Whether a tag of text holds something else, which cannot be written."""
    return TiffTags.lookup(tag).type == TiffTags.ASCII and not isinstance(value, str)


def _opened(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data), formats=["TIFF"])
    load(image, ImageRejected, "image")
    if image.mode not in _COLOURS:
        raise ImageRejected(
            "image_mode_unsupported", f"The image is a TIFF of {image.mode} colours: save it as grey, RGB or CMYK."
        )
    return image

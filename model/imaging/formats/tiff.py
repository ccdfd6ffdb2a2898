"""TIFF, strip by strip: strips and tiles that the repair touches are encoded again, all else is copied.

So every tag, profile, page and private directory keeps its place. TIFF 6.0; BigTIFF.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import tifffile

from model.errors import ImageRejected, ResultDiffers
from model.imaging.formats import tiff_places, tiff_repacked, tiff_strips
from model.imaging.formats.coefficients import NotSpliceable
from model.imaging.formats.tiff_samples import CHANNELS, edited, has_no_white, shown, stored
from model.imaging.formats.tiff_strips import (
    BLACK_IS_ZERO,
    CIELAB,
    JPEG,
    OLD_JPEG,
    PALETTE,
    RGB,
    WHITE_IS_ZERO,
    YCBCR,
)
from model.imaging.metadata.exif import Thumbnail
from model.imaging.metadata.photoshop import with_photoshop_thumbnail
from model.imaging.picture import Edit, Page, Samples, Written
from model.imaging.probing import DAMAGE, Limits, damaged

_TWELVE = 12
#: Depths by the kind of numbers: unsigned, signed, floating point; and the predictors of whole numbers and of those.
_DEPTHS_OF = {"u": (8, 16, 32), "i": (8, 16, 32), "f": (32,)}
_PREDICTORS = {"u": (1, 2), "i": (1, 2), "f": (1, 3)}
_XMP, _PHOTOSHOP = 700, 34377
_COLOURS, _PACKING = "save it as grey, RGB, palette or CMYK", "pack it with LZW or Deflate"
_DEPTHS = "save it with 8, 12, 16 or 32 bits a sample (grey and palette: 1, 2 and 4 too)"
_COMPLAINTS = (*DAMAGE, tifffile.TiffFileError)


def read(data: bytes, limits: Limits) -> list[Page]:
    """Read every page, and after them the smaller copies of pages in the file.

    Raises:
        ImageRejected: the pixels are damaged, or of a kind that could not be written back.
    """
    try:
        with warnings.catch_warnings(), tifffile.TiffFile(io.BytesIO(data)) as file:
            warnings.simplefilter("ignore")
            pages = tiff_places.pages_of(file)
            repacks = tiff_repacked.is_needed(pages)
            _hold(pages, limits, len(data), any_coding=repacks)
            if repacks:
                return [tiff_repacked.read(data)]
            return [shown(page, stored(page)) for page in pages]
    except MemoryError:
        raise ImageRejected("image_too_many_pixels", "There is not enough memory to decode the image.") from None
    except _COMPLAINTS as error:
        raise damaged(error, ImageRejected, "image") from None


def write(data: bytes, edits: list[Edit], thumbnail: Thumbnail, xmp: bytes | None = None) -> Written:
    """``data`` with its pages edited (as stored); ``xmp`` replaces its XMP packet.

    Raises:
        ImageRejected: strips are coded as JPEG of a kind that cannot be written back.
    """
    with warnings.catch_warnings(), tifffile.TiffFile(io.BytesIO(data)) as file:
        warnings.simplefilter("ignore")
        pages = tiff_places.pages_of(file)
        if tiff_repacked.is_needed(pages):
            return tiff_repacked.write(data, edits[0], thumbnail, xmp)
        try:
            meant = [edited(page, stored(page), edit) for page, edit in zip(pages, edits, strict=True)]
            strips = [
                tiff_strips.recoded(file, page, samples, edit.hole)
                for page, samples, edit in zip(pages, meant, edits, strict=True)
            ]
        except NotSpliceable as reason:
            raise ImageRejected(
                "image_mode_unsupported", f"The image's JPEG strips cannot be written back: {reason}. Pack it with LZW."
            ) from None
        out = tiff_places.laid_in(data, file, strips)
        is_proved = any(has_no_white(page) for page in pages)
        if is_proved:
            _prove(out, meant)
        how = "spliced" if any(page.compression == JPEG for page in pages) else "lossless"
        resources = pages[0].tags.valueof(_PHOTOSHOP)
    if isinstance(resources, bytes):
        out = tiff_places.with_tag(out, _PHOTOSHOP, with_photoshop_thumbnail(resources, thumbnail))
    return Written(out if xmp is None else tiff_places.with_tag(out, _XMP, xmp), how, is_proved=is_proved)


def _prove(out: bytes, meant: list[Samples]) -> None:
    """Compare the stored samples of a file with the meant ones: how they are shown depends on all of them.

    Raises:
        ResultDiffers: they are not equal.
    """
    with tifffile.TiffFile(io.BytesIO(out)) as file:
        for page, samples in zip(tiff_places.pages_of(file), meant, strict=True):
            if stored(page).tobytes() != samples.tobytes():
                raise ResultDiffers("TIFF")


def _hold(pages: list[Any], limits: Limits, size: int, *, any_coding: bool) -> None:
    """Refuse pages of a file of ``size`` bytes that are too large, before any decoding.

    Without ``any_coding`` also pages that cannot be written back.
    """
    total = 0
    for page in pages:
        total += page.imagewidth * page.imagelength * max(1, page.imagedepth)
        if min(page.imagewidth, page.imagelength) < 1:
            raise ImageRejected("image_empty", "A page of the image has no pixels.")
        if total > limits.max_pixels:
            raise ImageRejected(
                "image_too_many_pixels", f"The image's pages have over {limits.max_pixels} pixels in all."
            )
        if len(page.dataoffsets) != len(page.databytecounts):
            raise ImageRejected("image_unreadable", "The image's strips have places without lengths: export it again.")
        if page.compression in (JPEG, OLD_JPEG) and _is_cut_off(page, size):
            raise ImageRejected("image_truncated", "The image file ends before its pixels do: send it again.")
        reason = None if any_coding else _reason_against(page)
        if reason is not None:
            raise ImageRejected("image_mode_unsupported", f"The image is a TIFF {reason}.")
    if any(page.compression == JPEG for page in pages) and any(has_no_white(page) for page in pages):
        reason = f"of pages packed with JPEG and of {pages[0].bitspersample} bits a sample: save them apart"
        raise ImageRejected("image_mode_unsupported", f"The image is a TIFF {reason}.")


def _is_cut_off(page: Any, size: int) -> bool:
    """Whether a strip reaches behind the file's end: decoders of JPEG strips fill missing pixels without an error."""
    return any(start + count > size for start, count in zip(page.dataoffsets, page.databytecounts, strict=True))


def _reason_against(page: Any) -> str | None:
    """Why a page could not be written back, and the remedy; ``None``: it can be."""
    channels = CHANNELS.get(page.photometric)
    reason = None
    if channels is None:
        reason = f"of {_name(page.photometric)} colours: {_COLOURS}"
    elif page.imagedepth != 1 or not channels <= page.samplesperpixel <= 8:
        reason = f"of {page.samplesperpixel} samples a pixel in {page.imagedepth} planes of depth: {_COLOURS}"
    elif page.compression == JPEG:
        fitting = page.bitspersample == 8 and page.samplesperpixel == channels
        if not fitting or page.photometric in (WHITE_IS_ZERO, PALETTE, CIELAB):
            reason = f"packed with JPEG, of {page.bitspersample} bits or of further channels: {_PACKING}"
    elif page.compression not in tiff_strips.LOSSLESS:
        reason = f"packed with {_name(page.compression)}: {_PACKING}"
    elif page.compression in tiff_strips.FAX and (page.bitspersample, page.samplesperpixel) != (1, 1):
        reason = f"packed as a fax, of {page.bitspersample} bits a sample: {_PACKING}"
    elif page.photometric == YCBCR:
        reason = f"of YCbCr colours without JPEG: {_COLOURS}"
    elif not _whole(page):
        reason = f"of {page.bitspersample} bits ({_kind(page)}) a sample: {_DEPTHS}"
    return reason


def _whole(page: Any) -> bool:
    """Whether the samples are numbers of a kind that can be written back."""
    if page.dtype is None:
        return False
    if page.bitspersample < 8:
        return page.bitspersample in (1, 2, 4) and page.samplesperpixel == 1
    if page.bitspersample == _TWELVE:
        return int(page.predictor) == 1 and int(page.photometric) not in (PALETTE, CIELAB)
    kind = np.dtype(page.dtype).kind
    if page.bitspersample not in _DEPTHS_OF.get(kind, ()) or int(page.predictor) not in _PREDICTORS[kind]:
        return False
    if page.photometric == CIELAB:
        return bool(kind == "u" and page.bitspersample == 8)
    return page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB) or page.bitspersample in (8, 16)


def _kind(page: Any) -> str:
    return {2: "signed", 3: "floating point"}.get(int(page.sampleformat), "whole numbers")


def _name(code: Any) -> str:
    """The name in tifffile; the number of a nameless value."""
    return str(getattr(code, "name", code))

"""TIFF, strip by strip: strips and tiles that the repair touches are encoded again, all else is copied.

So every tag, profile, page and private directory keeps its place. TIFF 6.0; BigTIFF.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import tifffile

from model.errors import ImageRejected
from model.imaging.formats import tiff_places, tiff_strips
from model.imaging.formats.coefficients import NotSpliceable
from model.imaging.formats.palettes import Palette
from model.imaging.formats.tiff_strips import BLACK_IS_ZERO, JPEG, PALETTE, RGB, SEPARATED, WHITE_IS_ZERO, YCBCR
from model.imaging.metadata.exif import Thumbnail
from model.imaging.metadata.photoshop import with_photoshop_thumbnail
from model.imaging.picture import Colour, Edit, Page, Samples, Written
from model.imaging.probing import DAMAGE, Limits, damaged

#: ExtraSamples: colours are multiplied by alpha.
_ASSOCIATED = 1
_TWELVE = 12
_WHOLE = (np.uint8, np.uint16, np.int8, np.int16)
_ORIENTATION, _XMP, _PHOTOSHOP = 274, 700, 34377
_CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, SEPARATED: 4, PALETTE: 1, YCBCR: 3}
_COLOURS, _PACKING = "save it as grey, RGB, palette or CMYK", "pack it with LZW or Deflate"
_DEPTHS = "save it with 8, 12 or 16 bits a sample (grey and palette: 1, 2 and 4 too)"
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
            _hold(pages, limits, len(data))
            return [_shown(page, _stored(page)) for page in pages]
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
        try:
            strips = [
                tiff_strips.recoded(file, page, _edited(page, _stored(page), edit), edit.hole)
                for page, edit in zip(pages, edits, strict=True)
            ]
        except NotSpliceable as reason:
            raise ImageRejected(
                "image_mode_unsupported", f"The image's JPEG strips cannot be written back: {reason}. Pack it with LZW."
            ) from None
        out = tiff_places.laid_in(data, file, strips)
        how = "spliced" if any(page.compression == JPEG for page in pages) else "lossless"
        resources = pages[0].tags.valueof(_PHOTOSHOP)
    if isinstance(resources, bytes):
        out = tiff_places.with_tag(out, _PHOTOSHOP, with_photoshop_thumbnail(resources, thumbnail))
    return Written(out if xmp is None else tiff_places.with_tag(out, _XMP, xmp), how)


def _hold(pages: list[Any], limits: Limits, size: int) -> None:
    """Refuse pages of a file of ``size`` bytes that are too large or cannot be written back, before any decoding."""
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
        if page.compression == JPEG and _is_cut_off(page, size):
            raise ImageRejected("image_truncated", "The image file ends before its pixels do: send it again.")
        reason = _reason_against(page)
        if reason is not None:
            raise ImageRejected("image_mode_unsupported", f"The image is a TIFF {reason}.")


def _is_cut_off(page: Any, size: int) -> bool:
    """Whether a strip reaches behind the file's end: decoders of JPEG strips fill missing pixels without an error."""
    return any(start + count > size for start, count in zip(page.dataoffsets, page.databytecounts, strict=True))


def _reason_against(page: Any) -> str | None:
    """Why a page could not be written back, and the remedy; ``None``: it can be."""
    channels = _CHANNELS.get(page.photometric)
    reason = None
    if channels is None:
        reason = f"of {_name(page.photometric)} colours: {_COLOURS}"
    elif page.imagedepth != 1 or not channels <= page.samplesperpixel <= 8:
        reason = f"of {page.samplesperpixel} samples a pixel in {page.imagedepth} planes of depth: {_COLOURS}"
    elif page.compression == JPEG:
        fitting = page.bitspersample == 8 and page.samplesperpixel == channels
        if not fitting or page.photometric in (WHITE_IS_ZERO, PALETTE):
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
    """Whether the samples are integers of a size that can be written back."""
    if page.bitspersample < 8:
        return page.bitspersample in (1, 2, 4) and page.samplesperpixel == 1
    if page.bitspersample == _TWELVE:
        return int(page.predictor) == 1 and int(page.photometric) != PALETTE
    return page.bitspersample in (8, 16) and np.dtype(page.dtype) in _WHOLE


def _kind(page: Any) -> str:
    return {2: "signed", 3: "floating point"}.get(int(page.sampleformat), "whole numbers")


def _name(code: Any) -> str:
    """The name in tifffile; the number of a nameless value."""
    return str(getattr(code, "name", code))


def _stored(page: Any) -> Samples:
    """The stored samples, ``[H, W, C]``."""
    samples = page.asarray()
    if samples.dtype.kind == "i":
        # Signed samples are shown from the least value on: without their sign bit's meaning.
        unsigned = samples.view(np.dtype(f"u{samples.dtype.itemsize}").newbyteorder(samples.dtype.byteorder))
        samples = unsigned ^ unsigned.dtype.type(1 << (8 * samples.dtype.itemsize - 1))
    if page.planarconfig == 2 and samples.ndim == 3:
        samples = samples.transpose(1, 2, 0)
    return np.asarray(samples.reshape(page.imagelength, page.imagewidth, -1))


def _shown(page: Any, stored: Samples) -> Page:
    channels = _CHANNELS[page.photometric]
    alpha = _alpha_at(page)
    turn = page.tags[_ORIENTATION].value if _ORIENTATION in page.tags else 1
    turn = int(turn) if turn in range(1, 9) else 1
    if page.photometric == PALETTE:
        table = np.asarray(page.colormap)
        return Page(
            (table[:, stored[..., 0].astype(np.intp)] >> 8).astype(np.uint8).transpose(1, 2, 0), "rgb", False, turn
        )
    if page.bitspersample < 8:
        stored = stored.astype(np.uint8) * np.uint8(255 // _top(page))
    elif page.bitspersample == _TWELVE:
        stored = stored << 4 | stored >> 8
    colour = stored[..., :channels]
    if page.photometric == WHITE_IS_ZERO:
        colour = np.iinfo(colour.dtype).max - colour
    kind: Colour = "grey" if channels == 1 else "rgb" if channels == 3 else "cmyk"
    if alpha is not None and kind != "cmyk":
        opacity = stored[..., alpha : alpha + 1]
        if _is_premultiplied(page):
            colour = _divided(colour, opacity)
        return Page(np.concatenate((colour, opacity), axis=2), kind, True, turn)
    return Page(np.ascontiguousarray(colour), kind, False, turn)


def _alpha_at(page: Any) -> int | None:
    """The index of the alpha channel (ExtraSamples 1 or 2); ``None`` without one."""
    channels = _CHANNELS[page.photometric]
    extra = [int(kind) for kind in page.extrasamples]
    return channels if extra and extra[0] in (1, 2) and page.samplesperpixel > channels else None


def _is_premultiplied(page: Any) -> bool:
    """Whether the colours are stored multiplied by alpha."""
    return int(page.extrasamples[0]) == _ASSOCIATED and page.photometric != WHITE_IS_ZERO


def _divided(colour: Samples, opacity: Samples) -> Samples:
    """Colours that are multiplied by alpha, without that; 0 where alpha is."""
    top = np.iinfo(colour.dtype).max
    straight = colour.astype(np.float32) * (top / np.maximum(opacity, 1).astype(np.float32))
    return np.where(opacity > 0, np.rint(straight.clip(0, top)), 0).astype(colour.dtype)


def _edited(page: Any, stored: Samples, edit: Edit) -> Samples:
    """``stored`` with the repaired pixels, in the file's sample format."""
    inside = edit.hole > 0
    channels = _CHANNELS[page.photometric]
    stored = stored.copy()
    if page.photometric == PALETTE:
        table = (np.asarray(page.colormap) >> 8).astype(np.uint8).T
        indices = stored[..., 0].astype(np.uint8)
        Palette.of(np.ascontiguousarray(table).tobytes()).paint(indices, edit.samples, inside)
        stored[..., 0] = indices
        return stored
    new = edit.samples[..., :channels][inside]
    alpha = _alpha_at(page)
    if alpha is not None and edit.samples.shape[2] > channels and _is_premultiplied(page):
        top = np.iinfo(new.dtype).max
        new = np.rint(new * (edit.samples[..., channels:][inside] / top)).astype(new.dtype)
    if page.photometric == WHITE_IS_ZERO:
        new = np.iinfo(new.dtype).max - new
    if page.bitspersample < 8:
        new = np.rint(new * (_top(page) / 255)).astype(stored.dtype)
    elif page.bitspersample == _TWELVE:
        new = new >> 4
    stored[..., :channels][inside] = new
    if alpha is not None and edit.samples.shape[2] > channels:
        opacity = edit.samples[..., channels][inside]
        stored[..., alpha][inside] = opacity >> 4 if page.bitspersample == _TWELVE else opacity
    return stored


def _top(page: Any) -> int:
    """The largest value of a sample."""
    return (1 << int(page.bitspersample)) - 1

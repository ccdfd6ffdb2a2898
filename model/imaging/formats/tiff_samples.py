"""A TIFF page's samples as they are shown, and repaired ones as the file stores them. TIFF 6.0, sections 8, 20 to 23.

Integers of up to 16 bits are shown by their depth. Larger ones and floating point have no white: they are shown from
the page's least value to its greatest. CIELAB is shown as sRGB.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.imaging.formats.palettes import Palette
from model.imaging.formats.tiff_strips import (
    BLACK_IS_ZERO,
    CIELAB,
    PALETTE,
    RGB,
    SEPARATED,
    WHITE_IS_ZERO,
    YCBCR,
)
from model.imaging.picture import Colour, Edit, Page, Samples

#: Channels of colour by PhotometricInterpretation.
CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, SEPARATED: 4, PALETTE: 1, YCBCR: 3, CIELAB: 3}
#: ExtraSamples: colours are multiplied by alpha.
_ASSOCIATED = 1
_TWELVE = 12
_ORIENTATION = 274


def stored(page: Any) -> Samples:
    """The stored samples, ``[H, W, C]``, signed integers from their least value on."""
    samples = page.asarray()
    if samples.dtype.kind == "i":
        # Signed samples are shown from the least value on: without their sign bit's meaning.
        unsigned = samples.view(np.dtype(f"u{samples.dtype.itemsize}").newbyteorder(samples.dtype.byteorder))
        samples = unsigned ^ unsigned.dtype.type(1 << (8 * samples.dtype.itemsize - 1))
    if page.planarconfig == 2 and samples.ndim == 3:
        samples = samples.transpose(1, 2, 0)
    return np.asarray(samples.reshape(page.imagelength, page.imagewidth, -1))


def has_no_white(page: Any) -> bool:
    """Whether the page's samples are shown from their least to their greatest value."""
    dtype = np.dtype(page.dtype)
    return bool(dtype.kind == "f" or dtype.itemsize > 2)


def shown(page: Any, samples: Samples) -> Page:
    """The page of these stored samples."""
    alpha = _alpha_at(page)
    turn = page.tags[_ORIENTATION].value if _ORIENTATION in page.tags else 1
    turn = int(turn) if turn in range(1, 9) else 1
    channels = CHANNELS[page.photometric]
    if page.photometric == PALETTE:
        table = np.asarray(page.colormap)
        return Page(
            (table[:, samples[..., 0].astype(np.intp)] >> 8).astype(np.uint8).transpose(1, 2, 0), "rgb", False, turn
        )
    colour = _colour(page, samples)
    kind: Colour = "grey" if channels == 1 else "rgb" if channels == 3 else "cmyk"
    if alpha is not None and kind != "cmyk":
        opacity = _deepened(page, samples[..., alpha : alpha + 1])
        if _is_premultiplied(page):
            colour = _divided(colour, opacity)
        return Page(np.concatenate((colour, opacity), axis=2), kind, True, turn)
    return Page(np.ascontiguousarray(colour), kind, False, turn)


def edited(page: Any, samples: Samples, edit: Edit) -> Samples:
    """The stored ``samples`` with the repaired pixels, in the file's sample format."""
    inside = edit.hole > 0
    channels = CHANNELS[page.photometric]
    before, samples = samples, samples.copy()
    if page.photometric == PALETTE:
        table = (np.asarray(page.colormap) >> 8).astype(np.uint8).T
        indices = samples[..., 0].astype(np.uint8)
        Palette.of(np.ascontiguousarray(table).tobytes()).paint(indices, edit.samples, inside)
        samples[..., 0] = indices
        return samples
    new = edit.samples[..., :channels][inside]
    if page.photometric == CIELAB or has_no_white(page):
        # The way there and back is not exact: pixels that did not change keep their values.
        same = (new == _colour(page, before)[inside]).all(axis=1)
        if same.all():
            return samples
        inside[inside] = ~same
        new = _lab_of(new[~same]) if page.photometric == CIELAB else _ranged(page, before, new[~same])
        samples[..., :channels][inside] = new
        return samples
    alpha = _alpha_at(page)
    if alpha is not None and edit.samples.shape[2] > channels and _is_premultiplied(page):
        top = np.iinfo(new.dtype).max
        new = np.rint(new * (edit.samples[..., channels:][inside] / top)).astype(new.dtype)
    if page.photometric == WHITE_IS_ZERO:
        new = np.iinfo(new.dtype).max - new
    if page.bitspersample < 8:
        new = np.rint(new * (_top(page) / 255)).astype(samples.dtype)
    elif page.bitspersample == _TWELVE:
        new = new >> 4
    samples[..., :channels][inside] = new
    if alpha is not None and edit.samples.shape[2] > channels:
        opacity = edit.samples[..., channels][inside]
        samples[..., alpha][inside] = opacity >> 4 if page.bitspersample == _TWELVE else opacity
    return samples


def _colour(page: Any, samples: Samples) -> Samples:
    """The colour channels of stored samples as a page shows them, ``uint8`` or ``uint16``."""
    colour = samples[..., : CHANNELS[page.photometric]]
    if page.photometric == CIELAB:
        return _of_lab(colour)
    if has_no_white(page):
        least, most = _range(colour)
        known = np.where(np.isfinite(colour), colour, least).astype(np.float64)
        colour = np.rint((known - least) * (65535 / (most - least))).astype(np.uint16)
    else:
        colour = _deepened(page, colour)
    return np.iinfo(colour.dtype).max - colour if page.photometric == WHITE_IS_ZERO else colour


def _deepened(page: Any, samples: Samples) -> Samples:
    """Samples of whole bytes: of fewer than 8 bits as 8, of 12 as 16."""
    if page.bitspersample < 8:
        return samples.astype(np.uint8) * np.uint8(255 // _top(page))
    return samples << 4 | samples >> 8 if page.bitspersample == _TWELVE else samples


def _range(colour: Samples) -> tuple[float, float]:
    """The least and the greatest value of a page; values that are no numbers do not count."""
    known = colour[np.isfinite(colour)]
    if not known.size:
        return 0.0, 1.0
    least, most = float(known.min()), float(known.max())
    return least, most if most > least else least + 1


def _ranged(page: Any, before: Samples, new: Samples) -> Samples:
    """Colours of 16 bits (``[n, C]``) as values between the least and the greatest of the page ``before``."""
    least, most = _range(before[..., : new.shape[1]])
    if page.photometric == WHITE_IS_ZERO:
        new = np.iinfo(new.dtype).max - new
    values = least + new.astype(np.float64) * ((most - least) / 65535)
    if before.dtype.kind == "f":
        return values.astype(before.dtype)
    return np.rint(values).astype(before.dtype)


def _of_lab(lab: Samples) -> NDArray[np.uint8]:
    """CIELAB of 8 bits as the file stores it (TIFF 6.0, section 23), as sRGB."""
    lightness, chroma = lab[..., :1].astype(np.float32) * np.float32(100 / 255), lab[..., 1:]
    signed = np.ascontiguousarray(chroma).view(np.int8).astype(np.float32)
    rgb = cv2.cvtColor(np.concatenate((lightness, signed), axis=2), cv2.COLOR_Lab2RGB)
    return np.asarray(np.rint(np.asarray(rgb).clip(0, 1) * 255), np.uint8)


def _lab_of(rgb: Samples) -> NDArray[np.uint8]:
    """The inverse of :func:`_of_lab`, for ``[n, 3]``."""
    lab = np.asarray(cv2.cvtColor((rgb.astype(np.float32) / 255)[None], cv2.COLOR_RGB2Lab))[0]
    lightness = np.rint(lab[:, :1] * (255 / 100)).clip(0, 255).astype(np.uint8)
    chroma = np.rint(lab[:, 1:]).clip(-128, 127).astype(np.int8).view(np.uint8)
    return np.concatenate((lightness, chroma), axis=1)


def _alpha_at(page: Any) -> int | None:
    """The index of the alpha channel (ExtraSamples 1 or 2); ``None`` without one, and where alpha stays as it is."""
    channels = CHANNELS[page.photometric]
    extra = [int(kind) for kind in page.extrasamples]
    if not extra or extra[0] not in (1, 2) or page.samplesperpixel <= channels:
        return None
    return None if page.photometric == CIELAB or has_no_white(page) else channels


def _is_premultiplied(page: Any) -> bool:
    """Whether the colours are stored multiplied by alpha."""
    return int(page.extrasamples[0]) == _ASSOCIATED and page.photometric != WHITE_IS_ZERO


def _divided(colour: Samples, opacity: Samples) -> Samples:
    """Colours that are multiplied by alpha, without that; 0 where alpha is."""
    top = np.iinfo(colour.dtype).max
    straight = colour.astype(np.float32) * (top / np.maximum(opacity, 1).astype(np.float32))
    return np.where(opacity > 0, np.rint(straight.clip(0, top)), 0).astype(colour.dtype)


def _top(page: Any) -> int:
    """The largest value of a sample."""
    return (1 << int(page.bitspersample)) - 1

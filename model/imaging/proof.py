"""Reads a written file back and compares it with what was to be written. No file is handed out without that.

A second decoder reads the file where there is one: OpenCV for PNG and BMP, libtiff (by Pillow) for TIFF, imagecodecs
for still WebP and AVIF. Other files, and those that the second decoder shows in another way, are read by the decoder
that read the source. A spliced JPEG is compared where it is made (:mod:`model.imaging.formats.jpeg`), and so is a TIFF
without a white (:mod:`model.imaging.formats.tiff`).
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageRejected, ResultDiffers
from model.imaging.formats import avif, webp
from model.imaging.formats.sizing import LEAST_DB
from model.imaging.loss import similarity_db
from model.imaging.picture import Document, Edit, Page, Samples, Written
from model.imaging.probing import DAMAGE
from model.imaging.turning import as_seen, as_stored

#: Decodes a file's pages as a person sees them.
Reader = Callable[[bytes], tuple[Page, ...]]

#: How far a spliced strip of a TIFF may differ around the hole: an MCU, and a decoder's smoothing of chroma.
_MCU_REACH_PX = 40
#: Within the hole a result may be this much farther from the repair than the source is, in levels of 255: low depths do
#: not have every colour. Palettes have too few of them for any limit.
_MOST_OFF = 24
_BLENDED_DB = 1.0
_FEW_COLOURS = frozenset({"1", "P", "PA"})
_MODES = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "I;16", "I;16B"})


def read_back(document: Document, edits: list[Edit], written: Written, reader: Reader) -> Written:
    """``written``, made of ``document`` with ``edits`` (as seen), once it is proved; ``reader`` reads any file.

    Raises:
        ResultDiffers: it cannot be read, or differs from the source outside the holes, or from the edits within them.
    """
    if written.is_proved or (document.probe.format == "JPEG" and written.how == "spliced"):
        return written
    begun = time.perf_counter()
    similarities = _second_opinion(document, edits, written)
    if similarities is None:
        similarities = _own_opinion(document, edits, written, reader)
    least = min(similarities)
    # Each stored frame of an animation keeps the bound; where frames are blended, what is seen may be a little below.
    bound = LEAST_DB - (_BLENDED_DB if document.probe.frames > 1 else 0)
    if written.how == "recoded" and least < bound:
        raise ResultDiffers(document.probe.format, least)
    measured = least if written.how == "recoded" else None
    return replace(written, similarity_db=measured, read_back_s=time.perf_counter() - begun)


def _own_opinion(document: Document, edits: list[Edit], written: Written, reader: Reader) -> list[float]:
    try:
        pages = reader(written.data)
    except ImageRejected as error:
        raise ResultDiffers(document.probe.format) from error
    if len(pages) != len(edits):
        raise ResultDiffers(document.probe.format)
    similarities = []
    for page, edit, after in zip(document.pages, edits, pages, strict=True):
        similarity = _compared(document, page, edit, after.samples, written.how)
        if similarity is None:
            raise ResultDiffers(document.probe.format)
        similarities.append(similarity)
    return similarities


def _second_opinion(document: Document, edits: list[Edit], written: Written) -> list[float] | None:
    """The similarity by another decoder; ``None`` where there is none, or it shows the source in another way."""
    decode = _SECOND.get(document.probe.format)
    if decode is None or len(document.pages) > 1:
        return None
    page = document.pages[0]
    samples = decode(written.data, page)
    similarity = None if samples is None else _compared(document, page, edits[0], samples, written.how)
    return None if similarity is None else [similarity]


def _compared(document: Document, page: Page, edit: Edit, after: Samples, how: str) -> float | None:
    """The similarity outside the hole; ``None``: it is not what it has to be."""
    if after.shape != edit.samples.shape or after.dtype != edit.samples.dtype:
        return None
    outside = np.where(edit.hole > 0, np.uint8(0), np.uint8(255))
    if how == "spliced":
        reach = 2 * _MCU_REACH_PX + 1
        outside = np.where(cv2.dilate(edit.hole, np.ones((reach, reach), np.uint8)) > 0, np.uint8(0), np.uint8(255))
    if how == "recoded":
        similarity = similarity_db(edit.samples, after, outside, alpha=page.alpha)
    else:
        different = (after != edit.samples).any(axis=2)
        if page.alpha and document.probe.frames > 1:
            different &= (after[..., -1] > 0) | (edit.samples[..., -1] > 0)
        if (different & (outside > 0)).any():
            return None
        similarity = np.inf
    has_few_colours = document.probe.mode in _FEW_COLOURS or document.probe.format == "GIF"
    return similarity if has_few_colours or _is_as_meant(page, edit, after) else None


def _is_as_meant(page: Page, edit: Edit, after: Samples) -> bool:
    """Whether the hole is about as near to the repair as the source is, or nearer."""
    inside = edit.hole > 0
    meant, shown, before = (samples[inside].astype(np.float32) for samples in (edit.samples, after, page.samples))
    if page.alpha:
        # Colour counts by how much of it can be seen.
        meant, shown, before = (_seen(samples, edit.samples.dtype) for samples in (meant, shown, before))
    if not meant.size:
        return True
    levels = 257 if edit.samples.dtype == np.uint16 else 1
    return bool(np.abs(shown - meant).mean() <= np.abs(before - meant).mean() + _MOST_OFF * levels)


def _seen(samples: NDArray[np.float32], kind: np.dtype[Any]) -> NDArray[np.float32]:
    opacity = samples[..., -1:] / np.float32(np.iinfo(kind).max)
    return np.asarray(np.concatenate((samples[..., :-1] * opacity, samples[..., -1:]), axis=-1), np.float32)


def _by_opencv(data: bytes, page: Page) -> Samples | None:
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    return None if decoded is None else _in_order(np.asarray(decoded), page)


def _in_order(decoded: Samples, page: Page) -> Samples | None:
    """OpenCV's blue, green, red and alpha in the order of the page's channels, as a person sees them."""
    decoded = decoded.reshape(*decoded.shape[:2], -1)
    channels = page.samples.shape[2]
    orders = {(3, 3): [2, 1, 0], (4, 4): [2, 1, 0, 3], (1, 1): [0], (4, 2): [0, 3], (3, 1): [0], (1, 3): [0, 0, 0]}
    order = orders.get((decoded.shape[2], channels))
    return None if order is None else np.asarray(as_seen(decoded[..., order], page.orientation))


def _by_pillow(data: bytes, page: Page) -> Samples | None:
    """Pillow turns a TIFF as a person sees it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
                image.load()
                shown = image.convert({"1": "L", "P": "RGB"}[image.mode]) if image.mode in ("1", "P") else image
                if shown.mode not in _MODES:
                    return None
                samples = np.array(shown)
    except DAMAGE:
        return None
    samples = samples.reshape(*samples.shape[:2], -1)
    return samples.astype(np.uint16) if samples.dtype.itemsize == 2 else samples


def _by_imagecodecs(data: bytes, page: Page) -> Samples | None:
    read = avif.samples_of if data[4:8] == b"ftyp" else webp.samples_of
    try:
        samples = read(data, as_stored(page.samples, page.orientation))
    except DAMAGE:
        return None
    return None if samples is None else np.asarray(as_seen(samples, page.orientation))


_SECOND: dict[str, Callable[[bytes, Page], Samples | None]] = {
    "PNG": _by_opencv,
    "BMP": _by_opencv,
    "TIFF": _by_pillow,
    "WEBP": _by_imagecodecs,
    "AVIF": _by_imagecodecs,
}

"""The error that a picture's coding left in its pixels: it bounds what un-blending can recover."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from model.imaging.picture import Document


def coding_noise(document: Document) -> float:
    """The error of a file's coding, in levels of 255."""
    tables: dict[int, list[int]] | None = None
    if document.probe.format == "JPEG":
        with Image.open(io.BytesIO(document.data)) as picture:
            tables = getattr(picture, "quantization", None)
    return noise_of(tables, lossless=document.lossless)


def noise_of(tables: dict[int, list[int]] | None, *, lossless: bool) -> float:
    """The error of a picture's coding, in levels: from a JPEG's quantisation tables where it has them."""
    if lossless:
        return 0.6
    if not tables:
        return 3.5
    # Steps of the lower frequencies only: higher ones are small and mostly rounded to zero.
    low = np.sort(np.asarray(tables[0], np.float64))[:36]
    return float(np.clip(0.9 * np.sqrt((low**2).mean() / 12) + 0.5, 0.8, 12))

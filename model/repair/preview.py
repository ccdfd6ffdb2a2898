"""A picture before and after its repair, small: two pictures in one WebP, the one before above the one after.

For reviewing thousands of results. Colours are those of the file, without its profile.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.repair.cutouts import eight_bits
from model.repair.task import Task

#: Longer side of each of the two, in pixels.
SIDE = 320
_QUALITY = 78


@dataclass(frozen=True)
class Preview:
    """A preview's file, and the size in pixels of each of its two halves."""

    data: bytes
    width: int
    height: int
    content_type: str = "image/webp"


def preview(task: Task, pixels: Sequence[NDArray[np.uint8]]) -> Preview:
    """The preview of a task's first page; ``pixels`` are the results (``uint8 [H, W, 3]``), one for each part."""
    parts = task.parts
    page = task.document.pages[0] if task.document is not None else None
    views = 2 if page is not None and page.colour == "cmyk" else 1
    scale = min(1.0, SIDE / max(task.width, task.height))
    size = max(1, round(task.width * scale)), max(1, round(task.height * scale))
    before = _small([part.picture.pixels for part in parts[:views]], size)
    after = _small(list(pixels[:views]), size)
    both = np.concatenate((before, after))
    if page is not None and page.alpha:
        cutout = parts[0].cutout
        crossed = cutout is not None and cutout.hole.any()
        opacity = page.samples[..., -1]
        opacities = opacity, opacity if cutout is None else cutout.filled(pixels[views] if crossed else None)
        both = np.dstack((both, np.concatenate([_resized(eight_bits(values), size) for values in opacities])))
    file = io.BytesIO()
    Image.fromarray(both).save(file, "WEBP", quality=_QUALITY, method=2)
    return Preview(file.getvalue(), *size)


def _small(views: list[NDArray[np.uint8]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A small picture from a page's views; the black plane of a CMYK page darkens its colours."""
    first = _resized(views[0], size)
    if len(views) == 1:
        return first
    return np.asarray(first.astype(np.uint16) * _resized(views[1], size) // 255, np.uint8)


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

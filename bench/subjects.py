"""Subjects of the quality benchmarks: squares of photos, each under a seeded mark of each kind, as repair tasks.

Every method gets the marked picture and the same widened hole, never the clean picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from model.imaging import Limits
from model.repair.task import Task, read
from model.training.holes import paint
from model.training.masks import KINDS, Mask
from model.training.photos import load_photos

Pixels = NDArray[np.uint8]
LIMITS = Limits(max_bytes=10**9, max_pixels=10**9)
OPACITY = 0.5


def _wide(rng: np.random.Generator, height: int, width: int) -> Mask:
    """LaMa's wide strokes and boxes."""
    canvas = np.zeros((height, width), np.uint8)
    paint(rng, canvas, "wide")
    return canvas


#: The kinds of mark.
MARKS: dict[str, Callable[[np.random.Generator, int, int], Mask]] = {
    "text": KINDS["text"],
    "logo": KINDS["logo"],
    "tiled": KINDS["tiled"],
    "wide": _wide,
}


@dataclass(frozen=True)
class Subject:
    """One mark on one photo."""

    kind: str
    original: Pixels
    #: The painted mask; the task's hole is wider.
    mask: Pixels
    task: Task


def subjects(
    folder: Path, size: int, *, kinds: Sequence[str] = tuple(MARKS), photos: int | None = None, seed: int = 0
) -> Iterator[Subject]:
    """Every photo of ``folder`` at ``size`` px under a mark of each kind; ``photos`` limits them, evenly chosen."""
    every = load_photos(folder, longest=1 << 14)
    step = len(every) / min(photos or len(every), len(every))
    for index in sorted({int(place * step) for place in range(round(len(every) / step))}):
        original = square(every[index], size)
        for kind in kinds:
            mask = MARKS[kind](np.random.default_rng((seed, index, list(MARKS).index(kind))), size, size)
            if mask.any():
                task = read(png(marked(original, mask)), png(mask), limits=LIMITS)
                yield Subject(kind, original, mask, task)


def square(photo: Pixels, size: int) -> Pixels:
    """The central square of ``photo``, scaled to ``size``."""
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    piece = photo[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(piece, (size, size), interpolation=how), np.uint8)


def marked(original: Pixels, mask: Pixels) -> Pixels:
    """``original`` under a white mark of the shape of ``mask``."""
    alpha = OPACITY * (mask > 0)[..., None]
    return np.rint(original * (1 - alpha) + 255 * alpha).astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    return bytes(cv2.imencode(".png", stored)[1])

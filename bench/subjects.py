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


@dataclass(frozen=True)
class Look:
    """How a mark lies on the photo, and how a person painted over it."""

    opacity: float = OPACITY
    colour: tuple[int, int, int] = (255, 255, 255)
    #: Blur of its edges: a sigma in px.
    softness: float = 0.0
    #: Quality of the JPEG that the marked photo was saved as; ``None``: a PNG.
    quality: int | None = None
    #: The mask is painted this much wider than the mark, in px (under 0: tighter); up to this much where ``jagged``.
    wider: int = 0
    jagged: bool = False
    #: The mask lies this much to the right of the mark and below it, in px.
    beside: int = 0


LOOKS = {
    "exact": Look(),
    "soft": Look(softness=0.7, quality=85, wider=2),
    "faint": Look(opacity=0.2, softness=0.7, quality=90, wider=2),
    "dark": Look(opacity=0.4, colour=(0, 0, 0), softness=0.5, quality=90, wider=3),
    "dense": Look(opacity=0.7, softness=0.7, quality=80, wider=6),
    "careless": Look(softness=0.7, quality=85, wider=6, jagged=True),
    "edge": Look(softness=0.7, quality=85),
    "tight": Look(softness=0.7, quality=85, wider=-3, jagged=True),
    "loose": Look(softness=0.7, quality=85, wider=6),
    "beside": Look(softness=0.7, quality=85, beside=4),
    "far beside": Look(softness=0.7, quality=85, beside=6),
    "opaque edge": Look(opacity=1.0, colour=(200, 20, 30), softness=0.7, quality=85),
    "opaque": Look(opacity=1.0, colour=(200, 20, 30), softness=0.6, quality=90, wider=2),
}


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
    folder: Path,
    size: int,
    *,
    kinds: Sequence[str] = tuple(MARKS),
    photos: int | None = None,
    seed: int = 0,
    look: Look = LOOKS["exact"],
) -> Iterator[Subject]:
    """Every photo of ``folder`` at ``size`` px under a mark of each kind; ``photos`` limits them, evenly chosen."""
    every = load_photos(folder, longest=1 << 14)
    step = len(every) / min(photos or len(every), len(every))
    for index in sorted({int(place * step) for place in range(round(len(every) / step))}):
        original = square(every[index], size)
        for kind in kinds:
            mask = MARKS[kind](np.random.default_rng((seed, index, list(MARKS).index(kind))), size, size)
            drawn = painted(np.random.default_rng((seed, index)), mask, look)
            if drawn.any():
                picture = file_of(marked(original, mask, look), look)
                yield Subject(kind, original, mask, read(picture, png(drawn), limits=LIMITS, max_marked_share=1))


def square(photo: Pixels, size: int) -> Pixels:
    """The central square of ``photo``, scaled to ``size``."""
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    piece = photo[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(piece, (size, size), interpolation=how), np.uint8)


def marked(original: Pixels, mask: Pixels, look: Look = LOOKS["exact"]) -> Pixels:
    """``original`` under a mark of the shape of ``mask``."""
    alpha = look.opacity * (mask > 0)
    if look.softness:
        alpha = cv2.GaussianBlur(alpha, (0, 0), look.softness)
    return np.rint(original * (1 - alpha[..., None]) + np.array(look.colour) * alpha[..., None]).astype(np.uint8)


def painted(rng: np.random.Generator, mask: Pixels, look: Look) -> Pixels:
    """The mask as a person paints it over a mark of the shape of ``mask``."""
    if look.beside:
        moved = np.zeros_like(mask)
        moved[look.beside :, look.beside :] = mask[: -look.beside, : -look.beside]
        return moved
    if not look.wider:
        return mask
    outside, inside = (
        cv2.distanceTransform(np.where(flags, np.uint8(255), np.uint8(0)), cv2.DIST_L2, cv2.DIST_MASK_5)
        for flags in (mask == 0, mask > 0)
    )
    reach = np.full(mask.shape, look.wider, np.float32)
    if look.jagged:
        noise = cv2.GaussianBlur(rng.standard_normal(mask.shape).astype(np.float32), (0, 0), 4)
        reach *= (noise - noise.min()) / max(float(np.ptp(noise)), 1e-6)
    return np.where(outside - inside <= reach, np.uint8(255), np.uint8(0))


def file_of(pixels: Pixels, look: Look) -> bytes:
    """The marked photo as a file."""
    if look.quality is None:
        return png(pixels)
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, look.quality])[1])


def png(pixels: Pixels) -> bytes:
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    return bytes(cv2.imencode(".png", stored)[1])

"""Seeded masks that look like watermarks: text, tiled text, logos, free strokes.

The trainer, the benchmarks and the sample script share these marks. Every function takes a numpy ``Generator`` and
returns a *mask*: ``uint8 [H, W]``, 255 = repair, 0 = keep.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Mask = NDArray[np.uint8]
MaskMaker = Callable[[np.random.Generator, int, int], Mask]

_WORDS = ("SAMPLE", "preview", "PROOF", "shop", "studio", "Copyright", "DEMO", "catalogue", "stock", "photo", "www")
_HERSHEY = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _phrase(rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return " ".join(rng.choice(_WORDS) for _ in range(int(rng.integers(1, 3))))
    letters = rng.choice(list(string.ascii_letters + string.digits), size=int(rng.integers(3, 10)))
    return "".join(letters)


def _render_phrase(rng: np.random.Generator, height: int) -> Mask:
    """One phrase about ``height`` px tall, cut to its box. Filled or outlined, in one of several faces."""
    phrase = _phrase(rng)
    if rng.random() < 0.6:
        font = _font(max(8, height))
        outline = int(rng.integers(1, 4)) if rng.random() < 0.2 else 0
        left, top, right, bottom = font.getbbox(phrase, stroke_width=outline)
        picture = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4), 0)
        draw = ImageDraw.Draw(picture)
        draw.text(
            (2 - left, 2 - top), phrase, fill=0 if outline else 255, font=font, stroke_width=outline, stroke_fill=255
        )
        return np.asarray(picture).copy()
    face = int(rng.choice(_HERSHEY))
    thickness = max(1, int(height * rng.uniform(0.06, 0.16)))
    scale = cv2.getFontScaleFromHeight(face, max(6, int(height * 0.7)), thickness)
    (width, tall), baseline = cv2.getTextSize(phrase, face, scale, thickness)
    canvas = np.zeros((tall + baseline + 2 * thickness + 4, width + 2 * thickness + 4), np.uint8)
    cv2.putText(canvas, phrase, (thickness + 2, tall + thickness + 2), face, scale, 255, thickness, cv2.LINE_AA)
    return canvas


def _rotate(mark: Mask, degrees: float) -> Mask:
    h, w = mark.shape
    radians = np.deg2rad(degrees)
    cos, sin = abs(np.cos(radians)), abs(np.sin(radians))
    new_w, new_h = int(np.ceil(w * cos + h * sin)), int(np.ceil(w * sin + h * cos))
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
    matrix[:, 2] += (new_w / 2 - w / 2, new_h / 2 - h / 2)
    return np.asarray(cv2.warpAffine(mark, matrix, (new_w, new_h)), np.uint8)


def _stamp(canvas: Mask, mark: Mask, top: int, left: int) -> None:
    """Lay ``mark`` on ``canvas``, clipped at its borders."""
    h, w = canvas.shape
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + mark.shape[0], h), min(left + mark.shape[1], w)
    if y0 < y1 and x0 < x1:
        view = canvas[y0:y1, x0:x1]
        np.maximum(view, mark[y0 - top : y1 - top, x0 - left : x1 - left], out=view)


def _solid(canvas: Mask) -> Mask:
    return np.where(canvas > 64, np.uint8(255), np.uint8(0))


def text_mask(rng: np.random.Generator, height: int, width: int) -> Mask:
    """One to three phrases of thin text, at any angle but mostly level or on the diagonal."""
    canvas = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        mark = _render_phrase(rng, int(min(height, width) * rng.uniform(0.07, 0.2)))
        angle = float(rng.choice([0.0, rng.uniform(-45, 45), 30.0]))
        mark = _rotate(mark, angle)
        top = int(rng.integers(-mark.shape[0] // 3, max(1, height - mark.shape[0] // 2)))
        left = int(rng.integers(-mark.shape[1] // 3, max(1, width - mark.shape[1] // 2)))
        _stamp(canvas, mark, top, left)
    return _solid(canvas)


def tiled_mask(rng: np.random.Generator, height: int, width: int) -> Mask:
    """The same phrase over the whole picture on a slanted grid, as stock agencies do."""
    canvas = np.zeros((height, width), np.uint8)
    mark = _rotate(_render_phrase(rng, int(min(height, width) * rng.uniform(0.05, 0.09))), float(rng.uniform(-40, 40)))
    step_y = int(mark.shape[0] * rng.uniform(1.2, 1.8)) + 4
    step_x = int(mark.shape[1] * rng.uniform(1.1, 1.5)) + 4
    for row, top in enumerate(range(-mark.shape[0] // 2, height, step_y)):
        for left in range(-mark.shape[1] // 2 - (row % 2) * step_x // 2, width, step_x):
            _stamp(canvas, mark, top, left)
    return _solid(canvas)


def logo_mask(rng: np.random.Generator, height: int, width: int) -> Mask:
    """A ring, box or star outline with a letter in it: a mark of the size of a shop's logo."""
    size = int(min(height, width) * rng.uniform(0.18, 0.35))
    mark = np.zeros((size, size), np.uint8)
    line, middle, radius = max(2, size // 14), size // 2, int(size * 0.45)
    shape = int(rng.integers(0, 3))
    if shape == 0:
        cv2.circle(mark, (middle, middle), radius, 255, line, cv2.LINE_AA)
    elif shape == 1:
        cv2.rectangle(mark, (line, line), (size - line - 1, size - line - 1), 255, line)
    else:
        turns = np.arange(10) * np.pi / 5 - np.pi / 2
        reach = np.where(np.arange(10) % 2, radius * 0.5, radius)
        points = np.stack((middle + reach * np.cos(turns), middle + reach * np.sin(turns)), axis=1)
        cv2.polylines(mark, [points.astype(np.int32)], True, 255, line, cv2.LINE_AA)
    letter = _render_phrase(rng, size // 3)[:, : size - 2 * line]
    _stamp(mark, letter, middle - letter.shape[0] // 2, middle - letter.shape[1] // 2)
    mark = _rotate(mark, float(rng.uniform(-20, 20)))
    canvas = np.zeros((height, width), np.uint8)
    _stamp(
        canvas,
        mark,
        int(rng.integers(0, max(1, height - mark.shape[0]))),
        int(rng.integers(0, max(1, width - mark.shape[1]))),
    )
    return _solid(canvas)


def stroke_mask(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Free strokes, as a hand paints them (LaMa's irregular masks, section 2.2 of the paper)."""
    canvas = np.zeros((height, width), np.uint8)
    side = min(height, width)
    for _ in range(int(rng.integers(1, 5))):
        point = rng.uniform((0, 0), (width, height))
        angle = rng.uniform(0, 2 * np.pi)
        thickness = max(2, int(side * rng.uniform(0.012, 0.06)))
        for _ in range(int(rng.integers(2, 7))):
            angle += rng.uniform(-1.2, 1.2)
            reach = side * rng.uniform(0.08, 0.3)
            target = point + reach * np.array([np.cos(angle), np.sin(angle)])
            start, end = (int(point[0]), int(point[1])), (int(target[0]), int(target[1]))
            cv2.line(canvas, start, end, 255, thickness, cv2.LINE_AA)
            point = target
    return _solid(canvas)


KINDS: dict[str, MaskMaker] = {
    "text": text_mask,
    "logo": logo_mask,
    "tiled": tiled_mask,
    "stroke": stroke_mask,
}

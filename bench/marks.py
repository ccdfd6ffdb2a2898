"""Seeded marked pictures whose originals are known: the marks, the photos, and the blending of both.

Estimation and scoring draw from two folders without a common photo. Every draw depends on its seed alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
#: Marks are drawn larger by this factor and scaled down, for the soft edges of designers' tools.
_FINE = 4


@dataclass(frozen=True, eq=False)
class Mark:
    """Coverage in [0, 1] (``float32 [h, w]``) and colour of a mark; its opacity is coverage times ``alpha``."""

    coverage: Values
    #: ``float32 [h, w, 3]``, 0 to 255.
    colour: Values


def text(width: int, words: str = "SHOP EXAMPLE", ink: tuple[int, int, int] = (255, 255, 255)) -> Mark:
    """A line of letters."""
    font = ImageFont.load_default(max(10, round(width * _FINE / 6)))
    left, top, right, bottom = font.getbbox(words)
    canvas = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8), 0)
    ImageDraw.Draw(canvas).text((4 - left, 4 - top), words, fill=255, font=font)
    scale = width / canvas.width
    coverage = cv2.resize(
        np.asarray(canvas), (width, max(8, round(canvas.height * scale))), interpolation=cv2.INTER_AREA
    )
    return _solid(np.asarray(coverage, np.float32) / 255, ink)


def logo(width: int) -> Mark:
    """A disc in blue with a white ring and letter: two colours side by side."""
    side = width * _FINE
    disc, white = Image.new("L", (side, side), 0), Image.new("L", (side, side), 0)
    ImageDraw.Draw(disc).ellipse((2, 2, side - 3, side - 3), fill=255)
    pen = ImageDraw.Draw(white)
    inset = side // 10
    pen.ellipse((inset, inset, side - inset, side - inset), outline=255, width=side // 16)
    font = ImageFont.load_default(side // 2)
    pen.text((side / 2, side / 2), "R", fill=255, font=font, anchor="mm")
    reduced = [
        np.asarray(cv2.resize(np.asarray(part), (width, width), interpolation=cv2.INTER_AREA), np.float32) / 255
        for part in (disc, white)
    ]
    share = reduced[1][..., None]
    colour = share * np.float32(255) + (1 - share) * np.array((30, 70, 190), np.float32)
    return Mark(reduced[0], colour.astype(np.float32))


def plate(width: int) -> Mark:
    """A dark plate with light letters, as opaque marks look."""
    letters = text(round(width * 0.8), "shop.example", (240, 240, 240))
    height = letters.coverage.shape[0] * 2
    coverage, share = np.ones((height, width), np.float32), np.zeros((height, width), np.float32)
    top, left = height // 4, (width - letters.coverage.shape[1]) // 2
    share[top : top + letters.coverage.shape[0], left : left + letters.coverage.shape[1]] = letters.coverage
    colour = share[..., None] * np.float32(240) + (1 - share[..., None]) * np.array((60, 20, 40), np.float32)
    return Mark(coverage, colour.astype(np.float32))


def tile(width: int) -> Mark:
    """One period of a diagonal text pattern: staggered rows of slanted letters."""
    line = text(round(width * 0.62), "SAMPLE")
    pad = line.coverage.shape[1] // 3
    wide = np.pad(line.coverage, ((pad, pad), (4, 4)))
    middle = (wide.shape[1] / 2, wide.shape[0] / 2)
    slanted = cv2.warpAffine(wide, cv2.getRotationMatrix2D(middle, 30, 1), wide.shape[::-1], flags=cv2.INTER_CUBIC)
    slanted = np.asarray(slanted, np.float32).clip(0, 1)
    slanted[slanted < 0.02] = 0
    height = round(width * 0.72) // 2 * 2
    cell = np.zeros((height, width), np.float32)
    for top, left in ((0, 0), (height // 2, width // 2)):
        rows = (np.arange(slanted.shape[0]) + top)[:, None] % height
        columns = (np.arange(slanted.shape[1]) + left)[None, :] % width
        np.maximum.at(cell, (rows, columns), slanted)
    return _solid(cell, (255, 255, 255))


def _solid(coverage: Values, ink: tuple[int, int, int]) -> Mark:
    return Mark(coverage, np.broadcast_to(np.array(ink, np.float32), (*coverage.shape, 3)).copy())


@dataclass(frozen=True)
class Scene:
    """The marking of a set of pictures."""

    mark: Mark
    alpha: float
    #: ``None``: repeated over the whole picture, with another phase in each.
    anchor: tuple[float, float] | None = (0.5, 0.5)
    margin: int = 12
    sizes: tuple[tuple[int, int], ...] = ((480, 360),)
    quality: int | None = 85
    white: float = 0.0
    jitter: int = 0
    strength: float = 0.0
    #: Share of the pictures that carry the mark.
    marked: float = 1.0
    #: The picture width at which the mark has its size; ``None``: the mark does not scale.
    relative_to: int | None = None


@dataclass(frozen=True, eq=False)
class Marked:
    """One marked picture, its original, and the true opacity and colour of the mark."""

    given: Pixels
    file: bytes = field(repr=False)
    original: Pixels
    alpha: Values
    colour: Values
    coverage: Values
    #: ``.jpg`` or ``.png``.
    extension: str = ".jpg"


class Photos:
    """The photos of a folder; only their paths are held."""

    def __init__(self, folder: Path, keep: Callable[[str], bool] = lambda _: True) -> None:
        endings = {".jpg", ".jpeg", ".png", ".webp"}
        self.paths = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in endings and keep(p.name)]

    def draw(self, rng: np.random.Generator, count: int) -> list[Path]:
        """``count`` photos; some repeat only if the folder has fewer."""
        order: list[int] = []
        while len(order) < count:
            order += rng.permutation(len(self.paths)).tolist()
        return [self.paths[index] for index in order[:count]]


def crop(path: Path, width: int, height: int, rng: np.random.Generator) -> Pixels:
    """A random part of a photo with the given aspect, as large as fits, scaled to the given size."""
    pixels = cv2.cvtColor(np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)
    tall, wide = pixels.shape[:2]
    scale = max(width / wide, height / tall)
    part_w, part_h = min(wide, round(width / scale)), min(tall, round(height / scale))
    top, left = int(rng.integers(tall - part_h + 1)), int(rng.integers(wide - part_w + 1))
    part = pixels[top : top + part_h, left : left + part_w]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (width, height), interpolation=how), np.uint8)


def marked_set(scene: Scene, photos: list[Path], rng: np.random.Generator) -> list[Marked]:
    """A marked picture for each photo."""
    return [mark_photo(scene, path, rng) for path in photos]


def mark_photo(scene: Scene, path: Path, rng: np.random.Generator) -> Marked:
    """Blend the mark of ``scene`` over a crop of the photo."""
    width, height = scene.sizes[int(rng.integers(len(scene.sizes)))]
    original = crop(path, width, height, rng)
    if rng.random() < scene.white:
        # A product on white, away from the mark, so that the mark lies on white.
        product = original
        original = np.full_like(product, 255)
        tall, wide = (int(side * rng.uniform(0.2, 0.4)) for side in (height, width))
        top, left = int(rng.integers(0, round(height * 0.45) - tall)), int(rng.integers(0, width - wide))
        shape = np.zeros((height, width), np.uint8)
        cv2.ellipse(shape, ((left + wide / 2, top + tall / 2), (wide, tall), rng.uniform(0, 180)), 255, -1)
        original[shape > 0] = product[shape > 0]
    coverage, colour = placed(scene, width, height, rng)
    strength = 1 + float(rng.uniform(-scene.strength, scene.strength)) / max(scene.alpha, 1e-6)
    has_mark = rng.random() < scene.marked
    alpha = np.clip(coverage * scene.alpha * strength, 0, 1) if has_mark else np.zeros_like(coverage)
    blended = original * (1 - alpha[..., None]) + colour * alpha[..., None]
    given = np.rint(blended).astype(np.uint8)
    out = io.BytesIO()
    if scene.quality is None:
        Image.fromarray(given).save(out, "PNG")
        return Marked(given, out.getvalue(), original, alpha, colour, coverage, ".png")
    Image.fromarray(given).save(out, "JPEG", quality=scene.quality)
    with Image.open(out) as picture:
        return Marked(np.array(picture), out.getvalue(), original, alpha, colour, coverage)


def placed(scene: Scene, width: int, height: int, rng: np.random.Generator) -> tuple[Values, Values]:
    """Coverage and colour of the mark of ``scene`` in a picture of this size."""
    mark = scene.mark
    if scene.anchor is None:
        down, across = int(rng.integers(mark.coverage.shape[0])), int(rng.integers(mark.coverage.shape[1]))
        rows = (np.arange(height) + down)[:, None] % mark.coverage.shape[0]
        columns = (np.arange(width) + across)[None, :] % mark.coverage.shape[1]
        return mark.coverage[rows, columns], mark.colour[rows, columns]
    margin = scene.margin
    if scene.relative_to is not None:
        factor = width / scene.relative_to
        mark, margin = scaled(mark, factor), round(margin * factor)
    tall, wide = mark.coverage.shape
    top = _from(scene.anchor[1], height, tall, margin) + int(rng.integers(-scene.jitter, scene.jitter + 1))
    left = _from(scene.anchor[0], width, wide, margin) + int(rng.integers(-scene.jitter, scene.jitter + 1))
    coverage = np.zeros((height, width), np.float32)
    colour = np.zeros((height, width, 3), np.float32)
    coverage[top : top + tall, left : left + wide] = mark.coverage
    colour[top : top + tall, left : left + wide] = mark.colour
    return coverage, colour


def _from(share: float, whole: int, part: int, margin: int) -> int:
    return int(np.clip(share * (whole - part), margin, whole - part - margin))


def scaled(mark: Mark, factor: float) -> Mark:
    """The mark in another size."""
    size = max(4, round(mark.coverage.shape[1] * factor)), max(4, round(mark.coverage.shape[0] * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    coverage = np.asarray(cv2.resize(mark.coverage, size, interpolation=how), np.float32).clip(0, 1)
    colour = np.asarray(cv2.resize(mark.colour, size, interpolation=how), np.float32).clip(0, 255)
    return replace(mark, coverage=coverage, colour=colour)


MARKS: dict[str, Callable[[int], Mark]] = {"text": text, "logo": logo, "tiled": tile, "plate": plate}


def scene_of(kind: str, alpha: float, width: int = 480, **changes: Any) -> Scene:
    """The usual scene of a kind of mark on pictures ``width`` px wide."""
    share = {"text": 0.6, "logo": 0.2, "tiled": 0.42, "plate": 0.4}[kind]
    anchors: dict[str, tuple[float, float] | None] = {
        "text": (0.5, 0.6), "logo": (1, 1), "tiled": None, "plate": (0.5, 1),
    }  # fmt: skip
    scene = Scene(MARKS[kind](round(width * share)), alpha, anchors[kind])
    return replace(scene, **changes)

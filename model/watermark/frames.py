"""Frames: views of pictures of different sizes, at one of nine anchors, in pixels or scaled with the width.

In the right frame the mark lies at the same place in every picture. The gradients that the pictures share in the right
frame stand out from those in the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Scale = Literal["pixels", "width", "height", "shorter", "longer"]
Size = tuple[int, int]
#: A margin in shares of the sides, in the middle of those that shops use: near enough to find a mark by.
_MARGIN = 0.03
#: Sides that differ by less than this factor are one size, but for the anchor.
_LEVEL = 1.02

SCALES: tuple[Scale, ...] = ("pixels", "width", "height", "shorter", "longer")
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
#: The anchors by name, as shares of the height and of the width.
ANCHORS: dict[str, tuple[float, float]] = {
    f"{row}-{column}": (down, across)
    for (row, down), (column, across) in product(
        (("top", 0.0), ("middle", 0.5), ("bottom", 1.0)), (("left", 0.0), ("centre", 0.5), ("right", 1.0))
    )
}


def side(scale: Scale, size: tuple[float, float]) -> float:
    """The side of a picture (height, width) that a mark is scaled with; 1 for ``pixels``."""
    match scale:
        case "pixels":
            return 1.0
        case "width":
            return float(size[1])
        case "height":
            return float(size[0])
        case "shorter":
            return float(min(size))
        case "longer":
            return float(max(size))


@dataclass(frozen=True)
class Frame:
    """A view of ``height`` x ``width`` px, laid into each picture at its anchor."""

    height: int
    width: int
    anchor: str = "top-left"
    scale: Scale = "pixels"
    #: Height and width of the picture to which others are scaled first if the mark scales with them.
    reference: Size = (1, 1)
    #: Places of the view's own shares in the picture, instead of the anchor's: margins in shares of the sides.
    shares: tuple[float, float] | None = None

    def factor(self, size: Size) -> float:
        """Pixels of a picture of this size per pixel of the frame."""
        return side(self.scale, size) / side(self.scale, self.reference)

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Top and left of the view in a scaled picture of this size."""
        (down, across), (own_down, own_across) = self.shares or ANCHORS[self.anchor], ANCHORS[self.anchor]
        return int(down * height - own_down * self.height), int(across * width - own_across * self.width)

    def view(self, pixels: Pixels) -> Pixels:
        """``uint8 [height, width, 3]``; beyond the picture its border repeats."""
        factor = self.factor((pixels.shape[0], pixels.shape[1]))
        if abs(factor - 1) > 1e-6:
            pixels = resized(pixels, 1 / factor)
        top, left = self.corner(*pixels.shape[:2])
        bottom, right = top + self.height, left + self.width
        part = pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        missing = (max(-top, 0), max(bottom - pixels.shape[0], 0), max(-left, 0), max(right - pixels.shape[1], 0))
        if any(missing):
            return np.asarray(cv2.copyMakeBorder(np.ascontiguousarray(part), *missing, cv2.BORDER_REPLICATE), np.uint8)
        return part


def resized(pixels: Pixels, factor: float) -> Pixels:
    """``pixels`` scaled by ``factor``; shrinking averages areas."""
    size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def hypotheses(sizes: list[Size]) -> list[Frame]:
    """The candidate frames for pictures of these sizes (height, width)."""
    if len(set(sizes)) == 1:
        return [Frame(*sizes[0])]
    reference = int(np.median([height for height, _ in sizes])), int(np.median([width for _, width in sizes]))
    one_size = all(max(sides) <= _LEVEL * min(sides) for sides in zip(*sizes, strict=True))
    frames: list[Frame] = []
    seen: set[tuple[float, ...]] = set()
    for scale in ("pixels",) if one_size else SCALES:
        factors = tuple(round(side(scale, size) / side(scale, reference), 3) for size in sizes)
        # Scales that agree on all pictures are one scale.
        if factors in seen:
            continue
        seen.add(factors)
        scaled = [
            (round(height / factor), round(width / factor))
            for (height, width), factor in zip(sizes, factors, strict=True)
        ]
        heights, widths = {height for height, _ in scaled}, {width for _, width in scaled}
        rows, columns = (_places(names, len(sides) == 1) for names, sides in ((ROWS, heights), (COLUMNS, widths)))
        for (row, down), (column, across), margin in product(rows, columns, (0.0,) if one_size else (0.0, _MARGIN)):
            shares = down + margin * (1 - 2 * down), across + margin * (1 - 2 * across)
            frame = Frame(min(heights), min(widths), f"{row}-{column}", scale, reference, shares if margin else None)
            if not margin or shares != (down, across):
                frames.append(frame)
    return frames


def _places(names: tuple[str, str, str], level: bool) -> list[tuple[str, float]]:
    """Name and share of the anchors along one side; the first alone if the scaled pictures are equal along it."""
    return list(zip(names[:1], (0.0,), strict=True)) if level else list(zip(names, (0.0, 0.5, 1.0), strict=True))

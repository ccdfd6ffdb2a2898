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
Scale = Literal["pixels", "width", "height"]

#: The anchors by name, as shares of the height and of the width.
ANCHORS: dict[str, tuple[float, float]] = {
    f"{row}-{column}": (down, across)
    for (row, down), (column, across) in product(
        (("top", 0.0), ("middle", 0.5), ("bottom", 1.0)), (("left", 0.0), ("centre", 0.5), ("right", 1.0))
    )
}


@dataclass(frozen=True)
class Frame:
    """A view of ``height`` x ``width`` px, laid into each picture at its anchor."""

    height: int
    width: int
    anchor: str = "top-left"
    scale: Scale = "pixels"
    #: Width to which pictures are scaled first if the mark scales with them; ``None``: no scaling.
    reference_width: int = 0

    def factor(self, picture_width: int) -> float:
        """Pixels of the picture per pixel of the frame."""
        return picture_width / self.reference_width if self.scale == "width" else 1.0

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Top and left of the view in a scaled picture of this size."""
        down, across = ANCHORS[self.anchor]
        return int(down * (height - self.height)), int(across * (width - self.width))

    def view(self, pixels: Pixels) -> Pixels:
        """``uint8 [height, width, 3]``; beyond the picture its border repeats."""
        if self.scale == "width" and pixels.shape[1] != self.reference_width:
            pixels = resized(pixels, self.reference_width / pixels.shape[1])
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


def hypotheses(sizes: list[tuple[int, int]]) -> list[Frame]:
    """The candidate frames for pictures of these sizes (height, width)."""
    low, narrow = min(height for height, _ in sizes), min(width for _, width in sizes)
    if len(set(sizes)) == 1:
        return [Frame(low, narrow)]
    fixed = [Frame(low, narrow, anchor) for anchor in ANCHORS]
    reference = int(np.median([width for _, width in sizes]))
    if len({width for _, width in sizes}) == 1:
        return fixed
    scaled_low = min(round(height * reference / width) for height, width in sizes)
    # With all widths scaled to one width, left, centre and right are the same.
    rows = ("top-left", "middle-left", "bottom-left")
    relative = [Frame(scaled_low, reference, anchor, "width", reference) for anchor in rows]
    return fixed + relative

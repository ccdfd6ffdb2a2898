"""Places one mask on pictures of many shapes.

A mark keeps its distance to an anchor (a corner, a side, the centre), and may scale with one side of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.uint8]
Anchor = Literal["top_left", "top", "top_right", "left", "center", "right", "bottom_left", "bottom", "bottom_right"]
Scale = Literal["none", "width", "height", "shorter", "longer"]


@dataclass(frozen=True)
class Placement:
    """The rule that places a mask of one picture on others."""

    anchor: Anchor
    scale: Scale = "none"

    def factor(self, own: tuple[int, int], picture: tuple[int, int]) -> float:
        """Size of the mark on ``picture`` over its size on its ``own`` picture; both are width and height."""
        match self.scale:
            case "width":
                return picture[0] / own[0]
            case "height":
                return picture[1] / own[1]
            case "shorter":
                return min(picture) / min(own)
            case "longer":
                return max(picture) / max(own)
            case "none":
                return 1.0


def place(mask: Mask, placement: Placement, *, width: int, height: int) -> Mask:
    """``mask`` (``uint8 [H, W]``, of the picture it was drawn on) as ``uint8 [height, width]`` for another picture.

    The mask's anchor moves to the picture's anchor; parts beyond the picture are cut off.
    """
    own = (mask.shape[1], mask.shape[0])
    factor = placement.factor(own, (width, height))
    if factor < 1:
        # Shrunk first, with a support that grows with the reduction: thin strokes must not fall between the samples.
        own = (max(1, round(own[0] * factor)), max(1, round(own[1] * factor)))
        mask = np.asarray(Image.fromarray(mask).resize(own, Image.Resampling.BILINEAR), np.uint8)
        factor = 1.0
    left = (width - own[0] * factor) * _share(placement.anchor, "left", "right")
    top = (height - own[1] * factor) * _share(placement.anchor, "top", "bottom")
    if factor == 1:
        left, top = round(left), round(top)
    grown = Image.fromarray(mask).transform(
        (width, height),
        Image.Transform.AFFINE,
        (1 / factor, 0, -left / factor, 0, 1 / factor, -top / factor),
        Image.Resampling.NEAREST if factor == 1 else Image.Resampling.BILINEAR,
    )
    return np.array(grown, np.uint8)


def _share(anchor: str, near: str, far: str) -> float:
    """Share of the remaining space that lies before the mark."""
    return 0.0 if near in anchor else 1.0 if far in anchor else 0.5

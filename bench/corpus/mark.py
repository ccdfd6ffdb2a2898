"""The mark of the corpus: an address in translucent letters, and its mask.

In a corner it takes a quarter of the picture's width, as shops sign their photos; ``across`` takes nearly all of it.
"""

from __future__ import annotations

import io
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.uint8]
Place = Literal["corner", "across"]
PLACES: tuple[Place, ...] = get_args(Place)

TEXT, FONT = "SHOP.EXAMPLE", cv2.FONT_HERSHEY_SIMPLEX
OPACITY = 0.5
#: Widths of the letters, and of the margin in the corner, as shares of the picture's width.
WIDE: dict[Place, float] = {"corner": 0.25, "across": 0.85}
MARGIN = 0.03


def letters(width: int, height: int, place: Place) -> Mask:
    """``uint8 [height, width]``: 255 in the letters, less on their smooth edges."""
    drawn = np.zeros((height, width), np.uint8)
    (plain, _), _ = cv2.getTextSize(TEXT, FONT, 1, 3)
    scale = WIDE[place] * width / plain
    thickness = max(1, round(3 * scale))
    (wide, _), _ = cv2.getTextSize(TEXT, FONT, scale, thickness)
    margin = round(MARGIN * width)
    left, base = (width - wide - margin, height - margin) if place == "corner" else (width // 10, height * 3 // 4)
    cv2.putText(drawn, TEXT, (left, base), FONT, scale, 255, thickness, cv2.LINE_AA)
    return drawn


def signed(photo: Image.Image, drawn: Mask) -> Image.Image:
    """``photo`` (RGB) with the letters ``drawn`` on it: white on dark ground, black on light."""
    pixels = np.array(photo, np.float32)
    under = pixels[drawn > 0]
    ink = 255 if under.size and under.mean() < 128 else 0
    alpha = OPACITY / 255 * drawn[..., None]
    return Image.fromarray(np.rint(pixels * (1 - alpha) + ink * alpha).astype(np.uint8))


def png(drawn: Mask) -> bytes:
    """The mask of all pixels that the letters touch, as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(drawn).point(lambda value: 255 if value else 0).save(out, "PNG")
    return out.getvalue()

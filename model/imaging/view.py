"""A view of a picture that every browser can show: its first page, reduced, as WebP; made by Pillow alone, for the API.

People look at it and paint on it: 16 bits are reduced to their upper 8, and inks get a plain conversion.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.errors import ImageRejected
from model.imaging.probing import Limits, check_sound, facts, load, opened, orientation

#: Pixels of a view, and its longest side: WebP takes no more than 16,383.
MOST_PIXELS, LONGEST_SIDE = 4_000_000, 16_000
_QUALITY = 85
#: Modes whose pixels may be averaged as they are.
_REDUCED = frozenset({"L", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class View:
    """A view's file, and the size in pixels of the picture, in the viewing orientation."""

    data: bytes
    width: int
    height: int
    content_type: str = "image/webp"


def view(data: bytes, limits: Limits) -> View:
    """The view of a picture's file. Raises ImageRejected."""
    with opened(data, limits, ImageRejected, "image") as image:
        header, turn = facts(data, image, ImageRejected, "image"), orientation(data, image)
        check_sound(data, image, ImageRejected, "image")
        width, height = image.size
        scale = min(1.0, math.sqrt(MOST_PIXELS / (width * height)), LONGEST_SIDE / max(width, height))
        size = max(1, int(width * scale)), max(1, int(height * scale))
        # A JPEG is decoded in a half, a quarter or an eighth of its size.
        image.draft(None, size)
        load(image, ImageRejected, "image")
        profile = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA"} else None
        # Reduced before its colours are converted, so that the whole is not held twice.
        factor = min(image.width // size[0], image.height // size[1]) // 2
        seen = _eight_bits(image.reduce(factor) if factor > 1 and image.mode in _REDUCED else image)
        if seen.size != size:
            seen = seen.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
        if turn in _TURNS:
            seen = seen.transpose(_TURNS[turn])
    file = io.BytesIO()
    seen.save(file, "WEBP", quality=_QUALITY, method=2, icc_profile=profile)
    return View(file.getvalue(), header.width, header.height)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The picture in RGB, or RGBA if it has alpha."""
    if image.mode.startswith("I"):
        samples = np.asarray(image)
        image = Image.fromarray(np.clip(samples >> 8, 0, 255).astype(np.uint8))
    alpha = image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info
    return image.convert("RGBA" if alpha else "RGB")

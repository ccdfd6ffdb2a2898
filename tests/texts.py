"""Pictures with text: a translucent mark, and print on products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.catalogue import picture
from tests.running import REPOSITORY

Pixels = NDArray[np.uint8]

HEIGHT, WIDTH = 420, 560


def letters(text: str, size: int = 34) -> NDArray[np.float32]:
    """A line of Latin letters as coverage in [0, 1]."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    drawn = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(drawn).text((2 - left, 2 - top), text, fill=255, font=font)
    return np.asarray(drawn, np.float32) / 255


def chinese() -> NDArray[np.float32]:
    """ "样品图片" (sample picture), drawn once so that no font is needed."""
    with Image.open(REPOSITORY / "tests" / "data" / "chinese-mark.png") as drawn:
        return np.asarray(drawn.convert("L"), np.float32) / 255


def laid(
    ground: Pixels,
    line: NDArray[np.float32],
    place: tuple[float, float],
    *,
    opacity: float = 0.6,
    ink: tuple[int, int, int] = (255, 255, 255),
) -> tuple[Pixels, NDArray[np.bool_]]:
    """``ground`` with a line centred at ``place`` (shares of width and height), and the pixels of its ink."""
    height, width = line.shape
    left, top = round(place[0] * ground.shape[1] - width / 2), round(place[1] * ground.shape[0] - height / 2)
    covered = np.zeros(ground.shape[:2], np.float32)
    covered[top : top + height, left : left + width] = line
    share = covered[..., None] * np.float32(opacity)
    return np.rint(ground * (1 - share) + np.array(ink, np.float32) * share).astype(np.uint8), covered > 0.25


def goods(seed: int = 1) -> Pixels:
    """A picture of a product without text."""
    return (picture(seed, HEIGHT, WIDTH) * 0.6).astype(np.uint8)


def printed(seed: int = 1) -> Pixels:
    """A product with a word printed on its upper half."""
    return laid(goods(seed), letters("BASKETBALL", 40), (0.5, 0.3), opacity=1, ink=(250, 240, 120))[0]

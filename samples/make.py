"""Makes the sample job: a few photos under a translucent text mark, the masks, and the originals for comparison.

Run as ``python samples/make.py FOLDER_OF_PHOTOS``. The same folder and seed give the same pixels.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TEXT = "SAMPLE SHOP"
#: Opacity of the white letters, and of the thin dark line around them.
LETTER_OPACITY = 0.5
OUTLINE_OPACITY = 0.3
#: The mark is drawn this many times larger and scaled down, for smooth edges.
OVERSAMPLING = 4


@dataclass(frozen=True)
class Placement:
    """Place of a mark: centre and text width as shares of the picture, angle in degrees counter-clockwise."""

    x: float
    y: float
    width: float
    angle: float


def place(rng: random.Random) -> Placement:
    """A placement as shops use them: across the middle or along an edge, level or diagonal."""
    angle = rng.choice((0.0, 0.0, 30.0, -30.0, 45.0))
    return Placement(
        x=rng.uniform(0.45, 0.55),
        y=rng.choice((0.3, 0.5, 0.8)) if angle == 0.0 else rng.uniform(0.45, 0.55),
        width=rng.uniform(0.6, 0.8),
        angle=angle,
    )


def coverage(size: tuple[int, int], placement: Placement, *, outline_px: int) -> NDArray[np.float64]:
    """Share of each pixel that the letters cover, with their outline if ``outline_px`` > 0: float [H, W] in [0, 1]."""
    width, height = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
    font = ImageFont.load_default(100)
    font = ImageFont.load_default(100 * placement.width * width / font.getlength(TEXT))
    centre = (placement.x * width, placement.y * height)
    layer = Image.new("L", (width, height))
    ImageDraw.Draw(layer).text(
        centre, TEXT, fill=255, font=font, anchor="mm", stroke_width=outline_px * OVERSAMPLING, stroke_fill=255
    )
    layer = layer.rotate(placement.angle, resample=Image.Resampling.BICUBIC, center=centre)
    return np.asarray(layer.resize(size, Image.Resampling.BOX), dtype=np.float64) / 255


def mark(photo: NDArray[np.uint8], placement: Placement) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The photo (uint8 [H, W, 3], sRGB) under the mark, and the mark's mask (uint8 [H, W], 255 where it is visible)."""
    size = (photo.shape[1], photo.shape[0])
    letters = coverage(size, placement, outline_px=0)
    outline = np.clip(coverage(size, placement, outline_px=1) - letters, 0, 1)
    white, black = (letters * LETTER_OPACITY)[..., None], (outline * OUTLINE_OPACITY)[..., None]
    marked = np.rint(photo * (1 - white - black) + 255 * white).astype(np.uint8)
    mask = np.where((white + black)[..., 0] > 0, 255, 0).astype(np.uint8)
    return marked, mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder with photos")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder for marked/, masks/ and originals/"
    )
    parser.add_argument("--count", type=int, default=6, help="number of photos, drawn by the seed")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    rng = random.Random(arguments.seed)
    paths = sorted(path for path in arguments.photos.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if len(paths) < arguments.count:
        parser.error(f"{arguments.photos} holds {len(paths)} photos; {arguments.count} are needed")
    for path in sorted(rng.sample(paths, arguments.count)):
        with Image.open(path) as opened:
            photo = np.asarray(opened.convert("RGB"))
        marked, mask = mark(photo, place(rng))
        for folder, pixels in (("originals", photo), ("marked", marked), ("masks", mask)):
            target = arguments.out / folder / f"{path.stem}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target, optimize=True)


if __name__ == "__main__":
    main()

"""Text marks on photos whose originals are known: the share found, false detections, and time.

Run: ``python -m bench.text_marks PHOTOS --font FONT [FONT ...]``; ``--chinese`` names a font with Chinese characters.
Photos are cropped to 1200x1600. All of them carry a print that is not the mark, as garments do. The search also runs on
the same photos with the print alone. Any text found there is an error, and so is a mask that reaches into the print.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.marks import Photos, crop
from model.imaging import Limits
from model.text.files import TextMarks, find
from model.text.reading import TextReader
from model.text.wanted import Wanted

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT = 1200, 1600
LIMITS = Limits(max_bytes=10**9, max_pixels=10**9)
LATIN = ("© Doe Shirts", "shop.example", "www.doe-shirts.example", "Doe & Daughters 2024", "PREVIEW ONLY")
CHINESE = ("样品图片", "版权所有 翻版必究", "示例商店")
#: Texts printed on the products.
PRINTS = ("RUN FASTER", "Brooklyn 1898", "SUMMER CLUB", "Original Denim")
INKS = ((255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 30, 30))
#: The means that tell the mark from other text: its wording, or its place.
WAYS = ("text", "place")
#: The share of a mark's ink that its mask must cover to count as found.
COVERED = 0.9


@dataclass(frozen=True, eq=False)
class Drawn:
    """A photo with a print and a mark; ``ink`` and ``printed`` are the pixels of the mark and of the print."""

    file: bytes
    original: bytes
    ink: NDArray[np.bool_]
    printed: NDArray[np.bool_]
    text: str
    alpha: float
    #: Middle of the mark, as shares of the picture.
    middle: tuple[float, float]


def drawn(photo: Path, rng: np.random.Generator, fonts: list[Path], chinese: Path | None) -> Drawn:
    """A mark of a random text, font, size (28 to 110 px), ink and opacity (.3 to .95), one in three of them slanted."""
    original = crop(photo, WIDTH, HEIGHT, rng)
    foreign = chinese is not None and rng.random() < 0.3
    text = str(rng.choice(CHINESE if foreign else LATIN))
    name = chinese if foreign and chinese is not None else fonts[int(rng.integers(len(fonts)))]
    font = ImageFont.truetype(str(name), int(rng.integers(28, 110)))
    left, top, right, bottom = font.getbbox(text)
    line = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8))
    ImageDraw.Draw(line).text((4 - left, 4 - top), text, fill=255, font=font)
    line = line.rotate(float(rng.choice((0, 0, 0, 0, 30, -20))), expand=True, resample=Image.Resampling.BICUBIC)
    if line.width > WIDTH - 40:
        line = line.resize((WIDTH - 40, round(line.height * (WIDTH - 40) / line.width)))
    printed = _print(rng, fonts)
    original = np.where(printed[..., None] > 0.5, np.array(INKS[int(rng.integers(2))], np.uint8), original)
    coverage = _laid(line, rng)
    while (cv2.dilate(coverage, np.ones((61, 61), np.uint8)) > 0)[printed > 0].any():
        coverage = _laid(line, rng)
    rows, columns = np.flatnonzero(coverage.any(axis=1)), np.flatnonzero(coverage.any(axis=0))
    alpha, ink = float(rng.uniform(0.3, 0.95)), INKS[int(rng.integers(len(INKS)))]
    share = coverage[..., None] * np.float32(alpha)
    marked = np.rint(original * (1 - share) + np.array(ink, np.float32) * share).astype(np.uint8)
    middle = (float(columns[0] + columns[-1]) / 2 / WIDTH, float(rows[0] + rows[-1]) / 2 / HEIGHT)
    return Drawn(_jpeg(marked), _jpeg(original), coverage > 0.25, printed > 0.25, text, alpha, middle)


def _print(rng: np.random.Generator, fonts: list[Path]) -> NDArray[np.float32]:
    """Coverage of a print: large letters across the middle of the picture."""
    font = ImageFont.truetype(str(fonts[int(rng.integers(len(fonts)))]), int(rng.integers(70, 120)))
    canvas = Image.new("L", (WIDTH, HEIGHT))
    middle = WIDTH / 2 + float(rng.uniform(-80, 80)), HEIGHT / 2 + float(rng.uniform(-250, 250))
    ImageDraw.Draw(canvas).text(middle, PRINTS[int(rng.integers(len(PRINTS)))], fill=255, font=font, anchor="mm")
    return np.asarray(canvas, np.float32) / 255


def _laid(line: Image.Image, rng: np.random.Generator) -> NDArray[np.float32]:
    """Coverage of a mark somewhere in the picture."""
    y, x = int(rng.integers(10, HEIGHT - line.height - 10)), int(rng.integers(10, WIDTH - line.width - 10))
    coverage = np.zeros((HEIGHT, WIDTH), np.float32)
    coverage[y : y + line.height, x : x + line.width] = np.asarray(line, np.float32) / 255
    return coverage


def _jpeg(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=88)
    return out.getvalue()


def _covered(marks: TextMarks, ink: NDArray[np.bool_]) -> bool:
    return marks.task is not None and float((marks.task.hole > 0)[ink].mean()) >= COVERED


def _printed(marks: TextMarks, printed: NDArray[np.bool_]) -> bool:
    return marks.task is not None and bool((marks.task.hole > 0)[printed].any())


def measure(pictures: Iterable[Drawn], reader: TextReader) -> Iterator[dict[str, float | int]]:
    """Search each picture by text and by place, and yield the totals after each picture.

    The totals count marks found, prints touched and unmarked pictures touched, and give the median milliseconds of a
    marked picture.
    """
    counts = dict.fromkeys(
        (f"{count}by_{way}" for count in ("", "print_touched_", "clean_touched_") for way in WAYS), 0
    )
    seconds: list[float] = []
    for number, picture in enumerate(pictures, 1):
        x, y = picture.middle
        text, place = Wanted((picture.text,)), Wanted(areas=((x - 0.1, y - 0.05, x + 0.1, y + 0.05),))
        for way, wanted in zip(WAYS, (text, place), strict=True):
            begun = time.perf_counter()
            result = find(picture.file, wanted, reader, limits=LIMITS)
            if way == "text":
                seconds.append(time.perf_counter() - begun)
            counts[f"by_{way}"] += _covered(result, picture.ink)
            counts[f"print_touched_by_{way}"] += _printed(result, picture.printed)
            bare = find(picture.original, wanted, reader, limits=LIMITS)
            counts[f"clean_touched_by_{way}"] += bare.task is not None
        yield {"pictures": number, **counts, "median_ms": round(1000 * statistics.median(seconds))}


def main() -> None:
    """Draw the pictures, find the marks, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--font", type=Path, nargs="+", required=True)
    parser.add_argument("--chinese", type=Path)
    parser.add_argument("--count", type=int, default=42)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    photos = Photos(options.photos).draw(rng, options.count)
    reader = TextReader(options.threads)
    pictures = (drawn(photo, rng, options.font, options.chinese) for photo in photos)
    for figures in measure(pictures, reader):
        report = {"seed": options.seed, "threads": options.threads, **figures}
        print(json.dumps(report), flush=True)
        if options.out is not None:
            options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

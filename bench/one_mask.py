"""One painted mask for many pictures: filled, recovered picture by picture, and with the mark learned from them.

    python -m bench.one_mask PHOTOS [--kinds KIND…] [--count 30] [--shift 1] [--out FILE.json]

Photos of 480x596 px carry one mark at one place between pixels, saved as JPEG 88, under one mask that is painted 3 px
too wide (``rect``: a rectangle). Half of the pictures tell the mark; all are scored, those that told it and the others
apart. PSNR in dB in the mark; "worst" is the least gain over the other way on one picture.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.catalogue import coloured, outlined, psnr, shaded, shadowed
from bench.marks import Mark, logo, text
from bench.subjects import LIMITS, Pixels, png
from model.engine.inpainter import LaMaInpainter
from model.repair.recovery import Recovery
from model.repair.task import Task, composite, read
from model.watermark.learned import learn, recovered_by, sample_of
from model.watermark.template import Template

HIGH, WIDE, QUALITY, WIDER = 596, 480, 88, 3
#: Mark, opacity, and whether it is painted over by a rectangle.
KINDS: dict[str, tuple[Mark, float, bool]] = {
    "white text .45": (text(220), 0.45, False),
    "the same, rectangle": (text(220), 0.45, True),
    "white text .2": (text(200), 0.2, False),
    "dark text .35": (coloured(text(220), (20, 20, 20)), 0.35, False),
    "red text .5": (coloured(text(200), (220, 30, 40)), 0.5, False),
    "outlined .5": (outlined(220), 0.5, False),
    "shadowed .6": (shadowed(200), 0.6, False),
    "disc .5": (logo(90), 0.5, False),
    "shaded badge .6, rectangle": (shaded(120), 0.6, True),
    "opaque disc": (logo(90), 1.0, False),
}


@dataclass
class Row:
    """The figures of one kind: PSNR by way, one value a picture."""

    learned: bool = False
    used: int = 0
    learn_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=lambda: {"alone": 0.0, "learned": 0.0})
    psnr: dict[str, list[float]] = field(default_factory=lambda: {"fill": [], "alone": [], "learned": []})
    #: Of the pictures that did not tell the mark.
    others: list[bool] = field(default_factory=list)

    def mean(self, way: str, *, others: bool | None = None) -> float:
        some = [value for value, other in zip(self.psnr[way], self.others, strict=True) if others in (None, other)]
        return float(np.mean(some))

    def worst(self, way: str, other: str) -> float:
        return min(a - b for a, b in zip(self.psnr[way], self.psnr[other], strict=True))


def subjects(photos: list[Path], kind: str) -> Iterator[tuple[Task, Pixels, NDArray[np.bool_]]]:
    """Each photo's repair, the photo itself, and where the mark lies."""
    mark, opacity, rectangle = KINDS[kind]
    tall, wide = mark.coverage.shape
    top, left = (HIGH - tall) // 2 + 30, (WIDE - wide) // 2 - 10
    alpha, colour = np.zeros((HIGH, WIDE), np.float32), np.zeros((HIGH, WIDE, 3), np.float32)
    colour[:] = mark.colour.reshape(-1, 3).mean(axis=0)
    alpha[top : top + tall, left : left + wide] = mark.coverage * opacity
    colour[top : top + tall, left : left + wide] = mark.colour
    between = np.array([[1, 0, 0.3], [0, 1, 0.4]], np.float32)
    alpha, colour = (cv2.warpAffine(one, between, (WIDE, HIGH)) for one in (alpha, colour))
    zone = alpha > 0.02
    mask = cv2.dilate(np.where(zone, np.uint8(255), np.uint8(0)), np.ones((2 * WIDER + 1,) * 2, np.uint8))
    if rectangle:
        x, y, width, height = cv2.boundingRect(mask)
        mask[y : y + height, x : x + width] = 255
    for photo in photos:
        with Image.open(photo) as picture:
            original = np.asarray(picture.convert("RGB").resize((WIDE, HIGH), Image.Resampling.LANCZOS), np.uint8)
        given = np.rint((original * (1 - alpha[..., None]) + colour * alpha[..., None]).clip(0, 255)).astype(np.uint8)
        stored = cv2.imencode(".jpg", given[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        yield read(stored, png(mask), limits=LIMITS), original, zone


def measured(photos: list[Path], kind: str, inpainter: LaMaInpainter) -> Row:
    row, every = Row(), list(subjects(photos, kind))
    began = time.process_time()
    samples = [sample_of(task.picture.pixels, _painted(task)) for task, _, _ in every[::2]]
    template = learn([sample for sample in samples if sample is not None])
    row.learned, row.learn_s = template is not None, time.process_time() - began
    for number, (task, original, zone) in enumerate(every):
        filled = composite(task, inpainter.fill(task, lambda _: None))
        alone, learned = (_timed(row, way, one, task, filled) for way, one in (("alone", None), ("learned", template)))
        row.used += learned.learned_from > 0
        row.others.append(number % 2 == 1)
        for way, pixels in (("fill", filled), ("alone", alone.pixels), ("learned", learned.pixels)):
            row.psnr[way].append(psnr(pixels, original, zone))
    return row


def _painted(task: Task) -> Pixels:
    assert task.painted is not None
    return task.painted


def _timed(row: Row, way: str, template: Template | None, task: Task, filled: Pixels) -> Recovery:
    began = time.process_time()
    recovery = recovered_by(template, task, filled)
    row.seconds[way] += time.process_time() - began
    return recovery


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--count", type=int, default=30, help="photos, evenly chosen (default: 30)")
    parser.add_argument("--shift", type=int, default=0, help="take the photos this many places further on")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    files = sorted(path for path in options.photos.iterdir() if path.suffix in {".jpg", ".png", ".webp"})
    photos = files[options.shift :: max(len(files) // options.count, 1)][: options.count]
    inpainter = LaMaInpainter(device="cpu", threads=1)
    table = Table("mark", "learned", "used", "fill", "alone", "learned: told it", "others", "worst to fill",
                  "worst to alone", "s to learn", "ms alone", "ms learned")  # fmt: skip
    report: dict[str, Any] = {}
    for kind in options.kinds:
        row = measured(photos, kind, inpainter)
        each = {way: 1000 * seconds / len(photos) for way, seconds in row.seconds.items()}
        cells = (
            row.mean("fill"), row.mean("alone"), row.mean("learned", others=False), row.mean("learned", others=True),
            row.worst("learned", "fill"), row.worst("learned", "alone"), row.learn_s,
        )  # fmt: skip
        ms = (f"{each[way]:.0f}" for way in ("alone", "learned"))
        table.add_row(kind, str(row.learned), f"{row.used} of {len(photos)}", *(f"{cell:.1f}" for cell in cells), *ms)
        report[kind] = {"learned": row.learned, "used": row.used, "psnr": row.psnr, "learn_s": row.learn_s, "ms": each}
        if options.out:
            options.out.write_text(json.dumps(report, indent=1) + "\n")
    Console(width=150).print(table)


if __name__ == "__main__":
    main()

"""A contact sheet of textures at full size under opaque text or wide strokes and boxes, repaired by several methods.

    python -m bench.texture_sheet SHEET.jpg "knit=knit.jpg@120,90" "planks=planks.jpg@300,200" … [--mark wide] [--migan]

Each row is a square of a photo, cut at its own resolution with its upper left corner at the given place (left, top, in
px); an opaque mark lies over it, and every method gets the marked picture and the same hole. It prints what a method
loses in each row: PSNR in dB in the mark, and the detail that it leaves there over the original's.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.methods import Method, classical, fetch_migan, migan
from bench.metrics import detail_ratio, masked_psnr
from bench.product_sheet import caption
from bench.subjects import LIMITS, LOOKS, MARKS, Pixels, file_of, marked, painted, png
from model.engine.inpainter import LaMaInpainter
from model.repair.task import Task, read

#: Side of a square, in px.
SIDE = 240
LOOK = LOOKS["opaque"]


def square(place: str) -> tuple[str, Pixels]:
    """The name and the pixels of ``NAME=PHOTO@LEFT,TOP``."""
    name, rest = place.split("=", 1)
    photo, corner = rest.rsplit("@", 1)
    left, top = (int(part) for part in corner.split(","))
    with Image.open(photo) as picture:
        pixels = np.asarray(picture.convert("RGB").crop((left, top, left + SIDE, top + SIDE)), np.uint8)
    return name, pixels


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("places", nargs="+", metavar="NAME=PHOTO@LEFT,TOP")
    parser.add_argument("--mark", choices=MARKS, default="text", help="what lies over the squares (default: text)")
    parser.add_argument("--migan", action="store_true", help="fetch MI-GAN by npm and show it (extra `bench`)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    inpainter = LaMaInpainter(device="cpu")

    def filled(texture: float) -> Method:
        return lambda task: inpainter.run(replace(task, method="fill", texture=texture), lambda _: None)

    methods: dict[str, Method] = {"Telea": classical(cv2.INPAINT_TELEA)}
    if options.migan:
        methods["MI-GAN"] = migan(fetch_migan())
    methods |= {"without texture": filled(0.0), "cleanplate": filled(1.0)}
    table = Table("ground", *(f"{name}: dB / detail" for name in methods))
    rows = [np.hstack([caption(name, SIDE) for name in ("original", "marked", *methods)])]
    for number, place in enumerate(options.places):
        name, original = square(place)
        rng = np.random.default_rng((options.seed, number))
        mask = MARKS[options.mark](rng, SIDE, SIDE)
        picture, drawn = file_of(marked(original, mask, LOOK), LOOK), painted(rng, mask, LOOK)
        task: Task = read(picture, png(drawn), limits=LIMITS, max_marked_share=1)
        results = [method(task) for method in methods.values()]
        table.add_row(name, *(f"{masked_psnr(one, original, mask):.1f} / {detail_ratio(one, original, mask):.2f}"
                              for one in results))  # fmt: skip
        rows.append(np.hstack([original, task.picture.pixels, *results]))
    Image.fromarray(np.vstack(rows)).save(options.sheet, quality=85)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()

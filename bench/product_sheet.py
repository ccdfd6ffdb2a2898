"""A contact sheet: a product picture of 1200x1600 under a tiled mark, repaired by several networks.

    python -m bench.product_sheet PHOTO NETWORKS SHEET.jpg

NETWORKS is the folder of networks of one budget that ``bench.ablation train`` wrote; each sees the whole picture in one
pass. Telea's method and the shipped network stand beside them. The upper row shows the reduced pictures, the lower row
a detail of each.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.ablation import read_networks
from bench.methods import Method, classical, whole_picture
from bench.metrics import masked_psnr
from bench.subjects import LIMITS, Pixels, marked, png
from model.engine.inpainter import LaMaInpainter
from model.repair.task import read
from model.training.masks import KINDS

WIDTH, HEIGHT = 1200, 1600
#: Width of the reduced picture and of the detail, in px; the detail is cut from the middle.
SHOWN, CAPTION = 300, 22
PEERS = ("DeepFill v2", "LaMa without FFC", "LaMa")


def upright(photo: Path) -> Pixels:
    """``photo`` cut to 3:4 and scaled to 1200x1600."""
    with Image.open(photo) as picture:
        pixels = np.array(picture.convert("RGB"), np.uint8)
    height, width = pixels.shape[:2]
    wide, tall = min(width, height * WIDTH // HEIGHT), min(height, width * HEIGHT // WIDTH)
    top, left = (height - tall) // 2, (width - wide) // 2
    piece = pixels[top : top + tall, left : left + wide]
    return np.asarray(cv2.resize(piece, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def caption(name: str, width: int) -> Pixels:
    """``name`` on a white strip, ``width`` px wide."""
    picture = Image.new("RGB", (width, CAPTION), "white")
    ImageDraw.Draw(picture).text((4, 3), name, fill="black", font=ImageFont.load_default(14))
    return np.asarray(picture)


def column(name: str, pixels: Pixels) -> Pixels:
    """One method's column: its name, the whole picture, a detail."""
    whole = cv2.resize(pixels, (SHOWN, SHOWN * HEIGHT // WIDTH), interpolation=cv2.INTER_AREA)
    top, left = (HEIGHT - SHOWN) // 2, (WIDTH - SHOWN) // 2
    return np.vstack((caption(name, SHOWN), whole, pixels[top : top + SHOWN, left : left + SHOWN]))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("networks", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    original = upright(options.photo)
    mask = KINDS["tiled"](np.random.default_rng(options.seed), HEIGHT, WIDTH)
    task = read(png(marked(original, mask)), png(mask), limits=LIMITS, method="fill")
    networks = read_networks(options.networks)
    inpainter = LaMaInpainter(device="cpu")
    methods: dict[str, Method] = {name: whole_picture(networks[name]) for name in PEERS if name in networks}
    methods["Telea"] = classical(cv2.INPAINT_TELEA)
    methods["cleanplate-small, ships"] = lambda task: inpainter.run(task, lambda _: None)
    columns = [column("original", original), column("marked", task.picture.pixels)]
    for name, method in methods.items():
        began = time.perf_counter()
        result = method(task)
        took, psnr = time.perf_counter() - began, masked_psnr(result, original, mask)
        print(f"{name}: {psnr:.2f} dB in the mark, {took:.1f} s", flush=True)
        columns.append(column(name, result))
    Image.fromarray(np.hstack(columns)).save(options.sheet, quality=80)


if __name__ == "__main__":
    main()

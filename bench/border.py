"""Visibility of the seam: the step in CIEDE2000 across the repair's border, on photos whose originals are known.

    python -m bench.border FOLDER [--out border.json]

Each photo gets a translucent white mark at two places: in its upper corner, where products have their background, and
across its middle. A place counts as flat where the rim around the hole is flat in the original: its median CIEDE2000 to
the rim's mean is under ``FLAT``. The table shows the step of the result and of the original, and the error in the mark.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.colour_difference import border_steps, delta_e_2000
from bench.metrics import masked_psnr
from bench.subjects import marked
from model.engine.inpainter import LaMaInpainter
from model.engine.plan import make_plan
from model.repair.hole import blend_weights, default_dilation, dilate
from model.repair.seam import lab_of
from model.training.photos import load_photos

Pixels = NDArray[np.uint8]
#: Median CIEDE2000 of the rim's pixels to their mean, under which a place is flat; width of the rim in px.
FLAT, RIM_PX = 1.0, 8


@dataclass(frozen=True)
class Step:
    """One mark on one photo."""

    ground: str
    method: str
    #: Mean CIEDE2000 across the border.
    step: float
    #: The same in the original.
    original: float
    psnr_db: float


def marks(height: int, width: int) -> list[Pixels]:
    """Masks in the upper corner and across the middle."""
    masks = []
    for left, top, scale, text in ((0.04, 0.09, 0.0016, "SHOP"), (0.1, 0.52, 0.0034, "EXAMPLE")):
        mask = np.zeros((height, width), np.uint8)
        place = round(left * width), round(top * height)
        cv2.putText(mask, text, place, cv2.FONT_HERSHEY_DUPLEX, scale * width, 255, max(1, width // 150))
        masks.append(np.where(mask > 0, np.uint8(255), np.uint8(0)))  # OpenCV draws soft edges
    return masks


def is_flat(original: Pixels, hole: Pixels) -> bool:
    """Whether the original around ``hole`` has one colour."""
    kernel = np.ones((2 * RIM_PX + 1,) * 2, np.uint8)
    rim = lab_of(original)[(cv2.dilate(hole, kernel) > 0) & (hole == 0)].astype(np.float64)
    return bool(np.median(delta_e_2000(rim, rim.mean(axis=0))) < FLAT)


def measure(original: Pixels, mask: Pixels, inpainter: LaMaInpainter) -> list[Step]:
    """The step of each method on one mark."""
    source, hole = marked(original, mask), dilate(mask)
    ground = "flat" if is_flat(original, hole) else "textured"
    feather = min(2, default_dilation(*mask.shape) - 1)

    def telea() -> Pixels:
        return np.asarray(cv2.inpaint(source, hole, 3, cv2.INPAINT_TELEA), np.uint8)

    def unmatched() -> Pixels:
        fill, _ = inpainter._filled(source, hole, make_plan(hole), lambda _: None)
        weights = blend_weights(hole, feather)[..., None]
        return np.rint(source * (1 - weights) + fill * weights).astype(np.uint8)

    methods: dict[str, Callable[[], Pixels]] = {
        "Telea": telea,
        "network alone": unmatched,
        "Cleanplate": lambda: inpainter(source, mask, feather_px=feather, method="fill"),
    }
    original_step = float(border_steps(original, hole).mean())
    steps = []
    for name, method in methods.items():
        result = method()
        psnr = masked_psnr(result, original, mask)
        steps.append(Step(ground, name, float(border_steps(result, hole).mean()), original_step, psnr))
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of photos, none of them used in training")
    parser.add_argument("--longest", type=int, default=576, help="longest side of the pictures (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    steps: list[Step] = []
    with LaMaInpainter(device="cpu") as inpainter:
        for photo in track(load_photos(options.folder), "photos"):
            scale = min(1.0, options.longest / max(photo.shape[:2]))
            size = round(photo.shape[1] * scale), round(photo.shape[0] * scale)
            original = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
            for mask in marks(*original.shape[:2]):
                steps += measure(original, mask, inpainter)
    report(steps)
    if options.out:
        options.out.write_text(json.dumps([asdict(step) for step in steps], indent=1) + "\n")


def report(steps: list[Step]) -> None:
    """Print the means by ground and method."""
    table = Table(
        "ground", "method", "marks", "step", "95th percentile", "original", "PSNR in dB", title="Step in CIEDE2000"
    )
    for ground in ("flat", "textured"):
        for method in dict.fromkeys(step.method for step in steps):
            of_method = [step for step in steps if (step.ground, step.method) == (ground, method)]
            if of_method:
                values = np.array([(step.step, step.original, step.psnr_db) for step in of_method])
                worst = np.percentile(values[:, 0], 95)
                table.add_row(
                    ground, method, str(len(of_method)), f"{values[:, 0].mean():.2f}", f"{worst:.2f}",
                    f"{values[:, 1].mean():.2f}", f"{values[:, 2].mean():.2f}",
                )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

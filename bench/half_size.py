"""Whether a pass at half size pays for thin text over a large picture: likeness in the mask, and CPU time.

    python -m bench.half_size PHOTO [PHOTO ...] --lpips lpips-alex.safetensors

White text is tiled over a square of each photo, of 1024 px (smaller photos are enlarged to it), in strokes of 2 and of
6 px. The network fills the hole in one pass, and in one at half size whose result is enlarged; ``residual``: only what
the network adds to its prefill is enlarged, and added to a prefill at full size. Colours are then matched as always.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.lpips import Lpips
from model import LaMaInpainter
from model.engine.flight import Tile
from model.engine.guide import smaller
from model.networks.prefill import push_pull
from model.repair.hole import dilate, lay

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Way = Callable[[Pixels, Pixels], Pixels]
SIDE = 1024


def tiled_text(scale: float, stroke: int) -> Pixels:
    """``uint8 [SIDE, SIDE]``: text of this scale (0.8: 18 px high) and stroke in px, spaced by its size."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for top in range(int(50 * scale), SIDE, int(150 * scale)):
        for left in range(10, SIDE, int(200 * scale)):
            cv2.putText(mask, "sample", (left, top), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, stroke)
    return mask


def prefilled(pixels: Pixels, hole: Pixels) -> Values:
    """The prefill in levels: ``float32 [h, w, 3]``."""
    known = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    return np.asarray(push_pull(known, (torch.from_numpy(hole) > 0)[None, None].float())[0].permute(1, 2, 0) * 255)


def ways(inpainter: LaMaInpainter) -> dict[str, Way]:
    def full(pixels: Pixels, hole: Pixels) -> Pixels:
        return inpainter.engine.submit(Tile(pixels, hole)).result().values

    def enlarged(pixels: Pixels, hole: Pixels, *, residual: bool) -> Pixels:
        small, small_hole = smaller(pixels, hole, 2)
        masked = small_hole[..., None] > 0
        filled = np.where(masked, full(small, small_hole), small).astype(np.float32)
        if residual:
            filled -= np.where(masked, prefilled(small, small_hole), small)
        large = cv2.resize(filled, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        return np.rint((large + (prefilled(pixels, hole) if residual else 0)).clip(0, 255)).astype(np.uint8)

    return {
        "full size": full,
        "half size": lambda pixels, hole: enlarged(pixels, hole, residual=False),
        "half size, residual": lambda pixels, hole: enlarged(pixels, hole, residual=True),
    }


def square(photo: Path) -> Pixels:
    """``uint8 [SIDE, SIDE, 3]``: the photo's upper left, enlarged where it is smaller."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    factor = max(1.0, SIDE / min(image.size))
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(image)[:SIDE, :SIDE])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--lpips", type=Path, required=True, help="LPIPS weights (alex)")
    options = parser.parse_args()
    lpips = Lpips(options.lpips)
    table = Table("strokes", "way", "PSNR in the mask, dB", "LPIPS", "CPU-s")
    with LaMaInpainter(device="cpu", threads=1) as inpainter:
        for stroke, scale in ((2, 0.8), (6, 1.6)):
            hole = dilate(tiled_text(scale, stroke), 1)
            rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways(inpainter)}
            for photo in options.photos:
                original = square(photo)
                marked = np.where(hole[..., None] > 0, np.uint8(255), original)
                for name, way in ways(inpainter).items():
                    began = time.process_time()
                    fill = way(marked, hole)
                    took = time.process_time() - began
                    result = lay(marked, fill, hole, 0)
                    error = np.square(result[hole > 0].astype(np.float64) - original[hole > 0]).mean()
                    rows[name].append((float(10 * np.log10(255**2 / error)), lpips(original, result), took))
            for name, figures in rows.items():
                psnr, distance, seconds = np.mean(figures, axis=0)
                table.add_row(f"{stroke} px", name, f"{psnr:.2f}", f"{distance:.4f}", f"{seconds:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()

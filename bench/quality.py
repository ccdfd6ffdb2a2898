"""Quality of the repair on photos whose originals are known: masked PSNR and LPIPS, beside classical methods.

    python -m bench.quality FOLDER --lpips lpips-alex.safetensors [--out quality.json] [--sheet sheet.png]

Every photo of FOLDER is cut to its central square and scaled; a seeded mark of each kind (text, logo, tiled, stroke) is
laid over it, white at opacity 0.5. Every method is fed the *marked* picture and the same widened mask, and is scored
inside the mask as painted (PSNR) and on the whole square (LPIPS).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.lpips import Lpips
from model.imaging import Limits
from model.inpainter import LaMaInpainter
from model.prefill import push_pull
from model.repair import Task, composite, read
from model.training.masks import KINDS
from model.training.photos import load_photos

Pixels = NDArray[np.uint8]
Method = Callable[[Task], Pixels]
LIMITS = Limits(max_bytes=10**9, max_pixels=10**9)
OPACITY = 0.5


def masked_psnr(result: Pixels, original: Pixels, mask: Pixels) -> float:
    """Peak signal-to-noise ratio over the pixels of ``mask`` alone, in dB."""
    error = (result.astype(np.float64) - original)[mask > 0]
    return float(10 * np.log10(255**2 / max(np.mean(error**2), 1e-10)))


def square(photo: Pixels, size: int) -> Pixels:
    """The central square of ``photo``, scaled to ``size``."""
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    piece = photo[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(piece, (size, size), interpolation=how), np.uint8)


def marked(original: Pixels, mask: Pixels) -> Pixels:
    """``original`` under a white mark of the shape of ``mask``."""
    alpha = OPACITY * (mask > 0)[..., None]
    return np.rint(original * (1 - alpha) + 255 * alpha).astype(np.uint8)


def _png(pixels: Pixels) -> bytes:
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    return bytes(cv2.imencode(".png", stored)[1])


def _classical(flag: int) -> Method:
    return lambda task: np.asarray(cv2.inpaint(task.picture.pixels, task.hole, 3, flag), np.uint8)


def _prefill(task: Task) -> Pixels:
    image = torch.from_numpy(task.picture.pixels).permute(2, 0, 1)[None].float() / 255
    hole = torch.from_numpy(task.hole)[None, None].float() / 255
    filled = push_pull(image, hole)[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).byte().numpy()
    return composite(task, filled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of photos, none of them used in training")
    parser.add_argument("--lpips", type=Path, required=True, help="LPIPS weights (alex)")
    parser.add_argument("--weights", default="", help="weights file to score (default: the one that ships)")
    parser.add_argument("--size", type=int, default=256, help="side of the squares (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--sheet", type=Path, help="write a picture of some results here")
    options = parser.parse_args()

    inpainter = LaMaInpainter(options.weights, "cpu")
    distance = Lpips(options.lpips)
    methods: dict[str, Method] = {
        "do nothing": lambda task: task.picture.pixels,
        "Telea": _classical(cv2.INPAINT_TELEA),
        "Navier-Stokes": _classical(cv2.INPAINT_NS),
        "push-pull prefill": _prefill,
        "cleanplate": lambda task: inpainter.run(task, lambda _: None),
    }
    scores: dict[str, dict[str, list[tuple[float, float, float]]]] = {name: {} for name in methods}
    rows: list[Pixels] = []
    photos = [square(photo, options.size) for photo in load_photos(options.folder)]
    for index, original in enumerate(track(photos, "photos")):
        for number, (kind, maker) in enumerate(KINDS.items()):
            mask = maker(np.random.default_rng((options.seed, index, number)), options.size, options.size)
            if not mask.any():
                continue
            task = read(_png(marked(original, mask)), _png(mask), limits=LIMITS)
            results = [original]
            for name, method in methods.items():
                began = time.perf_counter()
                result = method(task)
                seconds = time.perf_counter() - began
                score = (masked_psnr(result, original, mask), distance(result, original), seconds)
                scores[name].setdefault(kind, []).append(score)
                results.append(result)
            if index % 5 == number:
                rows.append(np.hstack(results))
    report(scores, options.out)
    if options.sheet:
        cv2.imwrite(str(options.sheet), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def report(scores: dict[str, dict[str, list[tuple[float, float, float]]]], out: Path | None) -> None:
    """Print the means by kind of mark, and write them to ``out``."""
    table = Table("method", *KINDS, "all", "median ms", title="masked PSNR in dB / LPIPS, means")
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for name, kinds in scores.items():
        by_kind = {kind: np.mean(values, axis=0) for kind, values in kinds.items()}
        every = np.array([value for values in kinds.values() for value in values])
        by_kind["all"] = every.mean(axis=0)
        cells = [f"{by_kind[kind][0]:.2f} / {by_kind[kind][1]:.4f}" for kind in (*KINDS, "all")]
        table.add_row(name, *cells, f"{np.median(every[:, 2]) * 1000:.1f}")
        figures[name] = {
            kind: {"psnr_db": round(float(value[0]), 3), "lpips": round(float(value[1]), 5)}
            for kind, value in by_kind.items()
        }
    Console(width=140).print(table)
    if out:
        out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

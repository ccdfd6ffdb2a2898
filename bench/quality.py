"""Quality of the repair on photos whose originals are known, beside alternative methods.

    python -m bench.quality FOLDER --lpips lpips-alex.safetensors [--networks NETWORKS] [--migan] [--out quality.json]

Every photo of FOLDER is cut to its central square and scaled, then blended with a seeded mark of each kind (text, logo,
tiled, wide), white at opacity 0.5. Every method gets the *marked* picture and the same hole, which is widened as far as
the mark shows around it; ``--fixed`` adds rows with holes 3 px wider than the mask. PSNR and CIEDE2000
cover the painted mask, SSIM and LPIPS the whole square, the border ratio the hole's border; detail is the mean
|Laplacian| in the mask over the original's. "Worst" is the least
difference in PSNR to Telea's result on one subject. Seconds are CPU seconds of
all threads, which other programs on the machine hardly change. NETWORKS is the folder that ``bench.ablation train``
wrote. A run adds its sizes to the file of ``--out`` and keeps the others. ``--looks`` names other marks and masks than
the exact ones: soft edges, JPEG, other opacities, careless masks (:data:`bench.subjects.LOOKS`).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.ablation import read_networks
from bench.lpips import Lpips
from bench.methods import Method, classical, fetch_migan, migan, nothing, prefill, whole_picture
from bench.metrics import border_ratio, colour_error, detail_ratio, masked_psnr, ssim
from bench.product_sheet import caption
from bench.subjects import LOOKS, MARKS, Pixels, Subject, subjects
from model.engine.inpainter import LaMaInpainter
from model.engine.plan import make_plan
from model.networks.weights import load_network
from model.repair.hole import DEFAULT_FEATHER_PX, dilate
from model.repair.task import Task
from model.repair.texture import DEFAULT_TEXTURE

#: The product's methods.
WAYS: tuple[Literal["fill"], Literal["auto"]] = ("fill", "auto")
#: Widening that a second row of some methods has, in px.
FIXED_PX = 3
METRICS = ("psnr_db", "ssim", "lpips", "delta_e", "border_ratio", "seconds", "detail")


@dataclass(frozen=True)
class Row:
    """One method: its figures by size and kind (``all``: the mean of all subjects), and its number of parameters."""

    method: str
    parameters: int
    figures: dict[str, dict[str, dict[str, float]]]


def methods_of(options: argparse.Namespace) -> dict[str, tuple[Method, int]]:
    """Every selected method with its number of parameters, in the order of the table."""
    methods: dict[str, tuple[Method, int]] = {
        "do nothing": (nothing, 0),
        "Telea": (classical(cv2.INPAINT_TELEA), 0),
        "Navier-Stokes": (classical(cv2.INPAINT_NS), 0),
        "push-pull prefill": (prefill, 0),
    }
    for name, network in (read_networks(options.networks) if options.networks else {}).items():
        count = sum(parameter.numel() for parameter in network.parameters())
        methods[f"{name}, small budget"] = (whole_picture(network), count)
    if options.migan:
        data = fetch_migan()
        methods["MI-GAN"] = (migan(data), _parameters_in_onnx(data))
        if options.fixed:
            # Its own blend reaches into the hole: it needs a wider one than the mark.
            methods[f"MI-GAN at {FIXED_PX} px"] = (at_fixed(methods["MI-GAN"][0]), methods["MI-GAN"][1])
    for name in ("", *options.weights):
        inpainter = LaMaInpainter(name, "cpu", threads=options.threads)
        count = sum(parameter.numel() for parameter in load_network(Path(name))[0].parameters()) if name else 0
        label = Path(name).stem if name else "cleanplate (shipped)"
        for way in WAYS:
            methods[f"{label}, {way}"] = (_product(inpainter, way), count or shipped_parameters())
        methods[f"{label}, fill without texture"] = (_product(inpainter, "fill", 0.0), count or shipped_parameters())
        if options.fixed:
            methods[f"{label}, fill at {FIXED_PX} px"] = (at_fixed(_product(inpainter, "fill")), count)
    if options.fixed:
        methods[f"Telea at {FIXED_PX} px"] = (at_fixed(classical(cv2.INPAINT_TELEA)), 0)
    return methods


def at_fixed(method: Method) -> Method:
    """``method`` with the mask widened by ``FIXED_PX`` everywhere."""

    def repaired(task: Task) -> Pixels:
        painted = task.hole if task.painted is None else task.painted
        hole = dilate(np.where(painted > 127, np.uint8(255), np.uint8(0)), FIXED_PX)
        plan = make_plan(hole)
        return method(replace(task, hole=hole, plan=plan, dilation_px=FIXED_PX, feather_px=DEFAULT_FEATHER_PX))

    return repaired


def shipped_parameters() -> int:
    """Number of parameters of the shipped network."""
    from model.networks.weights import SHIPPED

    return sum(parameter.numel() for parameter in load_network(SHIPPED)[0].parameters())


def _product(inpainter: LaMaInpainter, way: Literal["fill", "auto"], texture: float = DEFAULT_TEXTURE) -> Method:
    return lambda task: inpainter.run(replace(task, method=way, texture=texture), lambda _: None)


def _parameters_in_onnx(data: bytes) -> int:
    import onnx

    graph = onnx.load_from_string(data).graph
    return sum(int(np.prod(tensor.dims)) for tensor in graph.initializer)


def score(subject: Subject, method: Method, distance: Lpips) -> tuple[Pixels, tuple[float, ...]]:
    """The result of a method on a subject, and its figures in the order of ``METRICS``."""
    began = time.process_time()
    result = method(subject.task)
    seconds = time.process_time() - began
    original, hole = subject.original, subject.task.hole
    return result, (
        masked_psnr(result, original, subject.mask),
        ssim(result, original),
        distance(result, original),
        colour_error(result, original, subject.mask),
        border_ratio(result, original, hole),
        seconds,
        detail_ratio(result, original, subject.mask),
    )


def measure(
    methods: dict[str, tuple[Method, int]], options: argparse.Namespace, distance: Lpips
) -> tuple[list[Row], list[Pixels]]:
    """Run all methods; the rows of the table, and strips of samples: the original, then every method's result."""
    figures: dict[str, dict[str, dict[str, dict[str, float]]]] = {name: {} for name in methods}
    strips: list[Pixels] = []
    for (size, photos), look in product(zip(options.sizes, options.photos, strict=True), options.looks):
        values: dict[str, dict[str, list[tuple[float, ...]]]] = {name: {} for name in methods}
        chosen = subjects(options.folder, size, photos=photos or None, seed=options.seed, look=LOOKS[look])
        for number, subject in enumerate(track(chosen, f"{size} px, {look}", console=Console(stderr=True))):
            strip = [subject.original]
            for name, (method, _) in methods.items():
                result, scores = score(subject, method, distance)
                values[name].setdefault(subject.kind, []).append(scores)
                strip.append(result)
            if (size, look) == (options.sizes[0], options.looks[0]) and number % 5 == 0 and len(strips) < 8:
                strips.append(np.hstack(strip))
        every = {
            name: {**kinds, "all": [one for scores in kinds.values() for one in scores]}
            for name, kinds in values.items()
        }
        for name, kinds in every.items():
            figures[name][_setting(size, look)] = {
                kind: {**_means(scores), "worst_db": _worst(scores, every["Telea"][kind])}
                for kind, scores in kinds.items()
            }
    return [Row(name, count, figures[name]) for name, (_, count) in methods.items()], strips


def _setting(size: int, look: str) -> str:
    return str(size) if look == "exact" else f"{size} {look}"


def _means(scores: list[tuple[float, ...]]) -> dict[str, float]:
    """Means of all figures, but the median of those with long tails."""
    table = np.array(scores)
    means = {name: round(float(table[:, column].mean()), 5) for column, name in enumerate(METRICS)}
    for name in ("border_ratio", "seconds", "detail"):
        means[name] = round(float(np.median(table[:, METRICS.index(name)])), 5)
    return means


def _worst(scores: list[tuple[float, ...]], others: list[tuple[float, ...]]) -> float:
    """The worst difference in PSNR on one subject."""
    return round(min(one[0] - other[0] for one, other in zip(scores, others, strict=True)), 2)


def merged(rows: list[Row], file: Path) -> list[Row]:
    """``rows``, with the figures of the same methods at other sizes from ``file``."""
    before = {row["method"]: row["figures"] for row in json.loads(file.read_text())} if file.exists() else {}
    return [replace(row, figures={**before.get(row.method, {}), **row.figures}) for row in rows]


def report(rows: list[Row], settings: list[str], console: Console) -> None:
    """A table for each size and look: PSNR / LPIPS by kind, the other figures over all kinds."""
    for size in settings:
        heads = (*MARKS, "all", "SSIM", "dE", "border", "detail", "worst", "s", "parameters")
        table = Table("method", *heads, title=f"{size} px: masked PSNR in dB / LPIPS, means")
        for row in rows:
            kinds = row.figures[size]
            cells = [
                f"{kinds[kind]['psnr_db']:.2f} / {kinds[kind]['lpips']:.4f}" if kind in kinds else "-"
                for kind in (*MARKS, "all")
            ]
            whole = kinds["all"]
            cells += [
                f"{whole['ssim']:.4f}",
                f"{whole['delta_e']:.2f}",
                f"{whole['border_ratio']:.2f}",
                f"{whole['detail']:.2f}",
                f"{whole['worst_db']:+.1f}",
            ]
            table.add_row(row.method, *cells, f"{whole['seconds']:.3f}", f"{row.parameters:,}")
        console.print(table)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of photos, none of them used in training")
    parser.add_argument("--lpips", type=Path, required=True, help="LPIPS weights (alex)")
    parser.add_argument("--weights", nargs="*", default=[], help="weights files to score beside the shipped one")
    parser.add_argument("--networks", type=Path, help="folder of networks that `bench.ablation train` wrote")
    parser.add_argument("--migan", action="store_true", help="fetch MI-GAN by npm and measure it (extra `bench`)")
    parser.add_argument(
        "--fixed", action="store_true", help=f"rows of fill, Telea and MI-GAN with masks {FIXED_PX} px wider"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument(
        "--photos", type=int, nargs="+", help="photos at each size, evenly chosen; 0: all (default: all)"
    )
    parser.add_argument("--looks", nargs="+", default=["exact"], choices=LOOKS, help="marks and masks (default: exact)")
    parser.add_argument("--threads", type=int, default=0, help="threads of the network (default: all cores)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of some results here")
    options = parser.parse_args(arguments)
    options.photos = options.photos or [0] * len(options.sizes)
    rows, strips = measure(methods_of(options), options, Lpips(options.lpips))
    settings = [_setting(size, look) for size, look in product(options.sizes, options.looks)]
    report(rows, settings, Console(width=170))
    if options.out:
        figures = [vars(row) for row in merged(rows, options.out)]
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
    if options.sheet:
        names = np.hstack([caption(name, options.sizes[0]) for name in ("original", *(row.method for row in rows))])
        Image.fromarray(np.vstack((names, *strips))).save(options.sheet, quality=80)


if __name__ == "__main__":
    main()

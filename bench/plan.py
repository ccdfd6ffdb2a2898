"""Cost of plans: the place of a mark decides how much of the picture passes through the network.

    python -m bench.plan [--run] [--photo PHOTO] [--write] [--out plan.json]

The script prints area, passes and expected time for a corner logo, a centre logo, a diagonal band and tiled text, at
three picture sizes. ``--run`` also measures the corner logo on 1200x1600 against the whole picture, the peak memory of
a 4000x6000 picture with a corner logo, and the seams between tiles (on ``--photo``). ``--write`` measures passes on
this machine and writes the cost table of the planner (``model/engine/costs.json``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bench.engine import NETWORKS
from model import LaMaInpainter
from model.box import Box
from model.engine.costs import TABLE, Costs, costs_for
from model.engine.engine import Engine
from model.engine.flight import Tile
from model.engine.plan import Plan, Region, cut, make_plan, tile_weights
from model.networks.precision import best_precision
from model.networks.program import Program
from model.repair.hole import Mask, dilate

SIZES = ((500, 500), (1600, 1200), (6000, 4000))
#: Sides of the passes that the cost table is fitted to.
_SIDES = (64, 128, 256, 384, 512)
#: Most pixels of a pass, by kind of device: 1200x1600 in one pass takes 1.6 GB of memory in fp32 on a CPU.
_MOST_PX = {"cpu": 1 << 21, "cuda": 1 << 22}


def corner_logo(height: int, width: int) -> Mask:
    """160x60 px, 40 px from the lower right corner."""
    mask = np.zeros((height, width), np.uint8)
    mask[height - 100 : height - 40, width - 200 : width - 40] = 255
    return mask


def centre_logo(height: int, width: int) -> Mask:
    """A ring of a third of the picture's shorter side."""
    mask = np.zeros((height, width), np.uint8)
    radius = min(height, width) // 6
    cv2.circle(mask, (width // 2, height // 2), radius, 255, max(3, radius // 6))
    return mask


def diagonal_band(height: int, width: int) -> Mask:
    """A line of text from corner to corner, a thirtieth of the picture high."""
    mask = np.zeros((height, width), np.uint8)
    cv2.line(mask, (width // 10, height * 9 // 10), (width * 9 // 10, height // 10), 255, max(3, height // 30))
    return mask


def tiled_text(height: int, width: int) -> Mask:
    """Small text every 120 px."""
    mask = np.zeros((height, width), np.uint8)
    for top in range(40, height, 120):
        for left in range(10, width, 160):
            cv2.putText(mask, "sample", (left, top), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    return mask


MARKS: dict[str, Callable[[int, int], Mask]] = {
    "corner logo": corner_logo,
    "centre logo": centre_logo,
    "diagonal band": diagonal_band,
    "tiled text": tiled_text,
}


def measure_costs(name: str, device: torch.device) -> Costs:
    """Measure passes of several sizes and fit a straight line through their medians."""
    architecture = "lama" if "lama" in name else name
    program = Program(NETWORKS[name]().eval(), device, best_precision(device, architecture))
    # On a CPU, process time: other programs on the machine do not change it.
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    pixels, milliseconds = [], []
    for side in _SIDES:
        batch = _batch(1, side, device)
        times = []
        for _ in range(6):
            began = clock()
            float(program(*batch, Box(0, 0, side, side)).total)  # reading a number waits for the device
            times.append((clock() - began) * 1000)
        pixels.append(side * side)
        milliseconds.append(statistics.median(times[1:]))
    slope, start = np.polyfit(pixels, milliseconds, 1)
    batch_px = _measure_batch(program, clock) if device.type == "cpu" else None
    return Costs(round(max(float(start), 0.01), 3), round(float(slope) * 1e6, 2), _MOST_PX[device.type], batch_px)


def _batch(count: int, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels and holes of ``count`` tiles."""
    pixels = torch.randint(256, (count, side, side, 3), dtype=torch.uint8, device=device)
    return pixels, torch.full((count, side, side), 255, dtype=torch.uint8, device=device)


def _measure_batch(program: Program, clock: Callable[[], float]) -> int:
    """Pixels of the largest pass in which two or more tiles were cheaper together than one by one."""
    largest = 0
    for side in (128, 192, 256, 384):
        alone = 0.0
        for count in (1, 2, 4):
            batch = _batch(count, side, program.device)
            times = []
            for _ in range(6):
                began = clock()
                program(*batch, Box(0, 0, side, side))
                times.append((clock() - began) / count)
            took = statistics.median(times[1:])
            alone = alone or took
            if count > 1 and took < 0.9 * alone:
                largest = max(largest, count * side * side)
    return largest


def whole(height: int, width: int) -> Plan:
    """The whole picture in one pass."""
    box = Box(0, 0, height, width).padded(16)
    return Plan((Region(box, (box,)),))


def plan_table(costs: Costs, console: Console) -> dict[str, dict[str, float]]:
    """Area, passes and expected time of every mark on every size."""
    table = Table("picture", "mark", "passes", "guided", "area %", "expected ms", "whole picture ms", "times cheaper")
    figures = {}
    for height, width in SIZES:
        for name, mark in MARKS.items():
            hole = dilate(mark(height, width))
            plan = make_plan(hole, costs)
            cost, whole_cost = plan.cost_ms(costs), whole(height, width).cost_ms(costs)
            share = 100 * plan.pixels_total / hole.size
            guided = "yes" if any(region.guide for region in plan.regions) else ""
            row = (str(plan.tiles_total), guided, f"{share:.1f}", f"{cost:.0f}", f"{whole_cost:.0f}")
            table.add_row(f"{width}x{height}", name, *row, f"{whole_cost / cost:.1f}")
            figures[f"{width}x{height} {name}"] = {
                "passes": plan.tiles_total,
                "area_percent": round(share, 2),
                "expected_ms": round(cost, 1),
                "times_cheaper": round(whole_cost / cost, 2),
            }
    console.print(table)
    return figures


def corner_against_whole(name: str, repeat: int = 3) -> dict[str, float]:
    """Time on the device of a corner logo on 1200x1600 as planned, and of the whole picture in one pass."""
    hole = dilate(corner_logo(1600, 1200))
    architecture = "lama" if "lama" in name else name
    costs = costs_for(architecture, "cpu")
    picture = np.random.default_rng(0).integers(0, 256, (1600, 1200, 3), dtype=np.uint8)
    device = torch.device("cpu")
    times: dict[str, list[float]] = {"planned": [], "whole": []}
    plans = {"planned": make_plan(hole, costs), "whole": whole(1600, 1200)}
    with Engine(NETWORKS[name]().eval(), device, best_precision(device, architecture), max_batch=1) as engine:
        for _ in range(repeat + 1):
            for kind, plan in plans.items():
                # The whole pass fills the whole picture, as tools without regions do.
                mask = hole if kind == "planned" else np.full_like(hole, 255)
                began = time.process_time()
                for region in plan.regions:
                    for tile in region.tiles:
                        engine.submit(Tile(picture[tile.slices], mask[tile.slices])).result()
                times[kind].append(time.process_time() - began)
    planned_s, whole_s = (statistics.median(times[kind][1:]) for kind in ("planned", "whole"))
    return {
        "planned_cpu_s": round(planned_s, 3),
        "whole_cpu_s": round(whole_s, 3),
        "times": round(whole_s / planned_s, 1),
    }


def peak_memory_mb() -> float:
    """Peak resident memory of a process that cleans a corner logo off a 4000x6000 picture, in MB."""
    script = (
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from bench.plan import corner_logo\n"
        "from model import LaMaInpainter\n"
        "image = np.random.default_rng(0).integers(0, 256, (6000, 4000, 3), dtype=np.uint8)\n"
        "LaMaInpainter(device='cpu')(image, corner_logo(6000, 4000))\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) / 1024)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return round(float(run.stdout), 0)


def seams(photo: Path) -> dict[str, float]:
    """Worst step between neighbouring pixels across tile edges, and elsewhere inside the hole.

    The steps are those of the *difference* between a tiled result and one whole pass, in grey levels; edges of the
    picture itself cancel out.
    """
    pixels = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    pixels = cv2.resize(pixels, (1536, 512), interpolation=cv2.INTER_CUBIC)
    hole = np.zeros(pixels.shape[:2], np.uint8)
    hole[40:472:24] = hole[44:472:24] = hole[48:472:24] = 255
    hole = dilate(hole, 3)
    box = Box(0, 0, 512, 1536)
    with LaMaInpainter(device="cpu") as inpainter:
        tiled = _filled(inpainter, pixels, hole, cut(box, hole, side=512))
        single = _filled(inpainter, pixels, hole, Region(box, (box,)))
    step = np.abs(np.diff(tiled - single, axis=1)).max(axis=2)
    step[~((hole[:, 1:] > 0) & (hole[:, :-1] > 0))] = 0
    tiles = cut(box, hole, side=512).tiles
    edges = {edge for tile in tiles for edge in (tile.left, tile.right) if 0 < edge < box.right}
    at_edges = np.zeros(step.shape[1], bool)
    at_edges[[edge - 1 for edge in edges]] = True
    return {
        "worst_step_at_tile_edges": round(float(step[:, at_edges].max()), 3),
        "worst_step_elsewhere": round(float(step[:, ~at_edges].max()), 3),
    }


def _filled(inpainter: LaMaInpainter, pixels: Mask, hole: Mask, region: Region) -> NDArray[np.float64]:
    """The blended values of a region's tiles, in grey levels."""
    values = np.zeros((*hole.shape, 3))
    total = np.zeros((*hole.shape, 1))
    for tile, weight in zip(region.tiles, tile_weights(region), strict=True):
        filled = inpainter.engine.submit(Tile(pixels[tile.slices], hole[tile.slices])).result()
        values[tile.slices] += filled.values * weight[..., None]
        total[tile.slices] += weight[..., None]
    return np.asarray(values / total, np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="fourier-unet")
    parser.add_argument(
        "--run", action="store_true", help="measure the corner logo, peak memory and, with --photo, seams"
    )
    parser.add_argument("--photo", type=Path, help="a photo to measure seams on")
    parser.add_argument("--write", action="store_true", help="measure passes here and write model/engine/costs.json")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    console = Console(width=120)
    if options.write:
        table = json.loads(TABLE.read_text())
        kinds = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
        for name, architecture in (("fourier-unet", "fourier-unet"), ("big-lama", "lama")):
            for kind in kinds:
                table[f"{architecture}/{kind}"] = asdict(measure_costs(name, torch.device(kind)))
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
    architecture = "lama" if "lama" in options.network else options.network
    figures: dict[str, object] = {"plans": plan_table(costs_for(architecture, "cpu"), console)}
    if options.run:
        figures["corner_logo_1200x1600"] = corner_against_whole(options.network)
        figures["peak_mb_4000x6000"] = peak_memory_mb()
        if options.photo:
            figures["seams"] = seams(options.photo)
        console.print_json(data={name: value for name, value in figures.items() if name != "plans"})
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Correctness and throughput on an NVIDIA device, in one command of a few minutes.

    python -m bench.gpu OUT [--device cuda] [--quick]

Correctness comes first: each fast path against eager fp32. Then comes throughput: ``big-lama`` and the shipped network
at 512 px in growing batches and at 1200x1600, eager, compiled and captured, each beside the floor that the device's
arithmetic sets. Last is the engine as a worker uses it, from bytes of many threads to filled tiles. The script writes
``OUT/gpu.json``. ``--quick`` takes small networks and few repeats; its figures only show that the script runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bench.engine import NETWORKS, randomise_norms
from model.box import Box
from model.engine.engine import Engine
from model.engine.flight import Tile
from model.networks.fused import fuse
from model.networks.lama import LaMaGenerator
from model.networks.precision import Precision, best_precision
from model.networks.program import BytePass, Program

#: GFLOP of one pass of big-lama (counted from its layers).
BIG_LAMA_GFLOP = {(512, 512): 442.0, (1600, 1200): 3233.0}
#: Dense bf16 TFLOP/s of an H200 on large matrices, from which the floor is computed.
H200_BF16_TFLOPS = 990.0


class Clock:
    """Times work on a device, and waits for the device to finish."""

    def __init__(self, device: torch.device, repeat: int) -> None:
        self.device, self.repeat = device, repeat

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def median_ms(self, run: Callable[[], object]) -> float:
        """Median milliseconds of ``run`` after two warm-ups."""
        times = []
        for _ in range(self.repeat + 2):
            self.wait()
            began = time.perf_counter()
            run()
            self.wait()
            times.append((time.perf_counter() - began) * 1000)
        return statistics.median(times[2:])


def psnr(result: Tensor, reference: Tensor) -> float:
    """Peak signal-to-noise ratio of values in [0, 1], in dB."""
    return float(-10 * torch.log10((result.float() - reference.float()).square().mean().clamp_min(1e-12)))


def correctness(network: nn.Module, device: torch.device, side: int) -> dict[str, float]:
    """PSNR of each fast path's bytes against those of eager fp32, in dB (TF32 off for the reference)."""
    pixels, holes = _input(1, side, side, device)
    window = Box(0, 0, side, side)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    with torch.inference_mode():
        reference, _ = BytePass(network.to(device))(pixels, holes, window, None)
    precisions: tuple[Precision, ...] = ("fp32", "tf32", "bf16")
    return {
        f"{precision} program": round(
            psnr(Program(network, device, precision)(pixels, holes, window).values / 255, reference / 255), 1
        )
        for precision in precisions
    }


def _input(batch: int, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels and holes of random tiles."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (batch, height, width, 3), dtype=torch.uint8, generator=generator)
    holes = (torch.rand(batch, height, width, generator=generator) > 0.9).to(torch.uint8)
    return pixels.to(device), holes.to(device)


def ways(network: nn.Module, device: torch.device, window: Box) -> dict[str, Callable[[Tensor, Tensor], object]]:
    """Each way of running a batch, by name."""
    last = torch.channels_last
    half = BytePass(fuse(network, "dft").to(device).bfloat16().to(memory_format=last))  # type: ignore[call-overload]
    runs: dict[str, Callable[[Tensor, Tensor], object]] = {}
    for name, way in {"eager fp32": BytePass(network.to(device)), "fused bf16, eager": half}.items():
        runs[name] = lambda pixels, holes, way=way: way(pixels, holes, window, None)
    for precision in ("tf32", "bf16"):
        for title, compiled in ((f"program {precision}", False), (f"program {precision}, compiled", True)):
            program = Program(network, device, precision, compiled=compiled)  # type: ignore[arg-type]
            runs[title] = lambda pixels, holes, program=program: program(pixels, holes, window)
    return runs


def throughput(
    name: str, network: nn.Module, clock: Clock, shapes: list[tuple[int, int, int]], *, compiled: bool
) -> list[dict[str, object]]:
    """Rows of milliseconds and images/s for every way and shape ``(batch, height, width)``."""
    rows: list[dict[str, object]] = []
    with torch.inference_mode():
        for batch, height, width in shapes:
            pixels, holes = _input(batch, height, width, clock.device)
            for way, run in ways(network, clock.device, Box(0, 0, height, width)).items():
                if "compiled" in way and not (compiled and batch == shapes[0][0]):
                    continue
                torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = "tf32" in way
                try:
                    milliseconds = clock.median_ms(lambda run=run, pixels=pixels, holes=holes: run(pixels, holes))
                except torch.OutOfMemoryError:
                    rows.append({"network": name, "way": way, "batch": batch, "size": f"{width}x{height}", "oom": True})
                    continue
                row: dict[str, object] = {
                    "network": name,
                    "way": way,
                    "batch": batch,
                    "size": f"{width}x{height}",
                    "ms": round(milliseconds, 3),
                    "images_per_s": round(1000 * batch / milliseconds, 1),
                }
                gflop = BIG_LAMA_GFLOP.get((height, width)) if name == "big-lama" else None
                if gflop:
                    floor = gflop * batch / H200_BF16_TFLOPS
                    row |= {"floor_ms": round(floor, 3), "share_of_floor": round(floor / milliseconds, 3)}
                rows.append(row)
    return rows


def engine_rate(network: nn.Module, device: torch.device, precision: Precision, side: int, tiles: int) -> float:
    """Tiles per second through the engine: from bytes of 16 threads to filled values on the host."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    hole = np.zeros((side, side), np.uint8)
    hole[side // 3 : side // 2, side // 4 : side // 2] = 255
    tile = Tile(noise, hole)
    with Engine(network, device, precision, max_batch=16, max_delay_ms=3) as engine, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: engine.submit(tile).result(), range(32)))
        began = time.perf_counter()
        list(threads.map(lambda _: engine.submit(tile).result(), range(tiles)))
        return round(tiles / (time.perf_counter() - began), 1)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for gpu.json")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small networks, few repeats")
    options = parser.parse_args(arguments)
    device, console = torch.device(options.device), Console(width=120)
    torch.manual_seed(0)
    if options.quick:
        networks: dict[str, nn.Module] = {"tiny": randomise_norms(LaMaGenerator(ngf=8, n_blocks=1))}
        side, batches, large, repeat, tiles = 64, [1, 2], (96, 64), 2, 8
    else:
        networks = {name: randomise_norms(NETWORKS[name]()) for name in ("big-lama", "fourier-unet")}
        side, batches, large, repeat, tiles = 512, [1, 8, 16, 32], (1600, 1200), 10, 512
    clock = Clock(device, repeat)
    report: dict[str, object] = {"device": _device_name(device), "torch": torch.__version__}
    rows: list[dict[str, object]] = []
    for name, network in networks.items():
        report[f"{name} parity_db"] = correctness(network, device, side)
        shapes = [*((batch, side, side) for batch in batches), (1, *large)]
        rows += throughput(name, network, clock, shapes, compiled=not options.quick)
        architecture = "lama" if isinstance(network, LaMaGenerator) else name
        precision = best_precision(device, architecture)
        report[f"{name} engine_tiles_per_s"] = engine_rate(network, device, precision, side, tiles)
        _write(options.out, {**report, "rows": rows})  # the figures so far survive a later crash
    if device.type == "cuda":
        report["peak_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    _write(options.out, {**report, "rows": rows})
    table = Table("network", "way", "size", "batch", "ms", "images/s", "floor ms", "share of floor")
    for row in rows:
        cells = ("network", "way", "size", "batch", "ms", "images_per_s", "floor_ms", "share_of_floor")
        table.add_row(*(str(row.get(cell, "")) for cell in cells))
    console.print(table)
    console.print_json(data=report)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _write(folder: Path, report: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

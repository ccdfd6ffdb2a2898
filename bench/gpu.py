"""Correctness and throughput on an NVIDIA device, in one command of a few minutes.

    python -m bench.gpu OUT [--device cuda] [--compiled] [--quick]

First come the device's own ceilings: its memory, its products of matrices, and a kernel that does nothing. Then, for
``big-lama`` and the network that ships, each fast path's bytes against those of eager fp32; its time at 512 px in
growing batches and at 1200x1600, beside the floor that the ceilings set (``bench.roofline`` counts the pass); and the
engine as a worker uses it, from bytes of many threads to filled tiles. ``--compiled`` adds passes compiled by Inductor,
which take a minute each to compile.

``OUT/gpu.json`` is written after every row, so that a fault costs one row; a way that fails is named there with its
error. ``OUT/kernels-NETWORK.txt`` lists the kernels of one captured pass. ``--quick`` takes small networks and few
repeats: its figures only show that the script runs.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bench.engine import NETWORKS, corner, randomise_norms
from bench.roofline import Cost, captured_pass
from model.box import Box
from model.engine.engine import Engine
from model.engine.flight import Tile
from model.networks.fused import fuse
from model.networks.lama import LaMaGenerator
from model.networks.precision import Precision, best_precision
from model.networks.program import BytePass, Program
from model.networks.weights import SHIPPED, load_network

#: A pass over pixels and holes, of which a window is drawn.
Pass = Callable[[Tensor, Tensor, Box], object]
#: Number, height and width of tiles.
Shape = tuple[int, int, int]


class Report:
    """Figures that are on disk as soon as they are known."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "gpu.json"
        self.facts: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []

    def fact(self, name: str, make: Callable[[], object]) -> Any:
        """Add what ``make`` gives, or its error; the value."""
        try:
            value = make()
        except Exception as error:  # of any kind: a fault costs one fact
            value = _told(error)
        self.facts[name] = value
        self._write()
        return value

    def row(self, **cells: object) -> None:
        self.rows.append(cells)
        self._write()

    def _write(self) -> None:
        self._path.write_text(json.dumps({**self.facts, "rows": self.rows}, indent=1) + "\n")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


class Clock:
    """Times work on a device, and waits for the device to finish."""

    def __init__(self, device: torch.device, repeat: int) -> None:
        self.device, self.repeat = device, repeat

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def median_ms(self, run: Callable[[], object], calls: int = 1) -> float:
        """Median milliseconds of ``run`` after two warm-ups; ``calls``: queued in a row, of which the mean counts."""
        times = []
        for _ in range(self.repeat + 2):
            self.wait()
            began = time.perf_counter()
            for _ in range(calls):
                run()
            self.wait()
            times.append((time.perf_counter() - began) * 1000 / calls)
        return statistics.median(times[2:])


def ceilings(clock: Clock, side: int) -> dict[str, float]:
    """Bytes/s of a copy on the device (read and written), operations/s of a product, seconds of an idle kernel."""
    device = clock.device
    source = torch.rand(side * side * 16, device=device)
    target = torch.empty_like(source)
    copying = clock.median_ms(functools.partial(target.copy_, source), calls=10)
    a, b = (torch.rand(side, side, device=device, dtype=torch.bfloat16) - 0.5 for _ in range(2))
    product = clock.median_ms(lambda: a @ b, calls=10)
    one = torch.ones(1, device=device)
    idle = clock.median_ms(_chained(one), calls=1) / 100
    return {
        "bytes_per_s": 2 * 4 * side * side * 16 / copying * 1e3,
        "flops_per_s": 2 * side**3 / product * 1e3,
        "kernel_s": idle / 1e3,
    }


def _chained(one: Tensor) -> Callable[[], object]:
    """A hundred kernels that do next to nothing: in a graph on CUDA."""

    def hundred() -> None:
        for _ in range(100):
            one.add_(1)

    if one.device.type != "cuda":
        return hundred
    hundred()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        hundred()
    return graph.replay


def psnr(result: Tensor, reference: Tensor) -> float:
    """Peak signal-to-noise ratio of values in [0, 1], in dB; 120 where they are equal."""
    return float(-10 * torch.log10((result.float() - reference.float()).square().mean().clamp_min(1e-12)))


def correctness(network: nn.Module, device: torch.device, shape: Shape) -> dict[str, float]:
    """PSNR of each fast path's bytes against those of eager fp32, in dB, of whole tiles and of a window."""
    pixels, holes = _input(*shape, device)
    whole, part = Box(0, 0, *shape[1:]), corner(*shape[1:])
    with _products(tf32=False), torch.inference_mode():
        reference, _ = BytePass(network.to(device))(pixels, holes, whole, None)
    found: dict[str, float] = {}
    precisions: tuple[Precision, ...] = ("fp32", "tf32", "bf16")
    for precision in precisions:
        program = Program(network, device, precision)
        for name, window in (("", whole), (", window", part)):
            # A window is captured once it was asked for a few times.
            for _ in range(4):
                fill = program(pixels, holes, window)
            drawn = fill.window
            inner = Box(
                window.top - drawn.top, window.left - drawn.left, window.bottom - drawn.top, window.right - drawn.left
            )
            seen, right = fill.values[:, *inner.slices], reference[:, *window.slices]
            found[f"{precision}{name}"] = round(psnr(seen / 255, right / 255), 1)
        program.close()
    return found


@contextlib.contextmanager
def _products(*, tf32: bool) -> Iterator[None]:
    """Whether products of fp32 are rounded to TF32 during the block."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _input(batch: int, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels of smooth shapes with noise, and holes of a tenth of them."""
    generator = torch.Generator().manual_seed(batch * height + width)
    coarse = torch.rand(batch, 3, 9, 9, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    noisy = smooth * 235 + torch.rand(batch, 3, height, width, generator=generator) * 20
    holes = (torch.rand(batch, height // 16, width // 16, generator=generator) > 0.9).to(torch.uint8)
    whole = holes.repeat_interleave(16, 1).repeat_interleave(16, 2)
    return noisy.to(torch.uint8).permute(0, 2, 3, 1).contiguous().to(device), whole.to(device)


def ways(network: nn.Module, device: torch.device) -> dict[str, Pass]:
    """Each way of running a batch, by name."""
    half = fuse(network, "dft").to(device).bfloat16().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return {
        "eager fp32": functools.partial(_eager, BytePass(network.to(device))),
        "fused bf16, eager": functools.partial(_eager, BytePass(half)),
        "captured tf32": Program(network, device, "tf32"),
        "captured bf16": Program(network, device, "bf16"),
    }


def _eager(network: BytePass, pixels: Tensor, holes: Tensor, window: Box) -> object:
    with torch.inference_mode(), _products(tf32=False):
        return network(pixels, holes, window, None)


@dataclass(frozen=True)
class Timing:
    """Times passes of one network, and adds a row to the report for each."""

    report: Report
    clock: Clock
    name: str
    #: Of :func:`ceilings`.
    limits: dict[str, float]

    def all(self, ways: dict[str, Pass], shapes: list[Shape]) -> None:
        """Rows for every way and shape: whole tiles, and for captured bf16 also a window of them."""
        for way, run in ways.items():
            for shape in shapes:
                self.row(way, run, shape, Box(0, 0, *shape[1:]))
                if way == "captured bf16":
                    self.row(way, run, shape, corner(*shape[1:]))

    def row(self, way: str, run: Pass, shape: Shape, window: Box) -> None:
        batch, height, width = shape
        title = {
            "network": self.name,
            "way": way,
            "batch": batch,
            "size": f"{width}x{height}",
            "drawn": "whole" if window.area == height * width else f"{window.width}x{window.height}",
        }
        pixels, holes = _input(*shape, self.clock.device)
        try:
            milliseconds = self.clock.median_ms(lambda: run(pixels, holes, window), calls=3)
        except Exception as error:  # of any kind: a fault costs one row
            self.report.row(**title, error=_told(error))
            return
        cells = {"ms": round(milliseconds, 3), "images_per_s": round(1000 * batch / milliseconds, 1)}
        if self.name in NETWORKS:
            work = _arithmetic(self.name, shape, window)
            by_arithmetic, by_bytes = work.flops / self.limits["flops_per_s"], work.nbytes / self.limits["bytes_per_s"]
            floor_ms = 1e3 * max(by_arithmetic, by_bytes)
            cells |= {"floor_ms": round(floor_ms, 3), "share_of_floor": round(floor_ms / milliseconds, 3)}
        self.report.row(**title, **cells)


@functools.cache
def _arithmetic(name: str, shape: Shape, window: Box) -> Cost:
    return captured_pass(NETWORKS[name], shape, "bf16", window).total(glue=False)


def kernels(network: nn.Module, device: torch.device, shape: Shape, path: Path) -> str:
    """Write the kernels of one captured pass to ``path``, the dearest first; its name."""
    pixels, holes = _input(*shape, device)
    program, window = Program(network, device, "bf16"), Box(0, 0, *shape[1:])
    program(pixels, holes, window)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(5):
            program(pixels, holes, window)
        Clock(device, 1).wait()
    program.close()
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    path.write_text(str(profile.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=110)))
    return path.name


def _seconds_since(began: float) -> float:
    return round(time.perf_counter() - began, 1)


def engine_rates(
    network: nn.Module, device: torch.device, precision: Precision, sides: list[int], tiles: int
) -> dict[str, dict[str, float]]:
    """Tiles/s through the engine by tile side: from bytes of 16 threads to filled values on the host."""
    rates = {}
    for side in sides:
        noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        hole = np.zeros((side, side), np.uint8)
        hole[side // 3 : side // 2, side // 4 : side // 2] = 255
        tile = Tile(noise, hole)
        with Engine(network, device, precision, max_batch=8) as engine, ThreadPoolExecutor(16) as threads:
            engine.warm(side, side, tile.window)
            list(threads.map(lambda _, tile=tile, engine=engine: engine.submit(tile).result(), range(64)))
            before, began = engine.load, time.perf_counter()
            list(threads.map(lambda _, tile=tile, engine=engine: engine.submit(tile).result(), range(tiles)))
            took, after = time.perf_counter() - began, engine.load
        rates[str(side)] = {
            "tiles_per_s": round(tiles / took, 1),
            "tiles_per_pass": round(tiles / max(after.passes - before.passes, 1), 2),
            "idle": round((after.idle_s - before.idle_s) / took, 3),
        }
    return rates


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for gpu.json")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compiled", action="store_true", help="also passes compiled by Inductor, at one shape")
    parser.add_argument("--quick", action="store_true", help="small networks, few repeats")
    options = parser.parse_args(arguments)
    device, console, report = torch.device(options.device), Console(width=140), Report(options.out)
    torch.manual_seed(0)
    if options.quick:
        networks: dict[str, nn.Module] = {"tiny": randomise_norms(LaMaGenerator(ngf=8, n_blocks=1))}
        shapes, large, repeat, tiles, sides = [(1, 64, 64), (2, 64, 64)], (1, 96, 64), 2, 8, [64]
    else:
        networks = {"big-lama": randomise_norms(NETWORKS["big-lama"]()), "fourier-unet": load_network(SHIPPED)[0]}
        shapes = [(1, 512, 512), (2, 512, 512), (4, 512, 512), (8, 512, 512), (1, 256, 256), (8, 256, 256)]
        large, repeat, tiles, sides = (1, 1600, 1200), 10, 1024, [256, 512]
    clock = Clock(device, repeat)
    report.fact("device", lambda: torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu")
    report.fact("torch", lambda: torch.__version__)
    limits = report.fact("ceilings", lambda: ceilings(clock, 256 if options.quick else 8192))
    for name, network in networks.items():
        for shape in (shapes[0], large):
            report.fact(f"{name} parity_db {shape}", functools.partial(correctness, network, device, shape))
        Timing(report, clock, name, limits).all(ways(network, device), [*shapes, large])
        precision = best_precision(device, "lama" if isinstance(network, LaMaGenerator) else name)
        report.fact(f"{name} engine", functools.partial(engine_rates, network, device, precision, sides, tiles))
    for name, network in networks.items():
        path = options.out / f"kernels-{name}.txt"
        report.fact(f"{name} kernels", functools.partial(kernels, network, device, shapes[0], path))
    if device.type == "cuda":
        report.fact("peak_gib", lambda: round(torch.cuda.max_memory_allocated(device) / 2**30, 2))
    for name, network in networks.items() if options.compiled else ():
        began, window = time.perf_counter(), Box(0, 0, *shapes[0][1:])
        compiled = Program(network, device, "bf16", compiled=True)
        Timing(report, clock, name, limits).row("captured bf16, compiled", compiled, shapes[0], window)
        report.fact(f"{name} seconds with compilation", functools.partial(_seconds_since, began))
    cells = ("network", "way", "size", "batch", "drawn", "ms", "images_per_s", "floor_ms", "share_of_floor", "error")
    table = Table(*cells)
    for row in report.rows:
        table.add_row(*(str(row.get(cell, "")) for cell in cells))
    console.print(table)
    console.print_json(data=report.facts)


if __name__ == "__main__":
    main()

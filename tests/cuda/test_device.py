"""The way over an NVIDIA device, on one: ``python -m pytest tests/cuda``. Without a device these tests are left out.

What can be shown without one is shown with stand-ins, in ``tests/unit/model``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from bench.engine import randomise_norms
from cleanplate.base.settings import Settings
from model import LaMaInpainter
from model.engine.engine import Engine
from model.engine.flight import Tile
from model.networks.graphs import graphs_of
from model.networks.lama import LaMaGenerator
from model.networks.precision import best_precision
from model.networks.weights import SHIPPED, load_network
from tests.running import until
from workers.machine.devices import devices

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA device")

DEVICE, CPU = torch.device("cuda", 0), torch.device("cpu")
#: Least PSNR of a fill against the CPU's in fp32, in dB. Bytes of another tile or of freed memory have below 20.
LEAST_DB = {"bf16": 38.0, "tf32": 50.0, "fp32": 60.0}


@pytest.fixture(scope="module")
def shipped() -> nn.Module:
    return load_network(SHIPPED)[0]


@pytest.fixture(scope="module")
def lama() -> nn.Module:
    torch.manual_seed(3)
    return randomise_norms(LaMaGenerator(ngf=16, n_blocks=3))


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    """Every test begins without captured passes, in memory that holds what no pass may read."""
    graphs_of(DEVICE).shed()
    poison()
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, DEVICE)


def poison(nbytes: int = 2 << 30) -> None:
    """Leave freed memory of the allocator full of values that are not finite."""
    held = [torch.full((nbytes // 64,), float("nan"), device=DEVICE) for _ in range(16)]
    torch.cuda.synchronize(DEVICE)
    del held


def tile(seed: int, height: int, width: int) -> Tile:
    """A smooth picture with a hole somewhere in it."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    shades = [np.sin(rows / random.uniform(9, 40) + columns / random.uniform(9, 40)) for _ in range(3)]
    pixels = (np.stack(shades, axis=2) * 90 + 128 + random.normal(0, 3, (height, width, 3))).clip(0, 255)
    hole = np.zeros((height, width), np.uint8)
    top, left = random.integers(0, height // 2), random.integers(0, width // 2)
    hole[top : top + height // 4, left : left + width // 3] = 255
    return Tile(pixels.astype(np.uint8), hole)


def least_db(tiles: list[Tile], results: list[NDArray[np.uint8]], reference: list[NDArray[np.uint8]]) -> float:
    """The PSNR inside the hole of the result that is farthest from its reference."""
    worst = np.inf
    for asked, result, right in zip(tiles, results, reference, strict=True):
        inside = asked.hole > 0
        error = np.square(result[inside].astype(float) - right[inside]).mean()
        worst = min(worst, 10 * np.log10(255**2 / max(error, 1e-6)))
    return worst


def filled(running: Engine, tiles: list[Tile]) -> list[NDArray[np.uint8]]:
    """The tiles' values, asked for all at once; none may be degraded."""
    answers = [future.result(timeout=300) for future in [running.submit(asked) for asked in tiles]]
    assert [answer.notes for answer in answers if answer.notes] == []
    return [answer.values for answer in answers]


def on_the_cpu(network: nn.Module, tiles: list[Tile]) -> list[NDArray[np.uint8]]:
    with Engine(network, CPU, "fp32", max_batch=1, max_delay_ms=0) as running:
        return filled(running, tiles)


SHAPES = [(64, 64), (96, 160), (256, 256), (272, 400), (512, 512), (640, 384)]


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("kind", ["shipped", "lama"])
def test_captured_passes_give_what_the_cpu_gives(kind: str, precision: str, request: pytest.FixtureRequest) -> None:
    network = request.getfixturevalue(kind)
    tiles = [tile(n, *shape) for n, shape in enumerate(SHAPES) for _ in range(5)]
    with Engine(network, DEVICE, precision, max_batch=8) as running:  # type: ignore[arg-type]
        # Windows get a graph of their own when they are asked for a third time.
        rounds = [filled(running, tiles) for _ in range(4)]
        assert running.load.passes < 4 * len(tiles)
    reference = on_the_cpu(network, tiles)
    assert [least_db(tiles, results, reference) > LEAST_DB[precision] for results in rounds] == [True] * 4


def test_a_graph_gives_the_same_after_fifty_other_shapes(shipped: nn.Module) -> None:
    """What a captured pass reads is not given back while other shapes come and go."""
    hot = tile(1, 256, 320)
    with Engine(shipped, DEVICE, "bf16", max_batch=1) as running:
        [first] = filled(running, [hot])
        for n in range(54):
            filled(running, [tile(n, 64 + 16 * (n % 9), 64 + 16 * (n // 9))])
            if n % 9 == 8:
                poison()
        [last] = filled(running, [hot])
    assert np.array_equal(first, last)


def test_threads_and_networks_share_a_device_while_passes_are_captured(shipped: nn.Module, lama: nn.Module) -> None:
    def work(network: nn.Module, first: int) -> float:
        tiles = [tile(first + n, *SHAPES[n % len(SHAPES)]) for n in range(24)]
        with Engine(network, DEVICE, "bf16", max_batch=4) as running, ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda asked: running.submit(asked).result(timeout=300), tiles))
        return least_db(tiles, [answer.values for answer in answers], on_the_cpu(network, tiles))

    with ThreadPoolExecutor(4) as threads:
        worst = list(threads.map(work, [shipped, lama, shipped, lama], [100, 200, 300, 400]))
    assert min(worst) > LEAST_DB["bf16"], worst


def test_tiles_are_filled_the_same_each_time_beside_others(shipped: nn.Module) -> None:
    """A race between copies and passes would change bytes now and then."""
    tiles = [tile(n, 512, 512) for n in range(8)]
    with Engine(shipped, DEVICE, "bf16", max_batch=1) as running:
        # In the first round every window comes to a graph of its own.
        first, *rounds = [filled(running, tiles * 16) for _ in range(4)]
    assert least_db(tiles * 16, first, rounds[0]) > LEAST_DB["bf16"]
    for results in rounds:
        assert all(np.array_equal(values, rounds[0][n % 8]) for n, values in enumerate(results))


def test_passes_captured_ahead_are_used(shipped: nn.Module) -> None:
    asked, graphs = tile(5, 384, 384), graphs_of(DEVICE)
    with Engine(shipped, DEVICE, "bf16", max_batch=8) as running:
        running.warm(384, 384, asked.window)
        until(lambda: len(graphs._graphs) == 4, "passes of 8, 4, 2 and 1 tiles were not captured")
        [ahead] = filled(running, [asked])
        assert len(graphs._graphs) == 4
    assert least_db([asked], [ahead], on_the_cpu(shipped, [asked])) > LEAST_DB["bf16"]


def test_a_device_without_room_takes_smaller_batches_and_not_the_cpu(lama: nn.Module) -> None:
    tiles = [tile(n, 768, 768) for n in range(8)]
    with Engine(lama, DEVICE, "bf16", max_batch=8, max_delay_ms=1000) as running:
        filled(running, tiles[:1])
        torch.cuda.empty_cache()
        # Room for a pass of two or three tiles.
        limit = torch.cuda.memory_reserved(DEVICE) + 2 * graphs_of(DEVICE)._reserved
        total = torch.cuda.get_device_properties(DEVICE).total_memory
        torch.cuda.set_per_process_memory_fraction(limit / total, DEVICE)
        answers = [future.result(timeout=300) for future in [running.submit(asked) for asked in tiles]]
    notes = {note for answer in answers for note in answer.notes}
    assert "smaller_batch" in notes and "cpu" not in notes, notes
    assert least_db(tiles, [answer.values for answer in answers], on_the_cpu(lama, tiles)) > LEAST_DB["bf16"] - 6


def test_values_beyond_bf16_are_computed_in_fp32() -> None:
    class Loud(nn.Module):
        """Not finite in bf16, as a network whose activations grow too large."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1), requires_grad=False)

        def forward(self, x: torch.Tensor, window: object, strength: object = None) -> torch.Tensor:
            del strength
            loud = x[:, :3, *window.slices] * self.scale  # type: ignore[attr-defined]
            return loud / (1.0 if loud.dtype == torch.float32 else 0.0)

    with Engine(Loud(), DEVICE, "bf16", max_batch=1) as running:
        answers = [running.submit(tile(n, 64, 64)).result(timeout=60) for n in range(4)]
        assert [answer.notes for answer in answers] == [("fp32",)] * 4
        assert running.precision == "fp32"


def test_a_fault_of_the_device_is_told_as_its_loss() -> None:
    """An assertion of a kernel ends the process's use of CUDA: in a process of its own."""
    script = """
import torch
from model.engine.engine import Engine
from model.errors import DeviceLost
from tests.cuda.test_device import DEVICE, tile
class Broken(torch.nn.Module):
    broken = False
    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    def forward(self, x, window, strength=None):
        if Broken.broken:
            x[0, 0].flatten()[torch.tensor([1 << 30], device=x.device)]
        return x[:, :3, *window.slices] * self.gain
with Engine(Broken(), DEVICE, "fp32", max_batch=1) as running:
    running.submit(tile(1, 64, 64)).result(timeout=60)
    Broken.broken = True
    try:
        running.submit(tile(1, 96, 96)).result(timeout=60)
    except DeviceLost as lost:
        print("lost", lost)
    try:
        running.submit(tile(1, 96, 96))
    except DeviceLost:
        print("refused")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert [line.split()[0] for line in run.stdout.splitlines()] == ["lost", "refused"], run.stdout + run.stderr[-3000:]


def test_a_picture_is_the_same_on_both_devices() -> None:
    asked = tile(9, 1200, 900)
    clean = {}
    for device in ("cpu", "cuda"):
        with LaMaInpainter(device=device) as inpainter:
            clean[device] = inpainter(asked.pixels, asked.hole, method="fill")
    outside = asked.hole == 0
    wide = np.zeros_like(asked.hole)
    rows, columns = np.nonzero(asked.hole)
    wide[max(0, rows.min() - 16) : rows.max() + 16, max(0, columns.min() - 16) : columns.max() + 16] = 1
    assert np.array_equal(clean["cuda"][wide == 0], asked.pixels[wide == 0])
    error = np.square(clean["cpu"][~outside].astype(float) - clean["cuda"][~outside]).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-6)) > LEAST_DB["bf16"]


def test_the_device_is_found_by_its_uuid_and_computes_in_bf16() -> None:
    found = devices(Settings(device="auto"))
    assert len(found) == torch.cuda.device_count()
    if torch.cuda.get_device_capability(DEVICE) >= (8, 0):
        assert best_precision(DEVICE, "fourier-unet") == "bf16"

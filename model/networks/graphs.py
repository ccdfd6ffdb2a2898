"""CUDA graphs: a network's pass at one shape, captured once and replayed for each batch.

An eager pass of LaMa is about 1,340 kernel launches; a replay is one. All graphs of a device belong to its one
:class:`DeviceGraphs`, whichever network they run: they share a stream for captures and a pool of memory, and one of
them runs at a time. Graphs of one pool need the memory of the largest, not the sum of all.

A captured pass reads fixed places of memory, so the window that its decoder draws is fixed too. Windows are rounded to
a grid, so that the marks of a job find their graph again; a window that is seldom asked for is drawn as the whole tile.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.box import Box
from model.networks.copies import Copies
from model.networks.spectral import Matrices, handed_out

log = logging.getLogger(__name__)

#: Most graphs of a device. Each holds its kernels' parameters, a few megabytes, beside the shared pool.
MOST_GRAPHS = 64
#: Share of a device's memory that the pool of its graphs may take.
_POOL_SHARE = 0.5
_WARM_UP = 3

#: Windows are rounded outwards to so many px, and are the whole tile from this share of it on.
_GRID, _NEARLY_ALL = 64, 0.75
#: A window gets a graph of its own when it is asked for so often; of so many windows the count is kept.
_OFTEN, _MOST_COUNTED = 3, 1024


class Batch(NamedTuple):
    """What a pass is given: tiles on the device, and the part of them that it draws."""

    #: ``uint8 [N, H, W, 3]``
    pixels: Tensor
    #: ``uint8 [N, H, W]``, not 0 in the hole.
    holes: Tensor
    window: Box
    #: ``float32 [N]``: scales the spectral paths for each tile; ``None``: 1 for all.
    strength: Tensor | None = None


#: A pass, the shape of a batch (number, height, width), its window, and whether strengths are given.
_Key = tuple[nn.Module, tuple[int, ...], Box, bool]


class DeviceGraphs:
    """The captured passes of all networks on one device. Threads may share it."""

    def __init__(self, device: torch.device, *, most: int = MOST_GRAPHS, pool_bytes: int | None = None) -> None:
        """``pool_bytes``: memory of the pool over which all graphs are let go; ``None``: half of the device's."""
        self.device = device
        self._most = most
        self._pool_bytes = (
            int(torch.cuda.get_device_properties(device).total_memory * _POOL_SHARE)
            if pool_bytes is None
            else pool_bytes
        )
        #: Held while a pass is captured or queued, and while a network is moved to the device.
        self._lock = threading.RLock()
        #: The last used at the end.
        self._graphs: OrderedDict[_Key, _Graph] = OrderedDict()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._reserved = 0
        #: Pixels of the largest batch in the pool.
        self._most_px = 0
        self._asked: Counter[tuple[nn.Module, tuple[int, ...], Box]] = Counter()
        self.copies = Copies(device)

    def drawn(self, network: nn.Module, shape: tuple[int, ...], window: Box) -> Box:
        """The window that a pass over a batch of ``shape`` (number, height, width, ...) draws to cover ``window``."""
        whole = Box(0, 0, *shape[1:3])
        rounded = _rounded(window, whole)
        key = network, tuple(shape[:3]), rounded
        with self._lock:
            if rounded == whole or (*key, False) in self._graphs or (*key, True) in self._graphs:
                return rounded
            if len(self._asked) >= _MOST_COUNTED:
                self._asked.clear()
            self._asked[key] += 1
            return rounded if self._asked[key] >= _OFTEN else whole

    def run(self, network: nn.Module, batch: Batch) -> tuple[Tensor, ...]:
        """``network(*batch)`` on the device, in tensors of its own. Waits for nothing.

        Raises:
            torch.OutOfMemoryError: the device has no room to capture the pass.
        """
        key = network, tuple(batch.holes.shape), batch.window, batch.strength is not None
        with self._lock, torch.cuda.device(self.device):
            graph = self._graphs.pop(key, None) or self._captured(network, batch)
            self._graphs[key] = graph
            if len(self._graphs) > self._most:
                self._graphs.popitem(last=False)
            result = graph.replay(batch)
            if self._reserved > self._pool_bytes:
                log.info("the graphs of %s take %d MB: all are let go", self.device, self._reserved >> 20)
                self.shed()
            return result

    def warm(self, network: nn.Module, shape: tuple[int, int, int], window: Box) -> bool:
        """Capture a pass before it is needed; False where, by what the others took, it has no room beside them.

        ``shape``: number, height and width of the batch. No graph is let go for it.

        Raises:
            torch.OutOfMemoryError: the device has no room to capture the pass.
        """
        key = network, shape, _rounded(window, Box(0, 0, *shape[1:])), False
        with self._lock, torch.cuda.device(self.device), torch.inference_mode():
            if key in self._graphs:
                return True
            # The pool's size follows its largest pass.
            expected = self._reserved * max(1.0, math.prod(shape) / max(self._most_px, 1))
            if len(self._graphs) >= self._most or expected > self._pool_bytes:
                return False
            pixels = torch.zeros((*shape, 3), dtype=torch.uint8, device=self.device)
            holes = torch.zeros(shape, dtype=torch.uint8, device=self.device)
            self._graphs[key] = self._captured(network, Batch(pixels, holes, key[2]))
            if self._reserved > self._pool_bytes:
                self.shed()
                return False
            return True

    def shed(self) -> bool:
        """Let go of all graphs and their memory; whether there were any."""
        with self._lock:
            shed = bool(self._graphs)
            torch.cuda.synchronize(self.device)
            self._graphs.clear()
            # The memory of a pool is free for others only once its last graph is gone.
            self._pool = torch.cuda.graph_pool_handle()
            self._reserved = self._most_px = 0
            torch.cuda.empty_cache()
        return shed

    def forget(self, network: nn.Module) -> None:
        """Let go of the graphs of one network."""
        with self._lock:
            torch.cuda.synchronize(self.device)
            for key in [key for key in self._graphs if key[0] is network]:
                del self._graphs[key]
            for asked in [asked for asked in self._asked if asked[0] is network]:
                del self._asked[asked]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No pass is captured meanwhile: for allocations and copies outside a pass."""
        with self._lock:
            yield

    def _captured(self, network: nn.Module, batch: Batch) -> _Graph:
        torch.cuda.synchronize(self.device)
        # A capture begins with this too; done here, it does not hide what the pool takes.
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(self.device)
        graph = _Graph(network, batch, self._stream, self._pool)
        self._reserved += max(0, torch.cuda.memory_reserved(self.device) - before)
        self._most_px = max(self._most_px, batch.holes.numel())
        return graph


class _Graph:
    """One network's pass at one shape. It owns all tensors that a replay reads."""

    def __init__(self, network: nn.Module, example: Batch, stream: torch.cuda.Stream, pool: object) -> None:
        self._network = network
        self._batch = example._replace(
            pixels=example.pixels.clone(),
            holes=example.holes.clone(),
            strength=None if example.strength is None else example.strength.clone(),
        )
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                network(*self._batch)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # thread_local: other threads may use CUDA meanwhile, for their pictures' bytes.
        with (
            handed_out() as matrices,
            torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"),  # type: ignore[arg-type]
        ):
            self._results: tuple[Tensor, ...] = network(*self._batch)
        self._matrices: list[Matrices] = matrices

    def replay(self, batch: Batch) -> tuple[Tensor, ...]:
        self._batch.pixels.copy_(batch.pixels)
        self._batch.holes.copy_(batch.holes)
        if self._batch.strength is not None and batch.strength is not None:
            self._batch.strength.copy_(batch.strength)
        self._graph.replay()
        # The next replay of any graph of the pool may write over the results.
        return tuple(result.clone() for result in self._results)


def _rounded(window: Box, whole: Box) -> Box:
    """``window`` rounded outwards to the grid, within ``whole``; ``whole`` where that is nearly all of it."""
    rows, columns = -(-whole.height // _GRID), -(-whole.width // _GRID)
    cells = window.cells(_GRID, halo=0, height=rows, width=columns).scaled(_GRID)
    rounded = Box(cells.top, cells.left, min(cells.bottom, whole.height), min(cells.right, whole.width))
    return whole if rounded.area > _NEARLY_ALL * whole.area else rounded


def graphs_of(device: torch.device) -> DeviceGraphs:
    """The graphs of a CUDA device, the same for all callers in this process."""
    return _graphs_of(torch.cuda.current_device() if device.index is None else device.index)


@cache
def _graphs_of(index: int) -> DeviceGraphs:
    return DeviceGraphs(torch.device("cuda", index))

"""CUDA graphs: a network's pass at one shape, captured once and replayed for each batch.

An eager pass of LaMa is about 1,340 kernel launches; a replay is one. All graphs of a device belong to its one
:class:`DeviceGraphs`, whichever network they run: they share a stream for captures and a pool of memory, and one of
them runs at a time. Graphs of one pool need the memory of the largest, not the sum of all.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

from model.networks.spectral import Matrices, handed_out

log = logging.getLogger(__name__)

#: Most graphs of a device. Each holds its kernels' parameters, a few megabytes, beside the shared pool.
MOST_GRAPHS = 64
#: Share of a device's memory that the pool of its graphs may take.
_POOL_SHARE = 0.5
_WARM_UP = 3

#: A network, the shape of a batch, and whether strengths are given.
_Key = tuple[nn.Module, tuple[int, ...], bool]


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

    def run(self, network: nn.Module, batch: Tensor, strength: Tensor | None) -> Tensor:
        """``network(batch, None, strength)`` on the device, in a tensor of its own. Waits for nothing.

        Raises:
            torch.OutOfMemoryError: the device has no room to capture the pass.
        """
        key = network, tuple(batch.shape), strength is not None
        with self._lock, torch.cuda.device(self.device):
            graph = self._graphs.pop(key, None) or self._captured(network, batch, strength)
            self._graphs[key] = graph
            if len(self._graphs) > self._most:
                self._graphs.popitem(last=False)
            result = graph.replay(batch, strength)
            if self._reserved > self._pool_bytes:
                log.info("the graphs of %s take %d MB: all are let go", self.device, self._reserved >> 20)
                self.shed()
            return result

    def shed(self) -> bool:
        """Let go of all graphs and their memory; whether there were any."""
        with self._lock:
            shed = bool(self._graphs)
            torch.cuda.synchronize(self.device)
            self._graphs.clear()
            # The memory of a pool is free for others only once its last graph is gone.
            self._pool = torch.cuda.graph_pool_handle()
            self._reserved = 0
            torch.cuda.empty_cache()
        return shed

    def forget(self, network: nn.Module) -> None:
        """Let go of the graphs of one network."""
        with self._lock:
            torch.cuda.synchronize(self.device)
            for key in [key for key in self._graphs if key[0] is network]:
                del self._graphs[key]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No pass is captured meanwhile: for allocations and copies outside a pass."""
        with self._lock:
            yield

    def _captured(self, network: nn.Module, batch: Tensor, strength: Tensor | None) -> _Graph:
        torch.cuda.synchronize(self.device)
        # A capture begins with this too; done here, it does not hide what the pool takes.
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(self.device)
        graph = _Graph(network, batch, strength, self._stream, self._pool)
        self._reserved += max(0, torch.cuda.memory_reserved(self.device) - before)
        return graph


class _Graph:
    """One network's pass at one shape. It owns all tensors that a replay reads."""

    def __init__(
        self, network: nn.Module, example: Tensor, strength: Tensor | None, stream: torch.cuda.Stream, pool: object
    ) -> None:
        self._network = network
        self._batch = example.clone(memory_format=torch.preserve_format)
        self._strength = None if strength is None else strength.clone()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                network(self._batch, None, self._strength)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # thread_local: other threads may use CUDA meanwhile, for their pictures' bytes.
        with (
            handed_out() as matrices,
            torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"),  # type: ignore[arg-type]
        ):
            self._result: Tensor = network(self._batch, None, self._strength)
        self._matrices: list[Matrices] = matrices

    def replay(self, batch: Tensor, strength: Tensor | None) -> Tensor:
        self._batch.copy_(batch)
        if self._strength is not None and strength is not None:
            self._strength.copy_(strength)
        self._graph.replay()
        # The next replay of any graph of the pool may write over the result.
        return self._result.clone()


def graphs_of(device: torch.device) -> DeviceGraphs:
    """The graphs of a CUDA device, the same for all callers in this process."""
    return _graphs_of(torch.cuda.current_device() if device.index is None else device.index)


@cache
def _graphs_of(index: int) -> DeviceGraphs:
    return DeviceGraphs(torch.device("cuda", index))

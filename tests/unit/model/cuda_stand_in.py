"""CUDA's graphs and memory, played at PyTorch's border on the CPU.

A capture records the operations of its thread. What a capture made itself belongs to the graph's pool; everything else
that an operation read is an input, of which only an address is known, as on the device. A replay runs the operations
again, into the same results, and fails where an input is no longer there.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class FreedMemory(RuntimeError):
    """A replay read memory that somebody gave back."""


class Card:
    """A device's memory. ``room``: bytes that the pools of all graphs may take."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.captures = 0
        #: Captures for which there was no room.
        self.refused = 0
        #: Bytes of each living pool; a pool takes what its largest graph needs.
        self.pools: dict[int, int] = {}
        self._graphs: weakref.WeakSet[StandInGraph] = weakref.WeakSet()

    def reserved(self) -> int:
        self.empty()
        return sum(self.pools.values())

    def empty(self) -> None:
        used = {graph.pool for graph in self._graphs}
        self.pools = {pool: size for pool, size in self.pools.items() if pool in used}

    def take(self, graph: StandInGraph) -> None:
        self.captures += 1
        size = max(self.pools.get(graph.pool, 0), graph.bytes)
        if self.room is not None and self.reserved() - self.pools.get(graph.pool, 0) + size > self.room:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.pools[graph.pool] = size
        self._graphs.add(graph)


class _Address:
    """The place of an input."""

    def __init__(self, tensor: Tensor) -> None:
        self._storage = weakref.ref(tensor)

    def read(self) -> Tensor:
        tensor = self._storage()
        if tensor is None:
            raise FreedMemory
        return tensor


class StandInGraph(TorchDispatchMode):
    """``torch.cuda.CUDAGraph``."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = 0
        self.bytes = 0
        self._steps: list[tuple[Any, Any, Any, Any]] = []
        self._made: dict[int, Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)

        def placed(tensor: Tensor) -> Any:
            return tensor if id(tensor) in self._made else _Address(tensor)

        self._steps.append((func, tree_map_only(Tensor, placed, args), tree_map_only(Tensor, placed, kwargs), result))

        def keep(tensor: Tensor) -> Tensor:
            if id(tensor) not in self._made:
                self._made[id(tensor)] = tensor
                self.bytes += tensor.numel() * tensor.element_size()
            return tensor

        tree_map_only(Tensor, keep, result)
        return result

    def replay(self) -> None:
        for func, args, kwargs, result in self._steps:
            again = func(
                *tree_map_only(_Address, _Address.read, args), **tree_map_only(_Address, _Address.read, kwargs)
            )
            if isinstance(result, Tensor) and again.data_ptr() != result.data_ptr():
                result.copy_(again)


@contextmanager
def _capture(card: Card, graph: StandInGraph, pool: int, **_: Any) -> Iterator[None]:
    graph.pool = pool
    with graph:
        yield
    card.take(graph)


class _Stream:
    def __init__(self, _: object = None) -> None: ...

    def wait_stream(self, _: object) -> None: ...


@contextmanager
def cuda_on_cpu(room: int | None = None) -> Iterator[Card]:
    """PyTorch's CUDA calls reach a stand-in during the block."""
    card = Card(room)
    handles = iter(range(1, 10_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "Stream", _Stream)
        patch.setattr(torch.cuda, "current_stream", _Stream)
        patch.setattr(torch.cuda, "stream", lambda _: nullcontext())
        patch.setattr(torch.cuda, "device", lambda _: nullcontext())
        patch.setattr(torch.cuda, "synchronize", lambda _=None: None)
        patch.setattr(torch.cuda, "empty_cache", card.empty)
        patch.setattr(torch.cuda, "memory_reserved", lambda _=None: card.reserved())
        patch.setattr(torch.cuda, "graph_pool_handle", lambda: next(handles))
        patch.setattr(torch.cuda, "CUDAGraph", StandInGraph)
        patch.setattr(torch.cuda, "graph", lambda graph, **options: _capture(card, graph, **options))
        yield card

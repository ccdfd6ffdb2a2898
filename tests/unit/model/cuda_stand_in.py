"""CUDA's graphs, memory and streams, played at PyTorch's border on the CPU.

A capture records the operations of its thread. What a capture made itself belongs to the graph's pool; everything else
that an operation read is an input, of which only an address is known, as on the device. A replay runs the operations
again, into the same results, and fails where an input is no longer there.

Work of a stream is done at once. :class:`StreamOrder` watches whether the streams' waits would have put it in order.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only


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
        #: Watches the streams, where a test asks for it.
        self.order: StreamOrder | None = None

    def record(self, tensor: Tensor, stream: Stream) -> None:
        """``Tensor.record_stream``."""
        if self.order is not None:
            self.order.record(tensor, stream)

    def empty_tensor(
        self, empty: Callable[..., Tensor], *size: Any, pin_memory: bool = False, **options: Any
    ) -> Tensor:
        """``torch.empty``; memory of this host cannot be pinned."""
        tensor = empty(*size, **options)
        if pin_memory and self.order is not None:
            self.order.on_host(tensor)
        return tensor

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


class Stream:
    """``torch.cuda.Stream``. ``seen``: how much of each stream's work is done before what comes next on this one."""

    def __init__(self, _: object = None) -> None:
        self.seen: Counter[Stream] = Counter()

    def wait_stream(self, other: Stream) -> None:
        self.seen |= other.seen


class Event:
    """``torch.cuda.Event``."""

    def __init__(self) -> None:
        self.seen: Counter[Stream] = Counter()

    def record(self, stream: Stream) -> None:
        self.seen = stream.seen.copy()

    def query(self) -> bool:
        return True

    def synchronize(self) -> None: ...


class _Current(threading.local):
    """The stream of each thread."""

    def __init__(self) -> None:
        self.stream = Stream()


_current = _Current()


@contextmanager
def _on(stream: Stream) -> Iterator[None]:
    before, _current.stream = _current.stream, stream
    try:
        yield
    finally:
        _current.stream = before


class Race(RuntimeError):
    """A stream reads or writes memory that another one may still be writing, reading, or have given back."""


class StreamOrder(TorchDispatchMode):
    """Fails where two streams touch the same memory, one of them writing, and neither waits for the other."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[int, tuple[Stream, int]] = {}
        self._read: dict[int, Counter[Stream]] = {}
        self._owners: dict[int, Stream] = {}
        self._recorded: set[tuple[int, Stream]] = set()
        #: So that no address is used twice.
        self._kept: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        stream = _current.stream
        stream.seen[stream] += 1
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        known = {_address(tensor) for tensor in given}
        written = {_address(tensor) for tensor in made} - known
        if made and not written and not func._schema.is_mutable:
            return result  # a view
        if func._schema.is_mutable:
            written.add(_address(given[0]))
        for at in known - written:
            self._check_read(at, stream)
        for at in written:
            self._check_written(at, stream)
            self._owners.setdefault(at, stream)
        self._kept += [*given, *made]
        return result

    def on_host(self, tensor: Tensor) -> None:
        """Pinned memory, which the host's allocator gives back only after the copies that it knows of."""
        self._owners[_address(tensor)] = _HOST
        self._written.pop(_address(tensor), None)
        self._kept.append(tensor)

    def record(self, tensor: Tensor, stream: Stream) -> None:
        self._recorded.add((_address(tensor), stream))

    def check_memory(self) -> None:
        """All memory was recorded on the streams that used it beside the one that it was taken on."""
        for at, owner in self._owners.items():
            used = set(self._read.get(at, ()))
            if at in self._written:
                used.add(self._written[at][0])
            for stream in used - {owner}:
                if owner is not _HOST and (at, stream) not in self._recorded:
                    raise Race("memory is used on a stream that its allocator does not know of")

    def written_before(self, tensor: Tensor, event: Event) -> bool:
        """Whether the last write into ``tensor`` is done when ``event`` is."""
        stream, time = self._written[_address(tensor)]
        return event.seen[stream] >= time

    def _check_read(self, at: int, stream: Stream) -> None:
        self._check_after(self._written.get(at), stream)
        self._read.setdefault(at, Counter())[stream] = stream.seen[stream]

    def _check_written(self, at: int, stream: Stream) -> None:
        self._check_after(self._written.get(at), stream)
        for read in self._read.get(at, Counter()).items():
            self._check_after(read, stream)
        self._written[at] = stream, stream.seen[stream]

    def _check_after(self, access: tuple[Stream, int] | None, stream: Stream) -> None:
        if access is not None and stream.seen[access[0]] < access[1]:
            raise Race("two streams use one tensor, and neither waits for the other")


_HOST = Stream()


def _address(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


@contextmanager
def cuda_on_cpu(room: int | None = None) -> Iterator[Card]:
    """PyTorch's CUDA calls reach a stand-in during the block."""
    card = Card(room)
    handles = iter(range(1, 10_000))

    def record(tensor: Tensor, stream: Stream) -> None:
        card.record(tensor, stream)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "Stream", Stream)
        patch.setattr(torch.cuda, "Event", Event)
        patch.setattr(torch.cuda, "current_stream", lambda _=None: _current.stream)
        patch.setattr(torch.cuda, "stream", _on)
        patch.setattr(torch.Tensor, "record_stream", record)
        patch.setattr(torch, "empty", functools.partial(card.empty_tensor, torch.empty))
        patch.setattr(torch.cuda, "device", lambda _: nullcontext())
        patch.setattr(torch.cuda, "synchronize", lambda _=None: None)
        patch.setattr(torch.cuda, "empty_cache", card.empty)
        patch.setattr(torch.cuda, "memory_reserved", lambda _=None: card.reserved())
        patch.setattr(torch.cuda, "graph_pool_handle", lambda: next(handles))
        patch.setattr(torch.cuda, "CUDAGraph", StandInGraph)
        patch.setattr(torch.cuda, "graph", lambda graph, **options: _capture(card, graph, **options))
        yield card

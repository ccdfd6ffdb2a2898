"""The engine: one thread that owns one device and turns tiles from many threads into batches.

Waiting tiles of one size, from any caller, share a pass if that is faster: 1, 2, 4 or 8 of them, so that a device
captures few shapes. The engine recovers from errors of the device and lists them in ``Filled.notes``. Values that are
not finite are computed again in fp32; a network that gives them repeatedly stays in fp32. A batch that does not fit
into memory is tried once more after captured passes gave back theirs, then halved, then cut into smaller tiles, then
computed on the CPU.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.box import Box
from model.engine.device_errors import device_lost, no_room
from model.engine.flight import Flight, Tile, launch
from model.engine.plan import ALIGN, LEAST_SIDE, cut, tile_weights
from model.engine.waiting import Request, Waiting, power_of_two
from model.errors import DeviceFull, DeviceLost, EngineClosed, ResultNotFinite
from model.networks.fused import fuse
from model.networks.graphs import DeviceGraphs
from model.networks.precision import Precision
from model.networks.program import Program

log = logging.getLogger(__name__)

#: Batches in a row with values that are not finite, after which a network stays in fp32.
_MOST_OVERFLOWS = 3
#: Passes that are remembered as captured ahead.
_MOST_WARMED = 256


@dataclass(frozen=True)
class Filled:
    """A tile's result."""

    #: ``uint8 [h, w, 3]``; values outside the hole are undefined.
    values: NDArray[np.uint8]
    #: Deviations, for the image's record: ``fp32``, ``smaller_batch``, ``smaller_tiles``, ``cpu``.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Load:
    """Counts and times of an engine since it was made."""

    #: Number of answered tiles, and of their passes.
    tiles: int
    passes: int
    #: Seconds in which the device was idle.
    idle_s: float
    #: Seconds since the last answer while tiles wait; 0 if no tile waits.
    stalled_s: float


#: Number, height and width of tiles, and the window of them that is needed.
_Pass = tuple[int, int, int, Box]


@dataclass(frozen=True)
class _UnderWay:
    requests: list[Request[Filled]]
    flight: Flight


class Engine:
    """Batches tiles on one device. Use it as a context manager, or ``close`` it."""

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        precision: Precision,
        *,
        max_batch: int = 8,
        batch_px: int | None = None,
        max_delay_ms: float = 3.0,
        graphs: DeviceGraphs | None = None,
        compiled: bool = False,
    ) -> None:
        """``max_batch``: tiles of one pass, and ``batch_px`` its pixels where more than one share it (``None``: any).

        ``max_delay_ms``: longest time that a tile waits for others. ``graphs``: captures passes on ``device``
        (``None``: on CUDA those of the device). ``compiled``: see :class:`model.networks.program.Program`.
        """
        #: Fused, in fp32, on the CPU: the one copy of the weights from which programs are made.
        self._network = fuse(network, "fft")
        self.device, self.precision = device, precision
        self._max_batch, self._batch_px = max_batch, batch_px
        #: Whether the device has failed for good: this process cannot use it any more.
        self.lost = False
        self._tiles = self._passes = self._asked = 0
        self._idle_s = 0.0
        self._idle_since: float | None = None
        self._moved_at = time.monotonic()
        self._graphs, self._compiled = graphs, compiled
        self._programs: dict[tuple[str, Precision], Program] = {}
        #: Batches in a row whose values were not finite.
        self._overflows = 0
        self._changed = threading.Condition()
        #: Whether passes are captured, so that :meth:`warm` helps.
        self.captures = self._program(device, precision).copies is not None
        #: Passes to capture while no tile waits, and those that were asked for lately.
        self._to_warm: deque[_Pass] = deque()
        self._warmed: set[_Pass] = set()
        self._waiting: Waiting[Filled] = Waiting(self._changed, max_delay_s=max_delay_ms / 1000, most=self._most)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name=f"engine-{device}", daemon=True)
        self._thread.start()

    def submit(self, tile: Tile) -> Future[Filled]:
        """Request the fill of a tile; from any thread.

        Raises:
            EngineClosed: after ``close``.
            DeviceLost: the device has failed for good.
            ValueError: a side that is not a multiple of 16.
        """
        height, width = tile.hole.shape
        if height % ALIGN or width % ALIGN or tile.pixels.shape != (height, width, 3):
            raise ValueError(f"a tile has sides that are multiples of {ALIGN}, not {tile.pixels.shape}")
        request = Request[Filled](tile)
        with self._changed:
            if self._closing:
                raise EngineClosed
            if self.lost:
                raise DeviceLost(str(self.device))
            if not self._asked:
                self._moved_at = request.arrived
            self._asked += 1
            self._waiting.add(request)
            self._changed.notify()
        return request.answer

    def warm(self, height: int, width: int, window: Box) -> None:
        """Have the passes over tiles of this size captured while no tile waits, the largest batch first.

        From any thread; it waits for nothing. On a device that captures no passes it does nothing. ``window``: what the
        tiles' holes cover.
        """
        if not self.captures:
            return
        with self._changed:
            if len(self._warmed) >= _MOST_WARMED:
                self._warmed.clear()
            count = self._most(height, width)
            while count and not self._closing:
                needed = count, height, width, window
                if needed not in self._warmed:
                    self._warmed.add(needed)
                    self._to_warm.append(needed)
                count //= 2
            self._changed.notify()

    @property
    def load(self) -> Load:
        """From any thread, also while a pass hangs."""
        with self._changed:
            now = time.monotonic()
            idle = self._idle_s + (now - self._idle_since if self._idle_since is not None else 0.0)
            return Load(self._tiles, self._passes, idle, now - self._moved_at if self._asked else 0.0)

    def close(self) -> None:
        """Answer the requests that wait, then stop. Repeating it does nothing."""
        with self._changed:
            self._closing = True
            self._to_warm.clear()
            self._changed.notify()
        self._thread.join()
        if not self.lost:
            for program in self._programs.values():
                program.close()
        self._programs.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        """Launch a batch, and only then land the one before it, so that a CUDA device always has the next at hand."""
        under_way: _UnderWay | None = None
        while True:
            batch = self._next_batch(None if under_way is None else under_way.flight)
            self._passes += bool(batch)
            if not batch and under_way is None:
                return
            launched = self._launched(batch)
            if under_way is not None:
                self._land(under_way)
            under_way = launched
            if under_way is not None and under_way.flight.is_done:
                self._land(under_way)
                under_way = None

    def _launched(self, batch: list[Request[Filled]]) -> _UnderWay | None:
        live = [request for request in batch if request.answer.set_running_or_notify_cancel()]
        self._settle(len(batch) - len(live))
        if not live:
            return None
        tiles = [request.tile for request in live]
        try:
            return _UnderWay(live, launch(tiles, self._program(self.device, self.precision)))
        except Exception as error:  # of any kind: the callers wait for an answer
            self._failed(live, error)
        return None

    def _land(self, under_way: _UnderWay) -> None:
        tiles = [request.tile for request in under_way.requests]
        try:
            values = under_way.flight.land()
            results = self._in_fp32(tiles, self.device) if values is None else self._finite(values)
        except Exception as error:
            self._failed(under_way.requests, error)
        else:
            self._answer(under_way.requests, results)

    def _answer(self, requests: list[Request[Filled]], results: list[Filled] | None) -> None:
        """Answer the requests with ``results``; refill the tiles of a failed batch (``None``) in smaller parts."""
        try:
            results = results or self._fill([request.tile for request in requests])
        except Exception as error:
            self._refuse(requests, error)
        else:
            self._settle(len(requests))
            for request, result in zip(requests, results, strict=True):
                request.answer.set_result(result)

    def _failed(self, requests: list[Request[Filled]], error: Exception) -> None:
        """Retry a failed pass in smaller parts if memory was short, else pass the error to the callers."""
        if no_room(error) and not device_lost(error, self.device):
            self._answer(requests, None)
        else:
            self._refuse(requests, error)

    def _refuse(self, requests: list[Request[Filled]], error: Exception) -> None:
        if device_lost(error, self.device):
            self.lost = True
            log.error("%s has failed for good: %s", self.device, error)
            error = DeviceLost(str(self.device))
        self._settle(len(requests))
        for request in requests:
            request.answer.set_exception(error)

    def _settle(self, count: int) -> None:
        """Count ``count`` requests as answered."""
        with self._changed:
            self._asked -= count
            self._tiles += count
            self._moved_at = time.monotonic()

    def _next_batch(self, ahead: Flight | None) -> list[Request[Filled]]:
        """The oldest request and those of its size: after at most the allowed delay, or once ``ahead`` is done.

        Empty: the engine is closed and done, or no request waits and ``ahead`` has to land.
        """
        while True:
            with self._changed:
                while not (self._waiting or self._to_warm):
                    if self._closing or ahead is not None:
                        return []
                    self._rest()
                if self._waiting:
                    # A pass that is done leaves the device idle, and its own callers wait for it to land.
                    return self._waiting.batch(
                        lambda: self._closing or (ahead is not None and ahead.is_done), looks=ahead is not None
                    )
                if ahead is not None:
                    return []
                needed = self._to_warm.popleft()
            self._capture(*needed)

    def _capture(self, count: int, height: int, width: int, window: Box) -> None:
        try:
            self._program(self.device, self.precision).warm((count, height, width), window)
        except Exception as error:  # of any kind: nobody waits for it, and tiles of this size will meet it again
            log.warning("%d tiles of %dx%d were not captured ahead: %s", count, width, height, error)

    def _rest(self) -> None:
        """Wait, with the lock held, for a request; the device is idle meanwhile."""
        self._idle_since = time.monotonic()
        self._changed.wait()
        self._idle_s += time.monotonic() - self._idle_since
        self._idle_since = None

    def _most(self, height: int, width: int) -> int:
        """Most tiles of this size in one pass."""
        most = self._max_batch if self._batch_px is None else min(self._max_batch, self._batch_px // (height * width))
        return power_of_two(max(1, most))

    def _fill(self, tiles: list[Tile], *, may_shed: bool = True) -> list[Filled]:
        """Fill tiles of one size. ``may_shed``: captured passes may give back their memory first.

        Raises:
            DeviceFull: not even the CPU has room for the smallest tile.
        """
        try:
            return self._passed(tiles, self._program(self.device, self.precision))
        except Exception as error:
            if not no_room(error) or device_lost(error, self.device):
                raise
        if may_shed and self._shed():
            return self._fill(tiles, may_shed=False)
        log.warning("%s has no room for %d tiles of %s", self.device, len(tiles), tiles[0].hole.shape)
        if len(tiles) > 1:
            half = len(tiles) // 2
            return [
                _noted(result, "smaller_batch") for part in (tiles[:half], tiles[half:]) for result in self._fill(part)
            ]
        if min(tiles[0].hole.shape) >= 4 * LEAST_SIDE:
            return [_noted(self._in_parts(tiles[0]), "smaller_tiles")]
        log.warning("a tile of %s is filled on the CPU", tiles[0].hole.shape)
        try:
            return [_noted(result, "cpu") for result in self._passed(tiles, self._program(torch.device("cpu"), "fp32"))]
        except Exception as error:
            if no_room(error):
                raise DeviceFull(str(self.device)) from error
            raise

    def _shed(self) -> bool:
        """Give back memory that captured passes hold; whether there was any."""
        return self._program(self.device, self.precision).shed()

    def _in_parts(self, tile: Tile) -> Filled:
        """A tile as overlapping tiles of half its sides, blended."""
        whole = Box(0, 0, *tile.hole.shape)
        region = cut(whole, tile.hole, side=-(-max(whole.height, whole.width) // 2 // ALIGN) * ALIGN + 2 * ALIGN)
        values = np.zeros((*tile.hole.shape, 3), np.float32)
        total = np.zeros((*tile.hole.shape, 1), np.float32)
        notes: tuple[str, ...] = ()
        for box, weight in zip(region.tiles, tile_weights(region), strict=True):
            part = Tile(tile.pixels[box.slices], tile.hole[box.slices], tile.ffc_lambda)
            (filled,) = self._fill([part])
            values[box.slices] += filled.values * weight[..., None]
            total[box.slices] += weight[..., None]
            notes += filled.notes
        np.divide(values, total, out=values, where=total > 0)
        return Filled(np.rint(values).astype(np.uint8), tuple(dict.fromkeys(notes)))

    def _passed(self, tiles: list[Tile], program: Program) -> list[Filled]:
        values = launch(tiles, program).land()
        return self._in_fp32(tiles, program.device) if values is None else self._finite(values)

    def _finite(self, values: NDArray[np.uint8]) -> list[Filled]:
        """The results of a pass whose values are finite."""
        if self._overflows < _MOST_OVERFLOWS:
            self._overflows = 0
            return [Filled(value) for value in values]
        return [Filled(value, ("fp32",)) for value in values]

    def _in_fp32(self, tiles: list[Tile], device: torch.device) -> list[Filled]:
        """A batch again whose values were not finite; after several in a row the engine stays in fp32.

        Raises:
            ResultNotFinite: the values are not finite in fp32 either.
        """
        log.warning("%s gave values that are not finite in %s: again in fp32", device, self.precision)
        values = launch(tiles, self._program(device, "fp32")).land()
        if values is None:
            raise ResultNotFinite
        self._overflows += 1
        if self._overflows == _MOST_OVERFLOWS:
            log.warning("%s: this network stays in fp32", device)
            self.precision = "fp32"
        return [Filled(value, ("fp32",)) for value in values]

    def _program(self, device: torch.device, precision: Precision) -> Program:
        key = (str(device), precision)
        if key not in self._programs:
            shared = device.type == "cpu" and precision == "fp32"
            graphs = self._graphs if device == self.device else None
            compiled = self._compiled and device == self.device
            self._programs[key] = Program(
                self._network, device, precision, shared=shared and not compiled, graphs=graphs, compiled=compiled
            )
        return self._programs[key]


def _noted(result: Filled, note: str) -> Filled:
    return replace(result, notes=tuple(dict.fromkeys((note, *result.notes))))

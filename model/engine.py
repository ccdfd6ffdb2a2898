"""The engine: one thread that owns one device and turns tiles from many threads into batches.

Tiles of one size that arrive within a few milliseconds share a pass. What goes wrong on the device is mended here and
said in ``Filled.notes``: values that are not finite are computed again in fp32, and a batch that does not fit into
memory is halved, then cut into smaller tiles, then computed on the CPU.
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
from torch import Tensor, nn

from model.box import Box
from model.errors import EngineClosed, ResultNotFinite
from model.plan import ALIGN, LEAST_SIDE, cut, tile_weights
from model.precision import Precision
from model.program import Program

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tile:
    """A window of a picture. Both sides are multiples of 16."""

    #: ``uint8 [h, w, 3]``
    pixels: NDArray[np.uint8]
    #: ``uint8 [h, w]``, not zero where the network fills.
    hole: NDArray[np.uint8]


@dataclass(frozen=True)
class Filled:
    """A tile's result."""

    #: ``float32 [h, w, 3]`` in [0, 1]; what lies outside the hole means nothing.
    values: NDArray[np.float32]
    #: What had to be done differently, for the image's record: ``fp32``, ``smaller_batch``, ``smaller_tiles``, ``cpu``.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Request:
    tile: Tile
    answer: Future[Filled]
    arrived: float


class Engine:
    """Batches tiles on one device. Use it as a context manager, or ``close`` it."""

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        precision: Precision,
        *,
        max_batch: int = 8,
        max_delay_ms: float = 3.0,
    ) -> None:
        self._network, self.device, self.precision = network, device, precision
        self._max_batch, self._max_delay_s = max_batch, max_delay_ms / 1000
        self._programs: dict[tuple[str, Precision], Program] = {}
        self._program(device, precision)
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name=f"engine-{device}", daemon=True)
        self._thread.start()

    def submit(self, tile: Tile) -> Future[Filled]:
        """Ask for a tile to be filled; from any thread.

        Raises:
            EngineClosed: after ``close``.
            ValueError: a side that is not a multiple of 16.
        """
        height, width = tile.hole.shape
        if height % ALIGN or width % ALIGN or tile.pixels.shape != (height, width, 3):
            raise ValueError(f"a tile has sides that are multiples of {ALIGN}, not {tile.pixels.shape}")
        request = _Request(tile, Future(), time.monotonic())
        with self._changed:
            if self._closing:
                raise EngineClosed
            self._waiting.append(request)
            self._changed.notify()
        return request.answer

    def close(self) -> None:
        """Answer what was asked, then stop. Repeating it does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while batch := self._next_batch():
            live = [request for request in batch if request.answer.set_running_or_notify_cancel()]
            if not live:
                continue
            try:
                results = self._fill([request.tile for request in live])
            except Exception as error:  # whatever it is, those who asked must hear it
                for request in live:
                    request.answer.set_exception(error)
            else:
                for request, result in zip(live, results, strict=True):
                    request.answer.set_result(result)

    def _next_batch(self) -> list[_Request]:
        """The oldest request and those of its size, after at most the allowed delay; empty: closed and done."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return []
                self._changed.wait()
            shape = self._waiting[0].tile.hole.shape
            until = self._waiting[0].arrived + self._max_delay_s
            while True:
                batch = [request for request in self._waiting if request.tile.hole.shape == shape][: self._max_batch]
                left = until - time.monotonic()
                if len(batch) == self._max_batch or left <= 0 or self._closing:
                    break
                self._changed.wait(left)
            chosen = {id(request) for request in batch}
            self._waiting = deque(request for request in self._waiting if id(request) not in chosen)
            return batch

    def _fill(self, tiles: list[Tile]) -> list[Filled]:
        try:
            return self._passed(tiles, self._program(self.device, self.precision))
        except torch.OutOfMemoryError:
            log.warning("%s has no room for %d tiles of %s", self.device, len(tiles), tiles[0].hole.shape)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(tiles) > 1:
            half = len(tiles) // 2
            return [
                _noted(result, "smaller_batch") for part in (tiles[:half], tiles[half:]) for result in self._fill(part)
            ]
        if min(tiles[0].hole.shape) >= 4 * LEAST_SIDE:
            return [_noted(self._in_parts(tiles[0]), "smaller_tiles")]
        log.warning("a tile of %s is filled on the CPU", tiles[0].hole.shape)
        return [_noted(result, "cpu") for result in self._passed(tiles, self._program(torch.device("cpu"), "fp32"))]

    def _in_parts(self, tile: Tile) -> Filled:
        """A tile as overlapping tiles of half its sides, blended."""
        whole = Box(0, 0, *tile.hole.shape)
        region = cut(whole, tile.hole, side=-(-max(whole.height, whole.width) // 2 // ALIGN) * ALIGN + 2 * ALIGN)
        values = np.zeros((*tile.hole.shape, 3), np.float32)
        total = np.zeros((*tile.hole.shape, 1), np.float32)
        notes: tuple[str, ...] = ()
        for box, weight in zip(region.tiles, tile_weights(region), strict=True):
            part = Tile(tile.pixels[box.slices], tile.hole[box.slices])
            (filled,) = self._fill([part])
            values[box.slices] += filled.values * weight[..., None]
            total[box.slices] += weight[..., None]
            notes += filled.notes
        np.divide(values, total, out=values, where=total > 0)
        return Filled(values, tuple(dict.fromkeys(notes)))

    def _passed(self, tiles: list[Tile], program: Program) -> list[Filled]:
        batch = _batch(tiles, program.device)
        window = _window(tiles)
        result = program(batch, window)
        notes: tuple[str, ...] = ()
        if not bool(result[..., *window.slices].isfinite().all()):
            log.warning("%s gave values that are not finite in %s: again in fp32", program.device, program.precision)
            result = self._program(program.device, "fp32")(batch, window)
            notes = ("fp32",)
            if not bool(result[..., *window.slices].isfinite().all()):
                raise ResultNotFinite
        values = result.clamp(0, 1).permute(0, 2, 3, 1).to("cpu", torch.float32).numpy()
        return [Filled(value, notes) for value in values]

    def _program(self, device: torch.device, precision: Precision) -> Program:
        key = (str(device), precision)
        if key not in self._programs:
            self._programs[key] = Program(self._network, device, precision)
        return self._programs[key]


def _noted(result: Filled, note: str) -> Filled:
    return replace(result, notes=tuple(dict.fromkeys((note, *result.notes))))


def _batch(tiles: list[Tile], device: torch.device) -> Tensor:
    """``float32 [N, 4, h, w]`` on ``device``: bytes travel, numbers are made there."""
    pixels = torch.from_numpy(np.stack([tile.pixels for tile in tiles]))
    holes = torch.from_numpy(np.stack([tile.hole for tile in tiles]))
    if device.type == "cuda":
        pixels, holes = pixels.pin_memory(), holes.pin_memory()
    picture = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
    mask = (holes.to(device, non_blocking=True)[:, None] > 0).float()
    return torch.cat((picture * (1 - mask), mask), dim=1).contiguous(memory_format=torch.channels_last)


def _window(tiles: list[Tile]) -> Box:
    """The least box around the holes of all tiles."""
    anywhere = np.logical_or.reduce([tile.hole > 0 for tile in tiles])
    rows, columns = np.flatnonzero(anywhere.any(axis=1)), np.flatnonzero(anywhere.any(axis=0))
    if not rows.size:
        return Box(0, 0, *anywhere.shape)
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

"""A device of a stated rate in place of the engine: it takes the time that a device would, and computes nothing.

It shows what the rest of a worker feeds a device with, where there is none: idle share against cores. Tiles of one size
share a pass of at most eight; a pass takes its launch and its tiles' share of the rate; one pass is under way while the
next is gathered. The fill is grey.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.engine.engine import Filled, Load
from model.engine.flight import Tile
from model.engine.inpainter import LaMaInpainter

#: Tiles of one pass, and pictures that wait for the device at once, as on CUDA.
_MOST_TILES, _PICTURES_AT_ONCE = 8, 16


class SimulatedEngine:
    """Answers tiles at ``tiles_per_s``, each pass after ``launch_ms``; the calls are those of the engine."""

    def __init__(self, tiles_per_s: float, launch_ms: float) -> None:
        self._tile_s, self._launch_s = 1 / tiles_per_s, launch_ms / 1000
        self._waiting: deque[tuple[Tile, Future[Filled]]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._tiles = self._passes = 0
        self._busy_s = 0.0
        self._began = time.monotonic()
        #: When the pass that is under way ends.
        self._free_at = self._began
        #: As of the engine: whether passes are captured ahead.
        self.captures = False
        self._grey: dict[tuple[int, int], NDArray[np.uint8]] = {}
        self._thread = threading.Thread(target=self._serve, name="simulated-device", daemon=True)
        self._thread.start()

    def submit(self, tile: Tile) -> Future[Filled]:
        answer: Future[Filled] = Future()
        with self._changed:
            self._waiting.append((tile, answer))
            self._changed.notify()
        return answer

    @property
    def load(self) -> Load:
        with self._changed:
            idle = max(0.0, time.monotonic() - self._began - self._busy_s)
            return Load(self._tiles, self._passes, idle, 0.0)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while (batch := self._next_batch()) is not None:
            if not batch:
                continue
            begins = max(time.monotonic(), self._free_at)
            takes = self._launch_s + len(batch) * self._tile_s
            self._free_at = begins + takes
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            with self._changed:
                self._tiles += len(batch)
                self._passes += 1
                self._busy_s += takes
            for tile, answer in batch:
                answer.set_result(Filled(self._fill_of(tile)))

    def _next_batch(self) -> list[tuple[Tile, Future[Filled]]] | None:
        """The oldest tile and those of its size, without canceled ones; ``None``: closed, and none waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            batch: list[tuple[Tile, Future[Filled]]] = []
            others: deque[tuple[Tile, Future[Filled]]] = deque()
            for tile, answer in self._waiting:
                fits = not batch or tile.hole.shape == batch[0][0].hole.shape
                if fits and len(batch) < _MOST_TILES:
                    if answer.set_running_or_notify_cancel():
                        batch.append((tile, answer))
                else:
                    others.append((tile, answer))
            self._waiting = others
            return batch

    def _fill_of(self, tile: Tile) -> NDArray[np.uint8]:
        height, width = tile.hole.shape
        if (height, width) not in self._grey:
            self._grey[height, width] = np.full((height, width, 3), 128, np.uint8)
        return self._grey[height, width]


class SimulatedInpainter(LaMaInpainter):
    """An inpainter whose network is a simulated device; all else is its own."""

    def __init__(self, tiles_per_s: float, launch_ms: float) -> None:
        super().__init__(device="cpu", threads=1)
        self.engine.close()
        self.engine = SimulatedEngine(tiles_per_s, launch_ms)  # type: ignore[assignment]

    @property
    def pictures_at_once(self) -> int:
        return _PICTURES_AT_ONCE

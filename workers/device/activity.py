"""The work of one device's process, now and lately: figures for its heartbeat."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds over which the pace is measured.
WINDOW_S = 60.0


class Activity:
    """Counts images and times steps, from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun_at = clock()
        self._steps: dict[int, float] = {}
        self._number = 0
        self._ended: deque[float] = deque()
        self.images = 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time one fetch, decoding, encoding or storing, in which a thread could hang."""
        with self._lock:
            self._number += 1
            number = self._number
            self._steps[number] = self._clock()
        try:
            yield
        finally:
            with self._lock:
                del self._steps[number]

    def count_image(self) -> None:
        """Count one more image that has an outcome."""
        with self._lock:
            self.images += 1
            self._ended.append(self._clock())
            self._drop_old()

    @property
    def longest_step_s(self) -> float:
        """Seconds of the longest running step; 0 where none runs."""
        with self._lock:
            return self._clock() - min(self._steps.values()) if self._steps else 0.0

    @property
    def images_per_second(self) -> float:
        """Mean of the last minute."""
        with self._lock:
            self._drop_old()
            return len(self._ended) / max(min(self._clock() - self._begun_at, WINDOW_S), 1.0)

    def _drop_old(self) -> None:
        while self._ended and self._ended[0] < self._clock() - WINDOW_S:
            self._ended.popleft()

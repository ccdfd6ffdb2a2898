"""How deep the queue is kept: so many seconds of work at the pace that was measured, whatever the backlog.

A deep queue cannot be reordered, and an empty one leaves devices idle. The pace is what has ended lately; while the
queue runs dry between two ticks, the depth doubles, so that a thousand workers get their first shards within seconds.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from cleanplate.base.settings import Settings

#: Seconds over which the pace is measured.
WINDOW_S = 30.0
#: Most full shards of a priority on their way, whatever is measured.
DEEPEST = 10_000


class Pace:
    """What the dispatcher knows of the workers' pace."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        #: (when, images that ended), over the window.
        self._ended: deque[tuple[float, int]] = deque()
        #: Shards published at the last look, and the depth while all of them are leased by the next.
        self._took = 0
        self._dry_depth = 0

    def ended(self, images: int) -> None:
        """So many images have ended since the last call."""
        now = self._clock()
        self._ended.append((now, images))
        while self._ended[0][0] < now - WINDOW_S:
            self._ended.popleft()

    def took(self, shards: int, *, under_way: int) -> None:
        """So many shards were published, onto a queue that still held ``under_way`` images."""
        dry = self._took and shards and not under_way
        self._dry_depth = min(2 * self.depth, DEEPEST) if dry else 0
        self._took = shards

    def forget(self) -> None:
        """Another dispatcher leads now."""
        self._ended.clear()
        self._took = self._dry_depth = 0

    @property
    def images_per_second(self) -> float:
        """Images that ended per second, over the window; 0 before two looks."""
        if len(self._ended) < 2:
            return 0.0
        # What was told first had gathered for nobody knows how long.
        return sum(images for _, images in list(self._ended)[1:]) / max(self._ended[-1][0] - self._ended[0][0], 1e-3)

    @property
    def depth(self) -> int:
        """Full shards of each priority to be kept published and not yet leased."""
        wanted = math.ceil(self.images_per_second * self._settings.queue_s / self._settings.shard_size)
        return min(max(self._settings.queue_depth, wanted, self._dry_depth), DEEPEST)

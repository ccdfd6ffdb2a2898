"""The depth of the queue: the work of ``queue_s`` seconds at the measured pace, for any backlog.

A deep queue cannot be reordered, and an empty one leaves devices idle. The pace is the number of images that ended
lately, per second. While the queue runs dry between two ticks, the depth doubles, so that a thousand workers get their
first shards within seconds.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from cleanplate.base.settings import Settings

#: Seconds over which the pace is measured.
WINDOW_S = 30.0
#: Limit of full shards of a priority in the queue, at any pace.
DEEPEST = 10_000


class Pace:
    """Measures the workers' pace and derives the queue's depth from it."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        #: (when, images that ended), over the window.
        self._ended: deque[tuple[float, int]] = deque()
        #: Shards published at the last tick, and the depth while all of them are leased by the next.
        self._published = 0
        self._dry_depth = 0

    def count_ended(self, images: int) -> None:
        """Add the images that ended since the last call."""
        now = self._clock()
        self._ended.append((now, images))
        while self._ended[0][0] < now - WINDOW_S:
            self._ended.popleft()

    def count_published(self, shards: int, *, under_way: int) -> None:
        """Note the shards published by a tick, into a queue that still held ``under_way`` images."""
        dry = self._published and shards and not under_way
        self._dry_depth = min(2 * self.depth, DEEPEST) if dry else 0
        self._published = shards

    def reset(self) -> None:
        """Forget all measurements: another dispatcher leads now."""
        self._ended.clear()
        self._published = self._dry_depth = 0

    @property
    def images_per_second(self) -> float:
        """Images that ended per second, over the window; 0 before the second count."""
        if len(self._ended) < 2:
            return 0.0
        # The images of the first count ended over an unknown time.
        return sum(images for _, images in list(self._ended)[1:]) / max(self._ended[-1][0] - self._ended[0][0], 1e-3)

    @property
    def depth(self) -> int:
        """Number of full shards of each priority to keep published and not yet leased."""
        wanted = math.ceil(self.images_per_second * self._settings.queue_s / self._settings.shard_size)
        return min(max(self._settings.queue_depth, wanted, self._dry_depth), DEEPEST)

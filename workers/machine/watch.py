"""Whether a device's child works, judged by its heartbeat."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from workers.shared.heartbeats import Beat, read_beat

#: Seconds from its start in which a process must have beaten once.
FIRST_BEAT_S = 120.0
#: The most that one look adds to a silence: a supervisor that was itself stopped must not blame its children.
_MOST_S = 1.0


class Watch:
    """Reads one heartbeat. Make a new one for every start of the process."""

    def __init__(
        self, path: Path, *, hang_s: float, stuck_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``hang_s``: the longest silence; ``stuck_s``: the longest single step, or pass of the network."""
        path.unlink(missing_ok=True)
        self._path, self._hang_s, self._stuck_s, self._clock = path, hang_s, stuck_s, clock
        self._looked_at = clock()
        self.silent_s = 0.0
        self.last: Beat | None = None

    def look(self) -> str | None:
        """Why the process is to be ended, if it is: ``silent``, ``stuck`` or ``child_died``."""
        now = self._clock()
        self.silent_s += min(now - self._looked_at, _MOST_S)
        self._looked_at = now
        before, beat = self.last, read_beat(self._path)
        if beat is not None and (before is None or (beat.pid, beat.number) != (before.pid, before.number)):
            self.silent_s, self.last = 0.0, beat
        if before is not None and beat is not None and before.pid != beat.pid:
            # Celery has replaced it by itself; who dies often is to be begun again less often.
            return "child_died"
        if self.silent_s > (FIRST_BEAT_S if self.last is None else self._hang_s):
            return "silent"
        if self.last is not None and self.last.hanging_s > self._stuck_s:
            return "stuck"
        return None

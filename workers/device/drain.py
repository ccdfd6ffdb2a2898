"""How a worker's Celery process tells its child that it is to stop.

Celery's own soft shutdown sleeps its whole timeout while a task runs, however soon the task ends. A warm shutdown waits
for the task alone; so the task is told, ends the image it is at, and gives the others back.
"""

from __future__ import annotations

import time
from multiprocessing import RawValue

from workers.shared.queue import DRAIN_S

#: Share of the drain after which even the image on the device is given back, so that there is time to say so.
PATIENCE = 0.75


class Drain:
    """One moment in memory that a process shares with its forked children: when the stopping began.

    Without a lock, so that a child that was killed can never hold it.
    """

    def __init__(self, seconds: float = DRAIN_S) -> None:
        self._patience_s = seconds * PATIENCE
        self._since = RawValue("d", 0.0)

    def begin(self) -> None:
        """Ask for it. Safe in a signal handler; a second call changes nothing."""
        if not self._since.value:
            self._since.value = time.monotonic()

    @property
    def begun(self) -> bool:
        """No new image is to be begun."""
        return bool(self._since.value)

    @property
    def overdue(self) -> bool:
        """The image that is being worked on is to be given back, too."""
        return self.begun and time.monotonic() > self._since.value + self._patience_s

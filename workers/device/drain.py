"""The drain: a worker's Celery process asks its child to stop.

Celery's own soft shutdown sleeps its whole timeout while a task runs, however soon the task ends. A warm shutdown waits
for the task alone. So the task learns of the stop, ends its current images, and gives the others back.
"""

from __future__ import annotations

import time
from multiprocessing import RawValue

from workers.shared.queue import DRAIN_S

#: Share of the drain after which even the images on the device are given back, while there is time to write that.
PATIENCE = 0.75


class Drain:
    """The time at which the stopping began, in memory that a process shares with its forked children.

    It has no lock, so that a killed child can never hold one.
    """

    def __init__(self, seconds: float = DRAIN_S) -> None:
        self._patience_s = seconds * PATIENCE
        self._since = RawValue("d", 0.0)

    def begin(self) -> None:
        """Begin the drain. Safe in a signal handler; a second call changes nothing."""
        if not self._since.value:
            self._since.value = time.monotonic()

    @property
    def begun(self) -> bool:
        """Whether no new image may begin."""
        return bool(self._since.value)

    @property
    def overdue(self) -> bool:
        """Whether even the images on the device must be given back."""
        return self.begun and time.monotonic() > self._since.value + self._patience_s

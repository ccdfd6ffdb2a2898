"""Spares callers the wait for a server that does not answer: after some failures in a row, calls fail at once.

While the breaker is open, one call at a time is let through after a pause; its answer closes the breaker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Failures in a row that open the breaker.
FAILURES = 3
#: Seconds until a call is let through: the first pause and the longest, which doubling reaches.
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 8.0


class Breaker:
    """Counts the answers of one server; threads share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = FIRST_PAUSE_S
        self._next_try = 0.0

    def allows(self) -> bool:
        """Whether a call may be sent now; its outcome must be reported."""
        with self._lock:
            if self._failures < FAILURES:
                return True
            if self._clock() < self._next_try:
                return False
            self._next_try = self._clock() + self._pause
            return True

    def answered(self) -> None:
        """A call was answered, whatever the answer says."""
        with self._lock:
            self._failures = 0
            self._pause = FIRST_PAUSE_S

    def failed(self) -> None:
        """A call was not answered."""
        with self._lock:
            self._failures += 1
            if self._failures > FAILURES:
                self._pause = min(2 * self._pause, LONGEST_PAUSE_S)
            self._next_try = self._clock() + self._pause

"""Spares callers the wait for a server that does not answer: after some failures in a row, calls fail at once.

While the breaker is open, one call at a time is let through, soon after the one before it has failed; its answer closes
the breaker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Failures in a row that open the breaker.
FAILURES = 3
#: Seconds between a try that failed and the next: callers learn within them that the server is back.
PAUSE_S = 0.25
#: Seconds for which a try holds back the next one, should its outcome never be reported.
LONGEST_TRY_S = 10.0


class Breaker:
    """Counts the answers of one server; threads share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._next_try = 0.0

    def allows(self) -> bool:
        """Whether a call may be sent now; its outcome must be reported."""
        with self._lock:
            if self._failures < FAILURES:
                return True
            if self._clock() < self._next_try:
                return False
            self._next_try = self._clock() + LONGEST_TRY_S
            return True

    def answered(self) -> None:
        """A call was answered, whatever the answer says."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """A call was not answered."""
        with self._lock:
            self._failures += 1
            self._next_try = self._clock() + PAUSE_S

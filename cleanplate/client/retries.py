"""When the client repeats a call: transient failures, after random waits that grow.

A call that must not happen twice carries an Idempotency-Key, by which the service knows the repeats.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx

from cleanplate.errors import Refused

Result = TypeVar("Result")

#: Error codes that are transient, whatever the status.
TRANSIENT_CODES = frozenset({"idempotency_key_busy"})
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Retries:
    """At most ``attempts`` calls; the waits between them, in seconds, are random below a bound that doubles."""

    attempts: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 15.0
    sleep: Callable[[float], None] = time.sleep

    def call(self, call: Callable[[], Result]) -> Result:
        """The call's result; after the last attempt, the call's own error."""
        for attempt in range(1, self.attempts):
            try:
                return call()
            except Exception as error:
                if not is_transient(error):
                    raise
                wait_s = self._wait_s(attempt, error)
            self.sleep(wait_s)
        return call()

    def _wait_s(self, attempt: int, error: Exception) -> float:
        """The service's own Retry-After, or full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015)."""
        if isinstance(error, Refused) and error.retry_after_s is not None:
            return min(error.retry_after_s, 4 * self.longest_wait_s)
        return random.uniform(0, min(self.longest_wait_s, self.first_wait_s * 2 ** (attempt - 1)))


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, Refused):
        return error.status in TRANSIENT_STATUSES or error.code in TRANSIENT_CODES
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)

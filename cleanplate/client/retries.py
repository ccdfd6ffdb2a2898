"""When the client tries again: what passes by itself, after waits that grow and differ between clients.

A call that must not happen twice is repeated only when the first try cannot have reached the service.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from cleanplate.errors import Refused

Result = TypeVar("Result")

#: Codes of answers that say so, whatever their status.
BUSY = frozenset({"idempotency_key_busy"})
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Retries:
    """``attempts`` in all; the waits between them, in seconds, are random below a bound that doubles."""

    attempts: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 15.0
    sleep: Callable[[float], None] = time.sleep

    def call(self, call: Callable[[], Result], *, repeatable: bool = True) -> Result:
        """The call's result; after the last attempt its error as it was."""
        return Retrying(
            sleep=self.sleep,
            stop=stop_after_attempt(self.attempts),
            retry=retry_if_exception(passes_by_itself if repeatable else never_arrived),
            wait=self._wait,
            reraise=True,
        )(call)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, Refused) and error.retry_after_s is not None:
            return min(error.retry_after_s, 4 * self.longest_wait_s)
        return wait_random_exponential(multiplier=self.first_wait_s, max=self.longest_wait_s)(state)


def passes_by_itself(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, Refused):
        return error.status in TRANSIENT or error.code in BUSY
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def never_arrived(error: BaseException) -> bool:
    """Whether the service cannot have acted on the call."""
    if isinstance(error, Refused):
        return error.status == httpx.codes.TOO_MANY_REQUESTS
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)

"""Threads that serve requests, in lanes: health is answered whatever the other requests do.

A request joins a lane when its header and body have arrived, so a slow client holds no thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)


class Servable(Protocol):
    """A connection whose first request has arrived."""

    def service(self) -> None:
        """Answers that request."""


class Lane:
    """At most ``threads`` daemon threads, started as they are needed; what finds none free waits in turn."""

    def __init__(self, name: str, threads: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._threads = threads
        self._clock = clock
        self._changed = threading.Condition()
        #: Each with the time at which it joined.
        self._waiting: deque[tuple[float, Servable]] = deque()
        self._started = 0
        self._idle = 0

    def add(self, servable: Servable) -> None:
        """Serve this in a thread, as soon as one is free."""
        with self._changed:
            self._waiting.append((self._clock(), servable))
            if self._idle >= len(self._waiting):
                self._changed.notify()
            elif self._started < self._threads:
                self._started += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()

    def take_expired(self, patience_s: float) -> list[Servable]:
        """Remove and return what has waited for longer than ``patience_s``."""
        expired = []
        with self._changed:
            while self._waiting and self._waiting[0][0] < self._clock() - patience_s:
                expired.append(self._waiting.popleft()[1])
        return expired

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._waiting)
                self._idle -= 1
                _, servable = self._waiting.popleft()
            try:
                servable.service()
            except Exception:
                _log.exception("request.broke")

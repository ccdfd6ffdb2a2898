"""Connections to Postgres that end when the server does not answer in time."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

from psycopg import Connection, OperationalError

Result = TypeVar("Result")


class BoundedConnection(Connection[Any]):
    """A connection that closes itself, and raises OperationalError, where one answer takes over ``answer_s``."""

    answer_s = 30.0

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        """Wait for what psycopg asks of the server, as its own method does, but not for ever."""
        return super().wait(self._bounded(gen), *arguments, **named)

    def _bounded(self, gen: Generator[Any, Any, Result]) -> Generator[Any, Any, Result]:
        until = time.monotonic() + self.answer_s
        try:
            state = next(gen)
            while True:
                ready = yield state
                # psycopg looks ten times a second, and tells of nothing ready.
                if not ready and time.monotonic() >= until:
                    self.close()
                    raise OperationalError(f"no answer within {self.answer_s:g} s")
                state = gen.send(ready)
        except StopIteration as end:
            result: Result = end.value
            return result

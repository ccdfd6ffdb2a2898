"""Bounds the memory of pictures in flight by their bytes, so that reading ahead cannot fill the machine."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from workers.errors import Interrupted


class ByteBudget:
    """A limit of bytes, shared by all threads. One picture always fits, however large.

    Pictures get room in the order in which they ask: small ones never overtake a large one for ever.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._turns: deque[object] = deque()
        self._changed = threading.Condition()

    def take(self, count: int, is_stopping: Callable[[], bool]) -> None:
        """Wait until there is room for ``count`` bytes.

        Raises:
            Interrupted: ``is_stopping`` says so, at the latest after the next :meth:`give` or :meth:`wake`.
        """
        turn = object()
        with self._changed:
            self._turns.append(turn)
            try:
                self._changed.wait_for(lambda: is_stopping() or (self._turns[0] is turn and self._fits(count)))
                if is_stopping():
                    raise Interrupted
                self._used += count
            finally:
                self._turns.remove(turn)
                self._changed.notify_all()

    def give(self, count: int) -> None:
        """Return ``count`` taken bytes."""
        with self._changed:
            self._used -= count
            self._changed.notify_all()

    def wake(self) -> None:
        """Let all that wait look whether they are to stop."""
        with self._changed:
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Number of pictures that wait for room."""
        return len(self._turns)

    def _fits(self, count: int) -> bool:
        return self._used == 0 or self._used + count <= self._limit

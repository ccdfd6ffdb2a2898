"""Bounds the memory of pictures in flight by their bytes, so that reading ahead cannot fill the machine."""

from __future__ import annotations

import threading

from workers.errors import Interrupted


class ByteBudget:
    """A limit of bytes, shared by all threads. One picture always fits, however large."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._closed = False
        self._changed = threading.Condition()

    def take(self, count: int) -> None:
        """Wait until there is room for ``count`` bytes.

        Raises:
            Interrupted: the budget is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._used == 0 or self._used + count <= self._limit)
            if self._closed:
                raise Interrupted
            self._used += count

    def give(self, count: int) -> None:
        """Return ``count`` taken bytes."""
        with self._changed:
            self._used -= count
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse all further bytes; waiting threads raise Interrupted."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

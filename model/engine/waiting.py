"""Tiles that wait for a pass: those of one size are gathered into a batch, for a short while."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from model.engine.flight import Tile

Answer = TypeVar("Answer")

#: Seconds between two looks whether a pass has ended.
_LOOK_S = 0.0002


@dataclass(frozen=True)
class Request(Generic[Answer]):
    """A tile and its answer to come."""

    tile: Tile
    answer: Future[Answer] = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


class Waiting(Generic[Answer]):
    """The requests that wait, oldest first. All methods are called with ``changed`` held."""

    def __init__(self, changed: threading.Condition, *, max_delay_s: float, most: Callable[[int, int], int]) -> None:
        """``max_delay_s``: longest time that a tile waits for others. ``most``: tiles of a height and width in a pass.

        ``changed`` is notified of new requests and of the engine's closing.
        """
        self._changed, self._max_delay_s, self._most = changed, max_delay_s, most
        self._requests: deque[Request[Answer]] = deque()

    def __bool__(self) -> bool:
        return bool(self._requests)

    def add(self, request: Request[Answer]) -> None:
        self._requests.append(request)

    def batch(self, is_due: Callable[[], bool], *, looks: bool) -> list[Request[Answer]]:
        """The oldest request and those of its size: as many as share a pass, or after the delay, or once ``is_due``.

        ``looks``: ``is_due`` can change without a notification.
        """
        shape = self._requests[0].tile.hole.shape
        most = self._most(*shape)
        until = self._requests[0].arrived + self._max_delay_s
        while True:
            batch = [request for request in self._requests if request.tile.hole.shape == shape][:most]
            left = until - time.monotonic()
            if len(batch) == most or left <= 0 or is_due():
                break
            self._changed.wait(min(left, _LOOK_S) if looks else left)
        batch = batch[: power_of_two(len(batch))]
        chosen = {id(request) for request in batch}
        self._requests = deque(request for request in self._requests if id(request) not in chosen)
        return batch


def power_of_two(count: int) -> int:
    """The largest power of two that is at most ``count``."""
    return 1 << (count.bit_length() - 1)

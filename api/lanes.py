"""How much a process of the API does at once: so many requests that work, and so many that only wait for news.

A waiting request costs a thread and nothing else, so there may be many; the working ones are few, and the rest queue.
Every request begins as a working one and leaves that place when it begins to wait.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from apiflask import APIFlask
from flask import Response, request

from api.problems import Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LANE = "cleanplate.lane"
#: Seconds after which to come back where all places for waiting are taken.
_RETRY_AFTER_S = 5
#: Seconds that a client may leave the connection full.
_SEND_TIMEOUT_S = 60.0


def register(app: APIFlask, *, working: int, waiting: int) -> None:
    """Let ``app`` work on so many requests at once, and hold so many that wait."""
    app.wsgi_app = Lanes(app.wsgi_app, working=working, waiting=waiting)  # type: ignore[method-assign]

    @app.after_request
    def leave(answer: Response) -> Response:
        connection: socket.socket | None = request.environ.get("gunicorn.socket")
        if connection is not None:
            # Whoever does not take what is sent does not hold the place for good.
            connection.settimeout(_SEND_TIMEOUT_S)
        # What is sent now is there already, or a file: that is no work. A stream is made while it is sent.
        if not answer.is_streamed or answer.direct_passthrough:
            _lane().leave()
        return answer


class Lanes:
    """WSGI middleware: ``working`` requests at once, ``waiting`` beside them."""

    def __init__(self, app: WSGIApplication, *, working: int, waiting: int) -> None:
        self._app = app
        self.working = threading.BoundedSemaphore(working)
        self.waiting = threading.BoundedSemaphore(waiting)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        lane = _Lane(self)
        environ[_LANE] = lane
        try:
            body: Iterable[bytes] = self._app(environ, start_response)
        except BaseException:
            lane.leave()
            raise
        if lane.left:
            return body
        return _Body(body, lane)


class _Body:
    """An answer that holds its place while it is made: to its end, its failure, or until it is closed before."""

    def __init__(self, body: Iterable[bytes], lane: _Lane) -> None:
        self._body = body
        self._pieces = iter(body)
        self._lane = lane

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            self._lane.leave()
            raise

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._lane.leave()


class _Lane:
    """One request's place."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._held: threading.BoundedSemaphore | None = lanes.working
        lanes.working.acquire()

    @property
    def left(self) -> bool:
        """Whether it has been left."""
        return self._held is None

    def wait(self) -> None:
        """Become one that only waits. Raises Problem ``too_many_streams``."""
        if not self._lanes.waiting.acquire(blocking=False):
            raise Problem(
                "too_many_streams",
                "This process holds as many event streams and long polls as it may. Ask without waiting, or come back.",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )
        self._move_to(self._lanes.waiting)

    def work(self) -> None:
        """Go on working, as soon as there is a place."""
        self._lanes.working.acquire()
        self._move_to(self._lanes.working)

    def leave(self) -> None:
        """The request is answered, or nobody wants the answer any more."""
        self._move_to(None)

    def _move_to(self, place: threading.BoundedSemaphore | None) -> None:
        left, self._held = self._held, place
        if left is not None:
            left.release()


def _lane() -> _Lane:
    lane: Any = request.environ[_LANE]
    if not isinstance(lane, _Lane):
        raise TypeError("the application was not made by create_app")
    return lane


def stream() -> None:
    """The current request only waits from now on, until its answer's body is closed. Raises Problem."""
    _lane().wait()


@contextmanager
def waiting() -> Iterator[None]:
    """The current request only waits while the block runs. Raises Problem ``too_many_streams``."""
    lane = _lane()
    lane.wait()
    try:
        yield
    finally:
        lane.work()

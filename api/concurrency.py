"""Limits how many requests a process of the API works on at once, and how many wait for news beside them.

A request that waits (an event stream, a long poll) costs a thread and nothing else, so many may wait and few may work.
Each request takes a slot for work when it begins and gives it back when it starts to wait or is answered.
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

_SLOT = "cleanplate.slot"
#: Seconds after which a client may try again when all slots for waiting are taken.
_RETRY_AFTER_S = 5
#: Seconds for which a client may accept no bytes before its connection is closed.
_SEND_TIMEOUT_S = 60.0


def register(app: APIFlask, *, working: int, waiting: int) -> None:
    """Limit ``app`` to ``working`` requests at work and ``waiting`` requests that wait."""
    app.wsgi_app = ConcurrencyLimiter(app.wsgi_app, working=working, waiting=waiting)  # type: ignore[method-assign]

    @app.after_request
    def release_slot(answer: Response) -> Response:
        connection: socket.socket | None = request.environ.get("gunicorn.socket")
        if connection is not None:
            # A client that stops reading does not hold its slot for good.
            connection.settimeout(_SEND_TIMEOUT_S)
        # A body that exists already, or is a file, takes no work to send. A stream is produced while it is sent.
        if not answer.is_streamed or answer.direct_passthrough:
            _current_slot().release()
        return answer


class ConcurrencyLimiter:
    """WSGI middleware: at most ``working`` requests at work, and ``waiting`` that wait."""

    def __init__(self, app: WSGIApplication, *, working: int, waiting: int) -> None:
        self._app = app
        self.working = threading.BoundedSemaphore(working)
        self.waiting = threading.BoundedSemaphore(waiting)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        slot = _Slot(self)
        environ[_SLOT] = slot
        try:
            body: Iterable[bytes] = self._app(environ, start_response)
        except BaseException:
            slot.release()
            raise
        if slot.released:
            return body
        return _Body(body, slot)


class _Body:
    """A streamed body. It releases its slot at its end, at an error, or when it is closed early."""

    def __init__(self, body: Iterable[bytes], slot: _Slot) -> None:
        self._body = body
        self._pieces = iter(body)
        self._slot = slot

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            self._slot.release()
            raise

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._slot.release()


class _Slot:
    """One request's slot: for work, for waiting, or released."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        self._held: threading.BoundedSemaphore | None = limiter.working
        limiter.working.acquire()

    @property
    def released(self) -> bool:
        return self._held is None

    def start_waiting(self) -> None:
        """Exchange the slot for one that only waits. Raises Problem ``too_many_streams``."""
        if not self._limiter.waiting.acquire(blocking=False):
            raise Problem(
                "too_many_streams",
                "This process has no room for another event stream or long poll. Ask without waiting, or try again "
                "later.",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )
        self._replace_by(self._limiter.waiting)

    def resume_work(self) -> None:
        """Exchange the slot for one that works, as soon as one is free."""
        self._limiter.working.acquire()
        self._replace_by(self._limiter.working)

    def release(self) -> None:
        """The request is answered, or its client is gone. May be repeated."""
        self._replace_by(None)

    def _replace_by(self, semaphore: threading.BoundedSemaphore | None) -> None:
        previous, self._held = self._held, semaphore
        if previous is not None:
            previous.release()


def _current_slot() -> _Slot:
    slot: Any = request.environ[_SLOT]
    if not isinstance(slot, _Slot):
        raise TypeError("the application was not made by create_app")
    return slot


def start_stream() -> None:
    """Let the current request only wait until its body is closed. Raises Problem ``too_many_streams``."""
    _current_slot().start_waiting()


@contextmanager
def waiting() -> Iterator[None]:
    """Let the current request only wait while the block runs. Raises Problem ``too_many_streams``."""
    slot = _current_slot()
    slot.start_waiting()
    try:
        yield
    finally:
        slot.resume_work()

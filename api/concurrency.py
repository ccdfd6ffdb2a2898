"""Limits how many requests a process of the API works on at once, and how many wait or send a job's files beside them.

A request that waits (an event stream, a long poll) costs a thread and nothing else, so many may wait and few may work.
Each request takes a slot for work when it begins and gives it back when it starts to wait or is answered. Downloads of
whole jobs have slots of their own, because they last as long as their clients like. A request that gets no slot within
``PATIENCE_S`` is answered 503. Health checks take none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from apiflask import APIFlask
from flask import Response, request

from api.problems import Problem, raw_problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SLOT = "cleanplate.slot"
#: Seconds after which a client may try again when all slots for waiting are taken.
RETRY_AFTER_S = 5
#: Seconds that a request waits for a slot.
PATIENCE_S = 10.0
#: Paths that are answered whatever the slots do.
HEALTH = frozenset({"/healthz", "/readyz"})
_BUSY = "All places of this process are taken. Repeat the request."


def register(app: APIFlask, *, working: int, waiting: int, sending: int) -> None:
    """Limit ``app`` to these numbers of requests that work, that wait, and that send files of a whole job."""
    app.wsgi_app = ConcurrencyLimiter(  # type: ignore[method-assign]
        app.wsgi_app, working=working, waiting=waiting, sending=sending, public_url=str(app.config["PUBLIC_URL"])
    )

    @app.after_request
    def release_slot(answer: Response) -> Response:
        # A body that exists already, or is a file, takes no work to send. A stream is produced while it is sent.
        if request.path not in HEALTH and (not answer.is_streamed or answer.direct_passthrough):
            _current_slot().release()
        return answer


def busy() -> Problem:
    """The problem of a request that got no place in time."""
    return Problem("service_busy", _BUSY, headers={"Retry-After": str(RETRY_AFTER_S)})


class ConcurrencyLimiter:
    """WSGI middleware: at most ``working`` requests at work, ``waiting`` that wait, ``sending`` that send files."""

    def __init__(self, app: WSGIApplication, *, working: int, waiting: int, sending: int, public_url: str) -> None:
        self._app = app
        self._public_url = public_url
        self.working = threading.BoundedSemaphore(working)
        self.waiting = threading.BoundedSemaphore(waiting)
        self.sending = threading.BoundedSemaphore(sending)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] in HEALTH:
            return self._app(environ, start_response)
        if not self.working.acquire(timeout=PATIENCE_S):
            status, media_type, refusal = raw_problem(
                "service_busy", _BUSY, public_url=self._public_url, path=environ["PATH_INFO"]
            )
            headers = [
                ("Content-Type", media_type),
                ("Content-Length", str(len(refusal))),
                ("Cache-Control", "no-store"),
            ]
            start_response(status, [*headers, ("Retry-After", str(RETRY_AFTER_S))])
            return [refusal]
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
    """One request's slot: for work, for waiting, for sending, or released."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        #: Acquired by the caller.
        self._held: threading.BoundedSemaphore | None = limiter.working

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
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._replace_by(self._limiter.waiting)

    def resume_work(self) -> None:
        """Exchange the slot for one that works. Raises Problem ``service_busy``."""
        self._exchange(self._limiter.working)

    def start_sending(self) -> None:
        """Exchange the slot for one that sends a job's files. Raises Problem ``service_busy``."""
        self.release()
        self._exchange(self._limiter.sending)

    def _exchange(self, semaphore: threading.BoundedSemaphore) -> None:
        if not semaphore.acquire(timeout=PATIENCE_S):
            raise busy()
        self._replace_by(semaphore)

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


def start_sending() -> None:
    """Let the current request only send files until its body is closed. Raises Problem ``service_busy``."""
    _current_slot().start_sending()


@contextmanager
def waiting() -> Iterator[None]:
    """Let the current request only wait while the block runs. Raises Problem ``too_many_streams``."""
    slot = _current_slot()
    slot.start_waiting()
    try:
        yield
    finally:
        slot.resume_work()

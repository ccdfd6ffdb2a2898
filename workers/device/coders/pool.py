"""Where the work on files is done: in threads of the device's process, or in coders, which bytes of strangers can kill.

A coder is a process that has no torch, no ledger and no secret, with a socket and a slab of shared memory of its own.
It works on one picture at a time. One that dies, or is killed when its time is over, costs that picture an attempt and
no other picture anything. No lock and no queue is shared between processes.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, Protocol, TypeVar

import structlog

from cleanplate.base.processes import SAFE_PATH, python_command
from cleanplate.base.settings import PREFIX
from model.errors import HostFull, ModelError
from model.imaging.memory import OVERHEAD, bounded
from workers.device.activity import Activity
from workers.device.coders.wire import PACKET_BYTES, Nonsense, Slab, read, written
from workers.errors import CoderLost, CodersDown

log = structlog.get_logger(__name__)

Given = ParamSpec("Given")
Value = TypeVar("Value")

#: Seconds in which the server has its imports done, on a busy machine, and a coder says that it is there.
_START_S = 120.0
#: Share of the longest step after which a coder is killed: before the supervisor replaces the device's process.
_PATIENCE = 0.9
#: One coder is one thread: the libraries of a picture's work start none beside it. It keeps the memory of a picture for
#: the next one; glibc would return and fetch it again many times, at a quarter of a picture's CPU time.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}


class Coding(Protocol):
    """Does the work of ``workers.device.coders.work``. Threads may share it."""

    #: Number of processes for the work; 0: it is done here, where a decoder that crashes takes this process along.
    coders: int

    def run(self, work: Callable[Given, Value], nbytes: int, /, *given: Given.args, **named: Given.kwargs) -> Value:
        """``work(*given, **named)``, which may take about ``nbytes`` of memory for a picture.

        Raises, beside what ``work`` raises:
            ImageRejected: it needed more memory.
            HostFull: the process may not allocate as much.
            CoderLost: the coder died, or was killed because it took too long.
            CodersDown: no coder can be started.
        """

    def close(self) -> None:
        """End the coders. No work is under way any more."""


class OwnThreads:
    """The work is done by the calling thread."""

    coders = 0

    def __init__(self, activity: Activity) -> None:
        self._activity = activity

    def run(self, work: Callable[Given, Value], nbytes: int, /, *given: Given.args, **named: Given.kwargs) -> Value:
        with self._activity.step(), bounded(nbytes):
            return work(*given, **named)

    def close(self) -> None: ...


class Coders:
    """At most ``count`` coders, started when they are needed; ``stuck_s``: the longest step of a worker in seconds."""

    def __init__(self, count: int, stuck_s: float) -> None:
        self.coders = count
        self._limit_s = stuck_s * _PATIENCE
        self._server = _Server()
        #: Coders without work, the last used first; ``None``: one that is not started.
        self._free: queue.LifoQueue[_Coder | None] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(None)

    def run(self, work: Callable[Given, Value], nbytes: int, /, *given: Given.args, **named: Given.kwargs) -> Value:
        coder, is_well = self._free.get(), False
        try:
            if coder is not None and coder.is_dead:
                coder.end()
                coder = None
            if coder is None:
                coder = self._server.fork()
            answer = coder.ask((work.__name__, nbytes, given, named), nbytes, self._limit_s)
            error = _error_of(answer)
            # Where its memory is full, it is not the picture that fills it.
            is_well = error is None or (isinstance(error, ModelError) and not isinstance(error, HostFull))
            if error is not None:
                raise error
            value: Value = answer[1]
            return value
        finally:
            if coder is not None and not is_well:
                coder.end()
                coder = None
            self._free.put(coder)

    def close(self) -> None:
        with suppress(queue.Empty):
            while True:
                if (coder := self._free.get_nowait()) is not None:
                    coder.end()
        self._server.close()


class _Coder:
    """One coder, as the device's process holds it. One thread uses it at a time."""

    def __init__(self, connection: socket.socket, slab: Slab, pid: int, pidfd: int) -> None:
        self._connection = connection
        self._slab = slab
        self._pid = pid
        #: Names the process for as long as it is open, which its number does not.
        self._pidfd = pidfd

    @property
    def is_dead(self) -> bool:
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        return bool(ended.poll(0))

    def ask(self, question: object, nbytes: int, limit_s: float) -> tuple[Any, ...]:
        """The answer. Raises CoderLost."""
        try:
            packet, end = written(self._slab, question)
            self._connection.settimeout(limit_s)
            self._connection.send(packet)
            answer = self._connection.recv(PACKET_BYTES)
            if not answer:
                raise self._lost("died", "died")
            value, _ = read(self._slab, answer, most=end + 2 * nbytes + OVERHEAD, copied=True)
        except TimeoutError:
            raise self._lost("hangs", f"was not done after {limit_s:.0f} seconds") from None
        except (Nonsense, BrokenPipeError, ConnectionResetError) as error:
            raise self._lost(f"breaks off: {error}", "died") from error
        self._slab.free()
        told: tuple[Any, ...] = value
        return told

    def end(self) -> None:
        """Kill it, and return its memory. Nobody may use it any more."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
        self._connection.close()
        self._slab.close()

    def _lost(self, reason: str, words: str) -> CoderLost:
        log.error("coder.lost", pid=self._pid, reason=reason)
        return CoderLost(words)


class _Server:
    """The program that forks coders, started when it is needed, and again when it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def fork(self) -> _Coder:
        """A new coder. Raises CodersDown."""
        with self._lock:
            for _ in range(2):
                orders = self._started()
                own, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                slab = Slab.new()
                own.settimeout(_START_S)
                try:
                    with others:
                        socket.send_fds(orders, [b"+"], [others.fileno(), slab.fd])
                    pid, fds, _, _ = socket.recv_fds(own, 20, 1)
                    if pid:
                        return _Coder(own, slab, int(pid), fds[0])
                except OSError as error:
                    log.error("coder.does_not_start", error=str(error))
                own.close()
                slab.close()
                self._stop()
        raise CodersDown

    def close(self) -> None:
        with self._lock:
            self._stop()

    def _started(self) -> socket.socket:
        if self._orders is None:
            self._orders, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with others:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    python_command("workers.device.coders.server", str(others.fileno())),
                    env=_without_secrets() | _ENVIRONMENT | SAFE_PATH,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[others.fileno()],
                )
        return self._orders

    def _stop(self) -> None:
        if self._orders is not None and self._process is not None:
            self._orders.close()
            self._process.kill()
            self._process.wait()
            self._orders = self._process = None


def coding_for(count: int, activity: Activity, stuck_s: float) -> Coding:
    """``count`` coders; 0: the process's own threads."""
    return Coders(count, stuck_s) if count else OwnThreads(activity)


def _error_of(answer: tuple[Any, ...]) -> Exception | None:
    """The error that a coder tells of (:func:`workers.device.coders.server._answer`); ``None``: it has a value."""
    if answer[0] == "value":
        return None
    if answer[0] == "fault":
        return RuntimeError(f"in a coder: {answer[1]}")
    _, error_class, sentence, attributes = answer
    error: ModelError = error_class.__new__(error_class, sentence)
    vars(error).update(attributes)
    return error


def _without_secrets() -> dict[str, str]:
    """This process's variables without the service's settings and the store's credentials."""
    return {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "AWS_", "PG"))}

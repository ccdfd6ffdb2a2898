"""Child processes that end with their parent, and are started again when they die.

No child may outlive the parent. On Linux a child gets a signal when its parent dies, and the parent adopts the orphans
of a dead child, so that it can find and end them. On other systems process groups must do.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
#: After a life of this many seconds the next pause is the first again.
SETTLED_S = 60.0
#: Number of early deaths in a row that make a crash loop. The child is started again all the same.
CRASH_LOOP = 5
POLL_S = 0.1
#: Keeps the current folder out of ``sys.path``, in grandchildren too: a file of a shop's project, such as ``model.py``,
#: never takes the place of a module of the service.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of the service, without the current folder in ``sys.path``."""
    return [sys.executable, "-P", "-m", module, *arguments]


def end_with(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Let this process, a child of ``parent``, get a signal when that dies (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)


def spawn(
    command: Sequence[str], environment: Mapping[str, str], *, output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in its own process group; it gets SIGTERM when this process dies.

    ``output`` takes both streams of the program; by default they are the caller's.
    """
    return subprocess.Popen(  # noqa: S603 - the callers' own programs, no shell
        command,
        env={**environment, **SAFE_PATH},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        process_group=0,
        # It takes no lock that another thread could hold at the fork.
        preexec_fn=functools.partial(end_with, os.getpid()),  # noqa: PLW1509
    )


@dataclass
class Child:
    """One program of a family."""

    name: str
    command: Sequence[str]
    #: Variables beside the family's; these win.
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    deaths_in_a_row: int = 0
    deaths: int = 0
    #: Exit status of the last death; negative: the signal.
    last_status: int | None = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def in_crash_loop(self) -> bool:
        """Whether the child keeps dying soon after each start."""
        return self.deaths_in_a_row >= CRASH_LOOP

    def count_death(self, lived_s: float) -> float:
        """Count a death after a life of ``lived_s`` seconds; returns the seconds to wait before the next start."""
        self.deaths += 1
        self.deaths_in_a_row = 1 if lived_s >= SETTLED_S else self.deaths_in_a_row + 1
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self.deaths_in_a_row - 1, 10))


@dataclass
class Family:
    """Programs that run together. This process has no other children: the family ends any other child as a stray."""

    environment: Mapping[str, str]
    children: list[Child] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if _libc is not None and _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Child:
        """Start a program with its variables, and restart it whenever it dies."""
        child = Child(name, command, environment or {})
        self.children.append(child)
        self._start(child)
        return child

    def end(self, child: Child, reason: str) -> None:
        """Kill a child that does not work; ``tend`` starts it again as after any other death."""
        if child.process is not None and child.alive:
            log.error("process.ended", extra={"process_name": child.name, "pid": child.process.pid, "reason": reason})
            _kill_group(child.process.pid)
            child.process.wait()

    def tend(self) -> None:
        """Notice dead children, end their orphans, and start children again whose pause is over.

        Orphans of a child that lives are its own matter. Those that have ended are reaped, so that no zombie stays.
        """
        reap_strays(self._known())
        for child in self.children:
            now = self.clock()
            if child.process is not None and (status := child.process.poll()) is not None:
                pause, child.last_status = child.count_death(now - child.started_at), status
                log.error("process.died", extra={"process_name": child.name, "status": status, "restart_in_s": pause})
                if child.in_crash_loop:
                    log.critical(
                        "process.crash_loop",
                        extra={
                            "process_name": child.name,
                            "deaths": child.deaths_in_a_row,
                            "hint": "It keeps dying soon after its start: the lines before say why.",
                        },
                    )
                _kill_group(child.process.pid)
                child.process, child.restart_at = None, now + pause
                end_strays(self._known())
            elif child.process is None and now >= child.restart_at:
                self._start(child)

    def failing(self) -> list[Child]:
        """Children that are dead, or in a crash loop and not yet settled after their last start."""
        return [
            child
            for child in self.children
            if not child.alive or (child.in_crash_loop and self.clock() - child.started_at < SETTLED_S)
        ]

    def stop(self, grace_s: float, *, hurry: Callable[[], bool] = lambda: False) -> bool:
        """Ask all children to stop, wait ``grace_s`` seconds or until ``hurry()``, then kill the others.

        Returns whether all ended by themselves.
        """
        running = [(child.name, child.process) for child in self.children if child.process is not None]
        for _, process in running:
            process.terminate()
        deadline = time.monotonic() + grace_s
        while any(process.poll() is None for _, process in running) and time.monotonic() < deadline and not hurry():
            time.sleep(POLL_S)
        in_time = all(process.poll() is not None for _, process in running)
        for name, process in running:
            if process.poll() is None:
                log.warning("process.killed", extra={"process_name": name})
            _kill_group(process.pid)
            process.wait()
        self.children.clear()
        end_strays(set())
        return in_time

    def _known(self) -> set[int]:
        return {child.process.pid for child in self.children if child.process is not None}

    def _start(self, child: Child) -> None:
        child.process = spawn(child.command, {**self.environment, **child.environment})
        child.started_at = self.clock()
        log.info("process.started", extra={"process_name": child.name, "pid": child.process.pid})


def children_of(pid: int) -> list[int]:
    """Direct children of a process (Linux; empty elsewhere)."""
    pids: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread ended in between
            pids += [int(child) for child in listing.read_text().split()]
    return pids


def end_strays(known: set[int]) -> None:
    """Kill and reap every child of this process that is not ``known``, with all its descendants."""
    while strays := _strays(known):
        for stray in strays:
            # Its orphans are adopted, and the next round finds them.
            with contextlib.suppress(ProcessLookupError):
                os.kill(stray, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(stray, 0)


def reap_strays(known: set[int]) -> None:
    """Reap the children of this process that are not ``known`` and have ended."""
    for stray in _strays(known):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(stray, os.WNOHANG)


def _strays(known: set[int]) -> list[int]:
    return [pid for pid in children_of(os.getpid()) if pid not in known]


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, of a group of zombies
        os.killpg(group, signal.SIGKILL)

"""Child processes that end with their parent, and are started again when they die.

Nothing may outlive the parent. On Linux a child is told when its parent dies, and the parent adopts what a dead child
leaves behind, so that it can be found and ended; elsewhere the process groups must do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog

log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
#: A child that lived this long had begun well: the next pause is the first again.
SETTLED_S = 60.0
POLL_S = 0.1


def spawn(
    command: Sequence[str], environment: Mapping[str, str], *, output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own; SIGTERM reaches it when the calling thread's process dies.

    ``output`` takes what it prints, both streams; without it they are the caller's. Only for processes of one thread.
    """
    parent = os.getpid()

    def end_with_parent() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

    return subprocess.Popen(  # noqa: S603 - the callers' own programs, no shell
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        process_group=0,
        preexec_fn=end_with_parent,  # noqa: PLW1509 - nothing holds a lock across the fork in a process of one thread
    )


@dataclass
class Child:
    """One program of a family."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    deaths_in_a_row: int = 0

    def pause(self, lived_s: float) -> float:
        """Seconds to wait before the next start, after it died having lived ``lived_s``."""
        self.deaths_in_a_row = 1 if lived_s >= SETTLED_S else self.deaths_in_a_row + 1
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self.deaths_in_a_row - 1, 10))


@dataclass
class Family:
    """Programs that run together, the only children of this process: any other child is ended as a stray."""

    environment: Mapping[str, str]
    children: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        if _libc is not None and _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a program and look after it from now on."""
        child = Child(name, command)
        self.children.append(child)
        self._start(child)

    def tend(self) -> None:
        """Notice who died, end what it left behind, and start again who has paused long enough."""
        for child in self.children:
            now = time.monotonic()
            if child.process is not None and (status := child.process.poll()) is not None:
                pause = child.pause(now - child.started_at)
                log.error("process.died", process_name=child.name, status=status, restart_in_s=pause)
                _kill_group(child.process.pid)
                child.process, child.restart_at = None, now + pause
                end_strays({other.process.pid for other in self.children if other.process is not None})
            elif child.process is None and now >= child.restart_at:
                self._start(child)

    def stop(self, grace_s: float, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Ask all to stop, wait ``grace_s`` seconds or until ``hurry()``, then kill whatever is left of them."""
        running = [(child.name, child.process) for child in self.children if child.process is not None]
        for _, process in running:
            process.terminate()
        deadline = time.monotonic() + grace_s
        while any(process.poll() is None for _, process in running) and time.monotonic() < deadline and not hurry():
            time.sleep(POLL_S)
        for name, process in running:
            if process.poll() is None:
                log.warning("process.killed", process_name=name)
            _kill_group(process.pid)
            process.wait()
        self.children.clear()
        end_strays(set())

    def _start(self, child: Child) -> None:
        child.process = spawn(child.command, self.environment)
        child.started_at = time.monotonic()
        log.info("process.started", process_name=child.name, pid=child.process.pid)


def children_of(pid: int) -> list[int]:
    """Direct children of a process (Linux; empty elsewhere)."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread ended in between
            found += [int(child) for child in listing.read_text().split()]
    return found


def end_strays(known: set[int]) -> None:
    """Kill and reap every child of this process that is not ``known``, with all below it."""
    while strays := [pid for pid in children_of(os.getpid()) if pid not in known]:
        for stray in strays:
            # What it leaves behind is adopted, and found by the next round.
            with contextlib.suppress(ProcessLookupError):
                os.kill(stray, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(stray, 0)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, of a group of zombies
        os.killpg(group, signal.SIGKILL)

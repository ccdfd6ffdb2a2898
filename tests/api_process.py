"""Runs the API as a separate process: starts it, waits for it and stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from cleanplate.base.settings import Settings
from tests import patient
from tests.running import clean_environment, until

_IMPORTS = "import sys; from cleanplate.base.settings import load_settings; from api.server import run; "
SERVE = _IMPORTS + "sys.exit(run(load_settings()))"
#: Prints after serving: a forked worker must never reach this line.
SERVE_AND_PRINT = _IMPORTS + "status = run(load_settings()); print('ended', status)"


@contextmanager
def served(
    settings: Settings, log: Path, program: str = SERVE, prefix: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run the server as a separate process, which answers while the block runs; ``prefix``: a command that runs it."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", program],
            env=clean_environment(settings.environment()),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    try:
        until(lambda: process.poll() is not None or answers(settings), lambda: f"no answer: {log.read_text()}")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            kill(process)
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    """``kill -9`` the server and its workers; workers that survive would still answer their open connections."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def answers(settings: Settings) -> bool:
    """Whether the server answers its health check."""
    try:
        return patient.get(f"{settings.public_url}/healthz").status_code == 200
    except httpx.TransportError:
        return False

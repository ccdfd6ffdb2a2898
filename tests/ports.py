"""Ports for the servers of tests, each given to one test run only, and only once.

Another run or any connection may take a port that the system assigned before the server listens on it. These ports lie
below those that Linux assigns, and a test run holds a lock on each of its ports until it ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from itertools import cycle, islice
from pathlib import Path
from typing import IO

_LOCKS = Path(tempfile.gettempdir()) / "cleanplate-test-ports"
_ALL = range(20_000, 32_000)
#: Parallel test runs begin at different ports.
_ports = islice(cycle(_ALL), 40 * os.getpid() % len(_ALL), None)
_held: list[IO[str]] = []


def free_port(beside: int = 0) -> int:
    """Reserve a free loopback port until the end of the run, and the ``beside`` ports above it; the lowest of them."""
    while True:
        ports = [next(_ports) for _ in range(1 + beside)]
        if ports[-1] - ports[0] == beside and all(_take(port) for port in ports):
            return ports[0]


def _take(port: int) -> bool:
    _LOCKS.mkdir(exist_ok=True)
    try:
        lock = (_LOCKS / str(port)).open("w")
    except PermissionError:  # the lock belongs to another user
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
    except OSError:
        lock.close()
        return False
    _held.append(lock)
    return True

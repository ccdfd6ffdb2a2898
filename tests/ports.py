"""Ports for the servers of tests, each given to one run alone and only once.

A port that the system gives away may be somebody else's before a server has started on it: another run's, or any
connection's. These lie below those that Linux gives away, and a run holds a lock on each until its end.
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
#: Runs beside this one begin elsewhere.
_ports = islice(cycle(_ALL), 40 * os.getpid() % len(_ALL), None)
_held: list[IO[str]] = []


def free_port(beside: int = 0) -> int:
    """A loopback port that nobody listens on, this run's until its end; ``beside``: so many above it are its too."""
    while True:
        ports = [next(_ports) for _ in range(1 + beside)]
        if ports[-1] - ports[0] == beside and all(_take(port) for port in ports):
            return ports[0]


def _take(port: int) -> bool:
    _LOCKS.mkdir(exist_ok=True)
    try:
        lock = (_LOCKS / str(port)).open("w")
    except PermissionError:  # another user's
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

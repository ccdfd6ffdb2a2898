"""The heartbeat of a worker's child: a small file that a thread writes every second and the supervisor reads.

A child that is stopped writes nothing; one whose device or thread hangs says for how long it has been so.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

BEAT_S = 1.0
#: Names the file to a child; without it there is no heartbeat.
VARIABLE = "CLEANPLATE_PULSE"


@dataclass(frozen=True, kw_only=True)
class Beat:
    """What a child says of itself."""

    pid: int
    #: Grows with every beat.
    number: int = 0
    #: Whether the network is loaded.
    ready: bool = False
    images: int = 0
    #: Over the last minute.
    images_per_second: float = 0.0
    tiles: int = 0
    #: Seconds since the process is ready in which nothing was asked of the device.
    idle_s: float = 0.0
    #: Seconds for which a step has been under way, or tiles asked and none answered.
    hanging_s: float = 0.0
    resident_bytes: int = 0


def read_beat(path: Path) -> Beat | None:
    """The last beat; ``None`` before the first."""
    try:
        return Beat(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None


class Pulse:
    """Writes a beat every second until the process ends."""

    def __init__(self, path: Path, take: Callable[[], Beat]) -> None:
        self._path, self._take = path, take
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._never = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                self.beat()
            except OSError:
                # A full disk, say. The supervisor hears nothing and begins the process anew, which says it again.
                log.exception("pulse.not_written")
            self._never.wait(BEAT_S)

    def beat(self) -> None:
        """Write one."""
        self._number += 1
        put(self._path, json.dumps(asdict(replace(self._take(), number=self._number))))


def put(path: Path, text: str) -> None:
    """Replace a file whole, without waiting for the disk: it need not outlive this machine's next start."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def resident_bytes() -> int:
    """Of this process (Linux; 0 elsewhere)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

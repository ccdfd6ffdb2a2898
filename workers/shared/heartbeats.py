"""The heartbeat of a device's process: a small file that a thread writes every second and the supervisor reads.

A stopped process writes nothing. A process whose device or thread hangs reports for how long it has been so.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import structlog

from cleanplate.base.reports import DeviceReport

log = structlog.get_logger(__name__)

#: Seconds between two heartbeats.
HEARTBEAT_S = 1.0
#: Seconds after its start within which a process must write its first heartbeat.
FIRST_HEARTBEAT_S = 120.0
#: Variable that names the file to a process; without it the process writes none.
FILE_VARIABLE = "CLEANPLATE_HEARTBEAT_FILE"
#: Most characters of a reason in a report.
LONGEST_REASON = 500
#: Most seconds that one check adds to a silence: a supervisor that was itself stopped must not blame its processes.
_LONGEST_INTERVAL_S = 1.0


class HeartbeatFile:
    """Writes a report every second until the process ends. The file bears the device's name."""

    def __init__(self, path: Path, make_report: Callable[[str], DeviceReport]) -> None:
        """``make_report``: called with the device's name."""
        self._path, self._make_report = path, make_report
        self._written = 0
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._never = threading.Event()

    def start(self) -> None:
        """Write from now on."""
        self._thread.start()

    def write(self) -> None:
        """Write one heartbeat."""
        self._written += 1
        report = replace(self._make_report(self._path.stem), heartbeat=self._written)
        replace_file(self._path, json.dumps(asdict(report)))

    def _run(self) -> None:
        while True:
            try:
                self.write()
            except OSError:
                # A full disk, for example. The supervisor misses the heartbeat and replaces the process.
                log.exception("heartbeat.not_written")
            self._never.wait(HEARTBEAT_S)


def read_heartbeat(path: Path) -> DeviceReport | None:
    """The last heartbeat; ``None`` before the first."""
    try:
        return DeviceReport(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None


class HangDetector:
    """Decides by its heartbeat whether a process works. Make a new one for every start of the process."""

    def __init__(
        self, path: Path, *, hang_s: float, stuck_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``hang_s``: the longest silence; ``stuck_s``: the longest single step, or pass of the network."""
        path.unlink(missing_ok=True)
        self._path, self._hang_s, self._stuck_s, self._clock = path, hang_s, stuck_s, clock
        self._checked_at = clock()
        self.silent_s = 0.0
        self.last: DeviceReport | None = None

    def check(self) -> str | None:
        """Read the heartbeat; returns a reason to end the process, if any: ``silent``, ``stuck`` or ``child_died``."""
        now = self._clock()
        self.silent_s += min(now - self._checked_at, _LONGEST_INTERVAL_S)
        self._checked_at = now
        before, report = self.last, read_heartbeat(self._path)
        if report is not None and (before is None or (report.pid, report.heartbeat) != (before.pid, before.heartbeat)):
            self.silent_s, self.last = 0.0, report
        if before is not None and report is not None and before.pid != report.pid:
            # Celery has replaced its child. Ended here, the process counts as dead and is started with pauses.
            return "child_died"
        if self.silent_s > (FIRST_HEARTBEAT_S if self.last is None else self._hang_s):
            return "silent"
        if self.last is not None and (self.last.hanging_s or 0.0) > self._stuck_s:
            return "stuck"
        return None


def write_failure(heartbeat_file: Path, error: Exception) -> None:
    """Leave the error that keeps a process from its work for the supervisor, beside the heartbeat file."""
    code = getattr(error, "code", type(error).__name__)
    replace_file(_failure_file(heartbeat_file), f"{code}: {' '.join(str(error).split())}"[:LONGEST_REASON])


def read_failure(heartbeat_file: Path) -> str | None:
    """The last error that :func:`write_failure` left, as a code and a sentence."""
    try:
        return _failure_file(heartbeat_file).read_text()
    except FileNotFoundError:
        return None


def forget_failure(heartbeat_file: Path) -> None:
    """Forget the last error: the process works."""
    _failure_file(heartbeat_file).unlink(missing_ok=True)


def _failure_file(heartbeat_file: Path) -> Path:
    return heartbeat_file.with_suffix(".failure")


def replace_file(path: Path, text: str) -> None:
    """Replace a file whole, without waiting for the disk: it need not outlive this machine's next start."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def resident_bytes() -> int:
    """Resident memory of this process (Linux; 0 elsewhere)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

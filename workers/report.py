"""What a machine's workers are doing, device by device: written by their supervisor, read by whoever asks.

:func:`read_reports` is the one way to these numbers, for ``cleanplate worker --status`` and for metrics.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from cleanplate.settings import Settings
from workers.pulse import put

#: Seconds between two reports, and the age from which on one is old: its supervisor is gone or hangs.
REPORT_S, STALE_S = 2.0, 15.0


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """One device and the process that works on it. Sizes in bytes; ``None``: not known for this kind of device."""

    #: Of its machine: ``cuda0``, ``cpu``.
    device: str
    host: str
    #: ``starting``, ``working``, ``waiting`` (for its next start), ``crash_loop`` or ``draining``.
    state: str
    #: Process id of the child.
    pid: int | None
    #: Times that its process died.
    deaths: int
    images: int
    #: Over the last minute.
    images_per_second: float
    tiles: int
    #: Seconds in which nothing was asked of the device since its process is ready.
    idle_s: float
    #: Seconds since the last sign of life.
    silent_s: float
    #: Memory of the process.
    resident_bytes: int
    memory_used: int | None = None
    memory_total: int | None = None
    temperature_c: int | None = None
    #: Unix time.
    at: float


def own_folder(settings: Settings) -> Path:
    """A folder for the reports of this supervisor; those of dead ones on this machine are removed."""
    above = settings.home / "workers"
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    host = socket.gethostname()
    for folder in above.glob(f"{host}-*"):
        if not _lives(folder.name.rpartition("-")[2]):
            shutil.rmtree(folder, ignore_errors=True)
    folder = above / f"{host}-{os.getpid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_reports(folder: Path, reports: Iterable[DeviceReport]) -> None:
    """Replace what this supervisor has said before."""
    put(folder / "status.json", json.dumps([asdict(report) for report in reports]))


def read_reports(settings: Settings) -> list[DeviceReport]:
    """Of all supervisors that share this home folder and have reported lately, by host and device."""
    reports: list[DeviceReport] = []
    for path in (settings.home / "workers").glob("*/status.json"):
        with suppress(FileNotFoundError):  # its supervisor stopped in between
            reports += [DeviceReport(**row) for row in json.loads(path.read_text())]
    fresh = [report for report in reports if report.at > time.time() - STALE_S]
    return sorted(fresh, key=lambda report: (report.host, report.device))


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""Reports of the devices of this home folder: the supervisor writes them, ``cleanplate worker --status`` reads them.

The ledger gets the reports of all machines a few times a minute (:mod:`storage.ledger.operations.devices`).
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass

from cleanplate.base.settings import Settings

#: Age in seconds from which on a report is old: its supervisor is gone or hangs.
STALE_S = 15.0


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
    #: Seconds without work for the device since its process was ready.
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


def read_reports(settings: Settings) -> list[DeviceReport]:
    """Of all supervisors that share this home folder and have reported lately, by host and device."""
    reports: list[DeviceReport] = []
    for path in (settings.home / "workers").glob("*/status.json"):
        with suppress(FileNotFoundError):  # its supervisor stopped in between
            reports += [DeviceReport(**row) for row in json.loads(path.read_text())]
    fresh = [report for report in reports if report.at > time.time() - STALE_S]
    return sorted(fresh, key=lambda report: (report.host, report.device))

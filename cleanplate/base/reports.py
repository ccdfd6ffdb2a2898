"""The report of a device: its process fills it in, its supervisor completes it, the home folder and the ledger keep it.

:func:`read_reports` reads those of this home folder, for ``cleanplate worker --status``. The ledger keeps those of all
machines (:mod:`storage.ledger.operations.devices`).
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass

from cleanplate.base.settings import Settings

#: Age in seconds from which a report is stale: its supervisor has died or hangs.
STALE_S = 15.0


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """One device and the process that works on it. Sizes in bytes; ``None``: not known.

    The ledger keeps no figure about the process but its deaths, images and memory.
    """

    #: Name on its machine: ``cuda0``, ``cpu``.
    device: str
    host: str
    #: ``starting``, ``working``, ``waiting`` (for its next start), ``crash_loop`` or ``draining``.
    state: str = "starting"
    #: Why the process does not work, a code and a sentence; ``None`` while it works or has never died.
    reason: str | None = None
    #: Deaths of the process so far.
    deaths: int = 0
    #: Images ended by the process.
    images: int = 0
    #: Mean of the last minute.
    images_per_second: float = 0.0
    #: Resident memory of the process.
    resident_bytes: int = 0
    memory_used: int | None = None
    memory_total: int | None = None
    temperature_c: int | None = None
    #: Unix time of the report.
    told_at: float
    #: Process id of the child.
    pid: int | None = None
    #: Number of the heartbeat in which the process reported.
    heartbeat: int | None = None
    #: Tiles that the network has filled.
    tiles: int | None = None
    #: Seconds in which the device had no work, since its process is ready.
    idle_s: float | None = None
    #: Seconds for which one step has been running, or the network has answered no tile.
    hanging_s: float | None = None
    #: Seconds since the last heartbeat.
    silent_s: float | None = None


def read_reports(settings: Settings) -> list[DeviceReport]:
    """Reports of all supervisors that share this home folder, without the stale ones, by host and device."""
    reports: list[DeviceReport] = []
    for path in (settings.home / "workers").glob("*/status.json"):
        with suppress(FileNotFoundError):  # the supervisor stopped in between
            reports += [DeviceReport(**row) for row in json.loads(path.read_text())]
    fresh = [report for report in reports if report.told_at > time.time() - STALE_S]
    return sorted(fresh, key=lambda report: (report.host, report.device))

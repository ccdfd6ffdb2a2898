"""What a supervisor tells the ledger of its devices, for whoever looks after all machines.

A thread of its own, so that a ledger that does not answer keeps no supervisor from its workers. What could not be told
is not kept: the next telling says how it is then.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog

from cleanplate.base.reports import DeviceReport
from storage.database import Database
from storage.errors import StorageError
from storage.ledger.operations.devices import Device, report_devices

log = structlog.get_logger(__name__)

#: Seconds between two tellings, where no device's state has changed.
TELL_S = 10.0


class Telling:
    """Tells what it was last given, until the block ends; then that there is nothing more."""

    def __init__(self, database: Database, supervisor: str) -> None:
        self._database, self._supervisor = database, supervisor
        self._changed = threading.Condition()
        self._latest: Sequence[DeviceReport] = ()
        self._news = self._ended = False
        self._thread = threading.Thread(target=self._run, name="telling", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._latest, self._ended = (), True
            self._changed.notify()
        self._thread.join()

    def give(self, reports: Sequence[DeviceReport]) -> None:
        """How the devices are now. Never waits."""
        with self._changed:
            states = [(report.device, report.state) for report in self._latest]
            self._news = self._news or states != [(report.device, report.state) for report in reports]
            self._latest = reports
            if self._news:
                self._changed.notify()

    def _run(self) -> None:
        ended = False
        while not ended:
            with self._changed:
                self._changed.wait_for(lambda: self._news or self._ended, TELL_S)
                reports, ended, self._news = self._latest, self._ended, False
            try:
                report_devices(self._database, self._supervisor, [_told(report) for report in reports])
            except StorageError as error:
                log.warning("devices.not_told", code=error.code, error=str(error))
            except Exception:
                log.exception("devices.not_told")


def _told(report: DeviceReport) -> Device:
    return Device(
        device=report.device,
        host=report.host,
        state=report.state,
        deaths=report.deaths,
        images=report.images,
        images_per_second=report.images_per_second,
        resident_bytes=report.resident_bytes,
        memory_used=report.memory_used,
        memory_total=report.memory_total,
        temperature_c=report.temperature_c,
    )

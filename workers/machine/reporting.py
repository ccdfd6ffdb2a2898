"""Reports of a machine's devices: into a status file, the log and the ledger.

A separate thread writes to the ledger, so that an unavailable ledger does not block the supervisor.
A report that cannot be written is dropped; the next one carries current values.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from cleanplate.base.files import make_home_folder
from cleanplate.base.reports import DeviceReport
from cleanplate.base.settings import Settings
from storage.database import Database
from storage.errors import StorageError
from storage.ledger.operations.devices import report_devices
from workers.shared.heartbeats import replace_file

log = structlog.get_logger(__name__)

#: Seconds between two status files, and between two lines of log about each device.
STATUS_S, LOG_S = 2.0, 60.0
#: Seconds between two reports to the ledger, where no device's state has changed.
LEDGER_S = 10.0


class DeviceReporter:
    """Reports devices every few seconds; the end of the ``with`` block removes them from the ledger."""

    def __init__(
        self, folder: Path, database: Database, supervisor: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._clock = folder, clock
        self._ledger = LedgerReporter(database, supervisor)
        self._next_status = self._next_log = 0.0

    def __enter__(self) -> Self:
        self._ledger.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ledger.__exit__(kind, error, at)

    def report_if_due(self, make_reports: Callable[[], list[DeviceReport]]) -> None:
        """Report the devices where the last report is old enough."""
        if self._clock() >= self._next_status:
            self.report(make_reports())

    def report(self, reports: list[DeviceReport]) -> None:
        """Report the devices now."""
        now = self._clock()
        self._next_status = now + STATUS_S
        self._ledger.submit(reports)
        try:
            write_status(self._folder, reports)
        except OSError:
            # The processes work without it.
            log.exception("device_status.not_written")
        if now >= self._next_log:
            self._next_log = now + LOG_S
            for report in reports:
                log.info("device.report", **asdict(report))


class LedgerReporter:
    """Writes the last submitted reports into the ledger until the block ends, and then that there are no devices."""

    def __init__(self, database: Database, supervisor: str) -> None:
        self._database, self._supervisor = database, supervisor
        self._changed = threading.Condition()
        self._latest: Sequence[DeviceReport] = ()
        self._due = self._ended = False
        self._thread = threading.Thread(target=self._run, name="ledger-reporter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._latest, self._ended = (), True
            self._changed.notify()
        self._thread.join()

    def submit(self, reports: Sequence[DeviceReport]) -> None:
        """Take over the reports; they are written at once where a device's state has changed. Never waits."""
        with self._changed:
            states = [(report.device, report.state) for report in self._latest]
            self._due = self._due or states != [(report.device, report.state) for report in reports]
            self._latest = reports
            if self._due:
                self._changed.notify()

    def _run(self) -> None:
        ended = False
        while not ended:
            with self._changed:
                self._changed.wait_for(lambda: self._due or self._ended, LEDGER_S)
                reports, ended, self._due = self._latest, self._ended, False
            try:
                report_devices(self._database, self._supervisor, reports)
            except StorageError as error:
                log.warning("device_reports.not_written", code=error.code, error=str(error))
            except Exception:
                log.exception("device_reports.not_written")


def make_report_folder(settings: Settings) -> Path:
    """Make a folder for this supervisor's files, and remove those of dead supervisors on this machine."""
    above = settings.home / "workers"
    make_home_folder(above)
    host = socket.gethostname()
    for folder in above.glob(f"{host}-*"):
        if not _is_alive(folder.name.rpartition("-")[2]):
            shutil.rmtree(folder, ignore_errors=True)
    folder = above / f"{host}-{os.getpid()}"
    make_home_folder(folder)
    return folder


def write_status(folder: Path, reports: Iterable[DeviceReport]) -> None:
    """Replace the status file of this supervisor."""
    replace_file(folder / "status.json", json.dumps([asdict(report) for report in reports]))


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

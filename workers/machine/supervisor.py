"""``cleanplate worker``: one Celery process per device, begun again when it dies or hangs, drained on SIGTERM.

Never imports torch. When this process dies, its Celery processes drain and end as well.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import structlog

from cleanplate.base.processes import Child, Family, python_command
from cleanplate.base.reports import DeviceReport
from cleanplate.base.settings import Settings
from cleanplate.telemetry import metrics
from storage.database import Database
from workers.machine.devices import Device, devices, read_device
from workers.machine.reporting import REPORT_S, own_folder, write_reports
from workers.machine.telling import Telling
from workers.machine.watch import Watch
from workers.shared.heartbeats import VARIABLE
from workers.shared.queue import DRAIN_S, prepare_queue
from workers.shared.stopping import StopSignal

log = structlog.get_logger(__name__)

#: Seconds between two looks at the processes, and between two lines of log about each device.
LOOK_S, LOG_S = 0.2, 60.0
#: glibc keeps freed memory for each thread; with two such stores a worker's size stays level (``bench/memory.py``).
ALLOCATOR = {"MALLOC_ARENA_MAX": "2"}


class Keeper:
    """Keeps one device's process at work."""

    def __init__(self, family: Family, device: Device, settings: Settings, folder: Path, queues: Sequence[str]) -> None:
        self._family, self._device, self._settings = family, device, settings
        self._pulse = folder / f"{device.name}.beat"
        self._watch = self._new_watch()
        command = python_command("workers.device.process", device.name, ",".join(queues))
        self.child: Child = family.start(device.name, command, device.environment | {VARIABLE: str(self._pulse)})
        self._started_at = self.child.started_at

    def look(self) -> None:
        """End the process where it hangs or lost its child; the family starts again what has ended."""
        if self.child.started_at != self._started_at:
            self._watch, self._started_at = self._new_watch(), self.child.started_at
        if self.child.alive and (reason := self._watch.look()) is not None:
            log.error(
                "worker.replaced", device=self._device.name, reason=reason, silent_s=round(self._watch.silent_s, 1)
            )
            self._family.end(self.child, reason)

    def report(self, *, draining: bool = False) -> DeviceReport:
        """How device and process are."""
        beat, reading = self._watch.last, read_device(self._device)
        return DeviceReport(
            device=self._device.name,
            host=socket.gethostname(),
            state="draining" if draining else self._state(),
            pid=beat.pid if beat else None,
            deaths=self.child.deaths,
            images=beat.images if beat else 0,
            images_per_second=beat.images_per_second if beat else 0.0,
            tiles=beat.tiles if beat else 0,
            idle_s=beat.idle_s if beat else 0.0,
            silent_s=round(self._watch.silent_s, 1),
            resident_bytes=beat.resident_bytes if beat else 0,
            memory_used=reading.memory_used,
            memory_total=reading.memory_total,
            temperature_c=reading.temperature_c,
            at=time.time(),
        )

    def _state(self) -> str:
        if self.child.alive:
            return "working" if self._watch.last and self._watch.last.ready else "starting"
        return "crash_loop" if self.child.in_crash_loop else "waiting"

    def _new_watch(self) -> Watch:
        return Watch(self._pulse, hang_s=self._settings.hang_s, stuck_s=self._settings.stuck_s)


class _Reporter:
    """Writes the status file every few seconds, a line of log for each device every minute, and has the ledger told."""

    def __init__(
        self, folder: Path, keepers: list[Keeper], telling: Telling, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._keepers, self._telling, self._clock = folder, keepers, telling, clock
        self._next_report = self._next_log = 0.0

    def look(self, *, draining: bool = False) -> None:
        now = self._clock()
        if now < self._next_report:
            return
        self._next_report = now + REPORT_S
        reports = [keeper.report(draining=draining) for keeper in self._keepers]
        self._telling.give(reports)
        try:
            write_reports(self._folder, reports)
        except OSError:
            # The workers can do without.
            log.exception("report.not_written")
        if now >= self._next_log:
            self._next_log = now + LOG_S
            for report in reports:
                log.info("device.report", **asdict(report))


def run(settings: Settings, *, chosen: str | None = None, queues: Sequence[str]) -> int:
    """Keep this machine's workers running until SIGTERM or SIGINT; 0 when all stopped by themselves then.

    ``chosen``: some of the devices (``0,2``). ``queues``: what is taken from, in this order.

    Raises:
        NoDevice, UnknownDevice: what was asked for is not here.
    """
    prepare_queue(settings)
    found = devices(settings, chosen)
    folder = own_folder(settings)
    database = Database.connect(settings.sqlalchemy_url)
    with (
        StopSignal() as stop,
        metrics.gather(settings) as counted,
        metrics.shown(settings, metrics.WORKER, counted),
        closing(database),
        Telling(database, folder.name) as telling,
    ):
        family = Family(ALLOCATOR | os.environ | settings.environment() | metrics.environment(counted))
        try:
            keepers = [Keeper(family, device, settings, folder, queues) for device in found]
            reporter = _Reporter(folder, keepers, telling)
            while not stop.wait(LOOK_S):
                for keeper in keepers:
                    keeper.look()
                family.tend()
                reporter.look()
            log.info("worker.draining")
            reporter.look(draining=True)
        finally:
            drained = family.stop(DRAIN_S)
            shutil.rmtree(folder, ignore_errors=True)
    if not drained:
        log.error("worker.not_drained", seconds=DRAIN_S)
        return 1
    log.info("worker.stopped")
    return 0

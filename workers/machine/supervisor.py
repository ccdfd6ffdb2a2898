"""``cleanplate worker``: one Celery process per device, replaced when it dies or hangs, drained on SIGTERM.

This process never imports torch. When it dies, its Celery processes drain and end as well.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import structlog

from cleanplate.base.processes import Child, Family, python_command
from cleanplate.base.reports import DeviceReport
from cleanplate.base.settings import Settings, variable_of
from cleanplate.telemetry import metrics
from model.cores import usable_cores
from storage.database import Database
from workers.machine.devices import Device, devices, read_device
from workers.machine.reporting import DeviceReporter, make_report_folder
from workers.shared.heartbeats import FILE_VARIABLE, HangDetector, forget_failure, read_failure
from workers.shared.queue import DRAIN_S, prepare_queue
from workers.shared.stopping import StopSignal

log = structlog.get_logger(__name__)

#: Seconds between two checks of the processes.
CHECK_S = 0.2
#: glibc keeps freed memory for each thread; with two such stores a worker's size stays level (``bench/memory.py``).
ALLOCATOR = {"MALLOC_ARENA_MAX": "2"}


class DeviceProcess:
    """Keeps one device's process at work."""

    def __init__(self, family: Family, device: Device, settings: Settings, folder: Path, queues: Sequence[str]) -> None:
        self._family, self._device, self._settings = family, device, settings
        self._heartbeat_file = folder / f"{device.name}.heartbeat"
        self._detector = self._new_detector()
        command = python_command("workers.device.process", device.name, ",".join(queues))
        environment = device.environment | {FILE_VARIABLE: str(self._heartbeat_file)}
        self.child: Child = family.start(device.name, command, environment)
        self._started_at = self.child.started_at

    def check(self) -> None:
        """End the process where it hangs or lost its child; the family restarts it after any end."""
        if self.child.started_at != self._started_at:
            self._detector, self._started_at = self._new_detector(), self.child.started_at
        if self.child.alive and (reason := self._detector.check()) is not None:
            log.error(
                "worker.replaced", device=self._device.name, reason=reason, silent_s=round(self._detector.silent_s, 1)
            )
            self._family.end(self.child, reason)

    def report(self, *, draining: bool = False) -> DeviceReport:
        """The last report of the process, completed by the state of process and device."""
        now, reading = time.time(), read_device(self._device)
        own = self._detector.last or DeviceReport(device=self._device.name, host=socket.gethostname(), told_at=now)
        state = self._state()
        return replace(
            own,
            state="draining" if draining else state,
            reason=self._reason(state),
            deaths=self.child.deaths,
            silent_s=round(self._detector.silent_s, 1),
            memory_used=reading.memory_used,
            memory_total=reading.memory_total,
            temperature_c=reading.temperature_c,
            told_at=now,
        )

    def _state(self) -> str:
        if self.child.alive:
            return self._detector.last.state if self._detector.last else "starting"
        return "crash_loop" if self.child.in_crash_loop else "waiting"

    def _reason(self, state: str) -> str | None:
        """Why the process does not work: its own error, else how it ended last."""
        if state == "working":
            forget_failure(self._heartbeat_file)
            return None
        if self.child.deaths == 0:
            return None
        return read_failure(self._heartbeat_file) or f"process_died: The process ended with {self.child.last_status}."

    def _new_detector(self) -> HangDetector:
        return HangDetector(self._heartbeat_file, hang_s=self._settings.hang_s, stuck_s=self._settings.stuck_s)


def with_coders(present: Sequence[Device], settings: Settings) -> list[Device]:
    """The devices, each with its number of coders: where the settings leave it open, GPUs share the cores.

    On a CPU the network needs the cores, and the process's own threads do the coders' work.
    """
    gpus = sum(device.uuid is not None for device in present)
    shared = max(1, usable_cores() // gpus) if gpus and sys.platform == "linux" else 0
    coders = settings.coders if settings.coders >= 0 else shared
    variables = {variable_of("coders"): str(coders)}
    return [replace(device, environment=device.environment | variables) for device in present]


def run(settings: Settings, *, chosen: str | None = None, queues: Sequence[str]) -> int:
    """Keep this machine's workers running until SIGTERM or SIGINT; 0 when all stopped by themselves then.

    ``chosen``: some of the devices (``0,2``). ``queues``: the queues to take work from, in this order.

    Raises:
        NoDevice, UnknownDevice: a device that was asked for is not on this machine.
    """
    prepare_queue(settings)
    present_devices = with_coders(devices(settings, chosen), settings)
    folder = make_report_folder(settings)
    database = Database.connect(settings.sqlalchemy_url)
    with (
        StopSignal() as stop,
        metrics.gather(settings) as metrics_folder,
        metrics.shown(settings, metrics.WORKER, metrics_folder),
        closing(database),
        DeviceReporter(folder, database, folder.name) as reporter,
    ):
        family = Family(ALLOCATOR | os.environ | settings.environment() | metrics.environment(metrics_folder))
        try:
            processes = [DeviceProcess(family, device, settings, folder, queues) for device in present_devices]
            while not stop.wait(CHECK_S):
                for process in processes:
                    process.check()
                family.tend()
                reporter.report_if_due(lambda: [process.report() for process in processes])
            log.info("worker.draining")
            reporter.report([process.report(draining=True) for process in processes])
        finally:
            drained = family.stop(DRAIN_S)
            shutil.rmtree(folder, ignore_errors=True)
    if not drained:
        log.error("worker.drain_timed_out", seconds=DRAIN_S)
        return 1
    log.info("worker.stopped")
    return 0

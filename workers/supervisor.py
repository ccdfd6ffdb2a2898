"""``cleanplate worker``: one Celery process per device, begun again when it dies, drained on SIGTERM.

Never imports torch. When this process dies, its Celery processes drain and end as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import structlog

from cleanplate.settings import Settings
from workers.devices import Device, devices
from workers.queue import DRAIN_S, prepare_queue
from workers.stopping import StopSignal

log = structlog.get_logger(__name__)

#: Seconds between two looks at the processes.
LOOK_S = 0.2
#: Waits before a process is begun again: the first, and the longest, in seconds. It doubles at each death …
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
#: … and starts over after a life of so many seconds.
HEALTHY_S = 60.0


class Keeper:
    """Keeps one device's process alive."""

    def __init__(self, device: Device, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._device = device
        self._environment = os.environ | settings.environment() | device.environment
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self.begun_at = 0.0
        self._not_before = 0.0
        self._pause = FIRST_PAUSE_S

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def look(self) -> None:
        """Begin the process where none runs and its pause is over; note a death."""
        if self.alive:
            return
        now = self._clock()
        if self._process is not None:
            lived = now - self.begun_at
            if lived >= HEALTHY_S:
                self._pause = FIRST_PAUSE_S
            log.error(
                "worker.died",
                device=self._device.name,
                status=self._process.returncode,
                seconds=round(lived, 1),
                again_in=self._pause,
            )
            self._process = None
            self._not_before = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        if now >= self._not_before:
            self._begin(now)

    def _begin(self, now: float) -> None:
        command = [sys.executable, "-m", "workers.process", self._device.name, str(os.getpid())]
        # A session of its own: Ctrl-C in a terminal reaches the supervisor alone, which then drains in order.
        self._process = subprocess.Popen(command, env=self._environment, start_new_session=True)  # noqa: S603
        self.begun_at = now
        log.info("worker.begun", device=self._device.name, pid=self._process.pid)

    def drain(self) -> None:
        """Ask the process to end the image it is at and stop."""
        if self.alive and self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and its children at once; their leases run out."""
        if self._process is not None and self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def run(settings: Settings) -> int:
    """Keep this machine's workers running until SIGTERM or SIGINT; 0 when all stopped by themselves then.

    Raises:
        NoDevice: CUDA was asked for and there is none.
    """
    prepare_queue(settings)
    with StopSignal() as stop:
        keepers = [Keeper(device, settings) for device in devices(settings)]
        try:
            while not stop.wait(LOOK_S):
                for keeper in keepers:
                    keeper.look()
            log.info("worker.draining")
            return _drain(keepers)
        finally:
            for keeper in keepers:
                keeper.kill()


def _drain(keepers: list[Keeper]) -> int:
    for keeper in keepers:
        keeper.drain()
    until = time.monotonic() + DRAIN_S
    while any(keeper.alive for keeper in keepers):
        if time.monotonic() > until:
            log.error("worker.not_drained", seconds=DRAIN_S)
            return 1
        time.sleep(LOOK_S)
    log.info("worker.stopped")
    return 0

"""The supervisor watches a device's process by its heartbeat, and reports the device."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from cleanplate.base.reports import STALE_S, DeviceReport, read_reports
from cleanplate.base.settings import Settings
from tests.running import cleanplate, running, until
from workers.device.activity import WINDOW_S, Activity
from workers.errors import NoDevice
from workers.machine import supervisor
from workers.machine.devices import Device
from workers.machine.reporting import make_report_folder, write_status
from workers.shared.heartbeats import (
    FIRST_HEARTBEAT_S,
    HangDetector,
    HeartbeatFile,
    forget_failure,
    read_failure,
    read_heartbeat,
    write_failure,
)
from workers.shared.stopping import StopSignal

HANG_S, STUCK_S = 10.0, 100.0


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def report_of(pid: int = 1, hanging_s: float = 0.0) -> DeviceReport:
    return DeviceReport(device="cpu", host="here", state="working", pid=pid, hanging_s=hanging_s, told_at=0.0)


class Process:
    """Writes heartbeats, and is checked many times a second of a clock that tests turn."""

    def __init__(self, folder: Path) -> None:
        self.report = report_of()
        self.clock = Clock()
        path = folder / "cpu.heartbeat"
        self.detector = HangDetector(path, hang_s=HANG_S, stuck_s=STUCK_S, clock=self.clock)
        self.heartbeat = HeartbeatFile(path, lambda device: self.report)

    def check_for(self, seconds: float) -> str | None:
        """The first reason to end the process, within these seconds."""
        for _ in range(round(seconds * 2)):
            self.clock.now += 0.5
            if reason := self.detector.check():
                return reason
        return None


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path)


def test_process_with_a_heartbeat_is_left_alone(process: Process) -> None:
    for _ in range(30):
        process.heartbeat.write()
        assert process.check_for(HANG_S / 2) is None


def test_process_that_falls_silent_is_replaced(process: Process) -> None:
    process.heartbeat.write()
    assert process.check_for(HANG_S) is None
    assert process.check_for(2) == "silent"


def test_process_may_take_longer_to_its_first_heartbeat(process: Process) -> None:
    assert process.check_for(FIRST_HEARTBEAT_S) is None
    assert process.check_for(2) == "silent"


def test_process_that_hangs_in_a_step_is_replaced(process: Process) -> None:
    process.report = report_of(hanging_s=STUCK_S)
    process.heartbeat.write()
    assert process.check_for(1) is None
    process.report = report_of(hanging_s=STUCK_S + 1)
    process.heartbeat.write()
    assert process.check_for(1) == "stuck"


def test_child_that_celery_has_replaced_counts_as_a_death(process: Process) -> None:
    process.heartbeat.write()
    assert process.check_for(1) is None
    process.report = report_of(pid=2)
    process.heartbeat.write()
    assert process.check_for(1) == "child_died"


def test_supervisor_that_was_stopped_itself_blames_no_process(process: Process) -> None:
    process.heartbeat.write()
    assert process.check_for(1) is None
    process.clock.now += 3600
    assert process.detector.check() is None
    process.heartbeat.write()
    assert process.check_for(HANG_S / 2) is None


def test_heartbeat_of_an_earlier_process_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cpu.heartbeat"
    HeartbeatFile(path, lambda device: report_of()).write()
    HangDetector(path, hang_s=HANG_S, stuck_s=STUCK_S)
    assert read_heartbeat(path) is None


def test_the_error_of_a_process_that_cannot_start_is_kept_until_one_works(tmp_path: Path) -> None:
    path = tmp_path / "cpu.heartbeat"
    assert read_failure(path) is None
    write_failure(path, NoDevice())
    HangDetector(path, hang_s=HANG_S, stuck_s=STUCK_S)  # of the next start
    assert str(read_failure(path)).startswith("no_device: CLEANPLATE_DEVICE is cuda, but")
    write_failure(path, FileNotFoundError(2, "No such file\nor directory", "costs.json"))
    assert read_failure(path) == "FileNotFoundError: [Errno 2] No such file or directory: 'costs.json'"
    forget_failure(path)
    assert read_failure(path) is None


def test_activity_knows_its_longest_step_and_its_pace() -> None:
    clock = Clock()
    activity = Activity(clock)
    assert activity.longest_step_s == 0
    with activity.step():
        clock.now += 5
        with activity.step():
            clock.now += 7
            assert activity.longest_step_s == 12
        assert activity.longest_step_s == 12
    assert activity.longest_step_s == 0
    for _ in range(30):
        activity.count_image()
    clock.now += WINDOW_S / 2
    assert activity.images_per_second == 30 / (WINDOW_S / 2 + 12)
    clock.now += WINDOW_S
    assert (activity.images_per_second, activity.images) == (0, 30)


def report(at: float) -> DeviceReport:
    return DeviceReport(
        device="cpu", host="here", state="working", pid=7, deaths=1, images=3, images_per_second=0.5, tiles=9,
        idle_s=1.0, silent_s=0.2, resident_bytes=1 << 28, told_at=at,
    )  # fmt: skip


def test_only_reports_of_lately_are_read(embedded_settings: Settings) -> None:
    folder = make_report_folder(embedded_settings)
    fresh, old = report(time.time()), report(time.time() - STALE_S - 1)
    write_status(folder, [fresh, old])
    assert read_reports(embedded_settings) == [fresh]


def test_status_of_a_machine_without_a_worker_is_1(embedded_settings: Settings) -> None:
    asked = cleanplate("worker", "--status", settings=embedded_settings.environment())
    assert (asked.returncode, asked.stdout) == (1, "")


@pytest.mark.parametrize(
    ("words", "complaint"), [(("--queues", "bulk,urgent"), "urgent"), (("--cpu", "--devices", "0"), "--devices")]
)
def test_choices_that_do_not_exist_are_refused(
    embedded_settings: Settings, words: tuple[str, ...], complaint: str
) -> None:
    asked = cleanplate("worker", *words, settings=embedded_settings.environment())
    assert asked.returncode == 2
    assert complaint in asked.stderr


def test_stopped_child_is_replaced_and_its_worker_goes_on(embedded_settings: Settings, tmp_path: Path) -> None:
    settings = embedded_settings.model_copy(update={"device": "cpu", "torch_threads": 1, "hang_s": 4.0})
    with running("worker", "--queues", "bulk", settings=settings.environment(), log_path=tmp_path / "log") as worker:

        def ready_child(other_than: int | None = None) -> int | None:
            pids = [report.pid for report in read_reports(settings) if report.state == "working"]
            return next((pid for pid in pids if pid != other_than), None)

        first = until(ready_child, lambda: f"no child is ready\n{worker.log}")
        os.kill(first, signal.SIGSTOP)
        second = until(lambda: ready_child(other_than=first), lambda: f"it was not replaced\n{worker.log}")
        assert second != first
        [now] = read_reports(settings)
        assert (now.device, now.deaths) == ("cpu", 1)
        lines = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
        [replaced] = [line for line in lines if line["event"] == "worker.replaced"]
        assert replaced["reason"] == "silent"
        until(lambda: not Path(f"/proc/{first}").exists(), "the stopped child is still there")
        assert worker.stop() == 0, worker.log
    assert read_reports(settings) == []


@pytest.mark.skipif(sys.platform != "linux", reason="coders need Linux")
@pytest.mark.parametrize(
    ("stated", "gpus", "each"), [(-1, 0, "0"), (-1, 1, "12"), (-1, 5, "2"), (-1, 30, "1"), (0, 2, "0"), (3, 0, "3")]
)
def test_gpus_share_the_cores_for_their_coders(
    monkeypatch: pytest.MonkeyPatch, stated: int, gpus: int, each: str
) -> None:
    monkeypatch.setattr(supervisor, "usable_cores", lambda: 12)
    present = [Device(f"cuda{n}", {"A": "b"}, f"GPU-{n}") for n in range(gpus)] or [Device("cpu", {"A": "b"})]
    for device in supervisor.with_coders(present, Settings(coders=stated)):
        assert device.environment == {"A": "b", "CLEANPLATE_CODERS": each}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signal_is_heard_and_stays_heard(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert not stop.wait(0)
        os.kill(os.getpid(), number)
        assert stop.wait(30)
        assert stop.wait(0)
    assert signal.getsignal(number) == before

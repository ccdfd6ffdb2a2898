"""A device's process is watched by its heartbeat, and what the supervisor knows is told."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from cleanplate.base.reports import STALE_S, DeviceReport, read_reports
from cleanplate.base.settings import Settings
from tests.running import cleanplate, running, until
from tests.servers import environment
from workers.device.activity import WINDOW_S, Activity
from workers.machine.reporting import own_folder, write_reports
from workers.machine.watch import FIRST_BEAT_S, Watch
from workers.shared.heartbeats import Beat, Pulse, read_beat
from workers.shared.stopping import StopSignal

HANG_S, STUCK_S = 10.0, 100.0


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Child:
    """Writes beats, and is looked at many times a second of a clock that tests turn."""

    def __init__(self, folder: Path) -> None:
        self.beat = Beat(pid=1, ready=True)
        self.clock = Clock()
        path = folder / "cpu.beat"
        self.watch = Watch(path, hang_s=HANG_S, stuck_s=STUCK_S, clock=self.clock)
        self.pulse = Pulse(path, lambda: self.beat)

    def looks(self, seconds: float) -> str | None:
        for _ in range(round(seconds * 2)):
            self.clock.now += 0.5
            if reason := self.watch.look():
                return reason
        return None


@pytest.fixture
def child(tmp_path: Path) -> Child:
    return Child(tmp_path)


def test_child_that_beats_is_left_alone(child: Child) -> None:
    for _ in range(30):
        child.pulse.beat()
        assert child.looks(HANG_S / 2) is None


def test_child_that_falls_silent_is_replaced(child: Child) -> None:
    child.pulse.beat()
    assert child.looks(HANG_S) is None
    assert child.looks(2) == "silent"


def test_child_may_take_longer_to_its_first_beat(child: Child) -> None:
    assert child.looks(FIRST_BEAT_S) is None
    assert child.looks(2) == "silent"


def test_child_that_hangs_in_a_step_is_replaced(child: Child) -> None:
    child.beat = Beat(pid=1, ready=True, hanging_s=STUCK_S)
    child.pulse.beat()
    assert child.looks(1) is None
    child.beat = Beat(pid=1, ready=True, hanging_s=STUCK_S + 1)
    child.pulse.beat()
    assert child.looks(1) == "stuck"


def test_child_that_celery_has_replaced_counts_as_a_death(child: Child) -> None:
    child.pulse.beat()
    assert child.looks(1) is None
    child.beat = Beat(pid=2)
    child.pulse.beat()
    assert child.looks(1) == "child_died"


def test_supervisor_that_was_stopped_itself_blames_nobody(child: Child) -> None:
    child.pulse.beat()
    assert child.looks(1) is None
    child.clock.now += 3600
    assert child.watch.look() is None
    child.pulse.beat()
    assert child.looks(HANG_S / 2) is None


def test_beat_of_an_earlier_process_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cpu.beat"
    Pulse(path, lambda: Beat(pid=1)).beat()
    Watch(path, hang_s=HANG_S, stuck_s=STUCK_S)
    assert read_beat(path) is None


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
        activity.image_ended()
    clock.now += WINDOW_S / 2
    assert activity.images_per_second == 30 / (WINDOW_S / 2 + 12)
    clock.now += WINDOW_S
    assert (activity.images_per_second, activity.images) == (0, 30)


def report(at: float) -> DeviceReport:
    return DeviceReport(
        device="cpu", host="here", state="working", pid=7, deaths=1, images=3, images_per_second=0.5, tiles=9,
        idle_s=1.0, silent_s=0.2, resident_bytes=1 << 28, at=at,
    )  # fmt: skip


def test_only_reports_of_lately_are_read(embedded_settings: Settings) -> None:
    folder = own_folder(embedded_settings)
    fresh, old = report(time.time()), report(time.time() - STALE_S - 1)
    write_reports(folder, [fresh, old])
    assert read_reports(embedded_settings) == [fresh]


def test_status_of_a_machine_without_a_worker_is_1(embedded_settings: Settings) -> None:
    asked = cleanplate("worker", "--status", settings=environment(embedded_settings))
    assert (asked.returncode, asked.stdout) == (1, "")


@pytest.mark.parametrize(
    ("words", "complaint"), [(("--queues", "bulk,urgent"), "urgent"), (("--cpu", "--devices", "0"), "--devices")]
)
def test_choices_that_do_not_exist_are_refused(
    embedded_settings: Settings, words: tuple[str, ...], complaint: str
) -> None:
    asked = cleanplate("worker", *words, settings=environment(embedded_settings))
    assert asked.returncode == 2
    assert complaint in asked.stderr


def test_stopped_child_is_replaced_and_its_worker_goes_on(embedded_settings: Settings, tmp_path: Path) -> None:
    settings = embedded_settings.model_copy(update={"device": "cpu", "torch_threads": 1, "hang_s": 4.0})
    with running("worker", "--queues", "bulk", settings=environment(settings), log_path=tmp_path / "log") as worker:

        def ready_child(other_than: int | None = None) -> int | None:
            pids = [found.pid for found in read_reports(settings) if found.state == "working"]
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signal_is_heard_and_stays_heard(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert not stop.wait(0)
        os.kill(os.getpid(), number)
        assert stop.wait(30)
        assert stop.wait(0)
    assert signal.getsignal(number) == before

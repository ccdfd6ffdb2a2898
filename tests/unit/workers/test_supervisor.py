"""A device's process is begun again when it dies, later each time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cleanplate.settings import Settings
from tests.running import until
from workers.devices import Device
from workers.stopping import StopSignal
from workers.supervisor import HEALTHY_S, Keeper


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keeper(embedded_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Keeper, Clock]]:
    """Its process ends as soon as it begins."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    clock = Clock()
    keeper = Keeper(Device("cpu", {}), embedded_settings, clock)
    yield keeper, clock
    keeper.kill()


def die(keeper: Keeper) -> None:
    until(lambda: not keeper.alive, "the process goes on")
    keeper.look()


def test_dead_process_is_begun_again_after_longer_and_longer_pauses(keeper: tuple[Keeper, Clock]) -> None:
    kept, clock = keeper
    kept.look()
    for pause in (1.0, 2.0, 4.0):
        die(kept)
        clock.now += pause - 0.1
        kept.look()
        assert kept.begun_at < clock.now - 0.2
        clock.now += 0.2
        kept.look()
        assert kept.begun_at == clock.now


def test_pauses_start_over_after_a_healthy_life(keeper: tuple[Keeper, Clock]) -> None:
    kept, clock = keeper
    kept.look()
    die(kept)
    clock.now += 1.0
    kept.look()
    clock.now += HEALTHY_S
    die(kept)
    clock.now += 1.0
    kept.look()
    assert kept.begun_at == clock.now


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signal_is_heard_and_stays_heard(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert not stop.wait(0)
        os.kill(os.getpid(), number)
        assert stop.wait(30)
        assert stop.wait(0)
    assert signal.getsignal(number) == before

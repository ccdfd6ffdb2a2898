"""Reports of devices are visible while they are fresh, and the last report of each supervisor counts."""

from __future__ import annotations

from dataclasses import replace

from cleanplate.base.reports import DeviceReport
from storage.database import Database
from storage.ledger.operations.devices import RECENT_S, forget_devices, list_devices, report_devices, worker_state
from tests.shop import Clock

CARD = DeviceReport(
    device="cuda0",
    host="rack-1",
    state="working",
    deaths=1,
    images=3_000_000_000,
    images_per_second=21.5,
    resident_bytes=2 << 30,
    memory_used=60 << 30,
    memory_total=141 << 30,
    temperature_c=61,
    told_at=0.0,
)
LAPTOP = replace(CARD, host="laptop", device="cpu", memory_used=None, memory_total=None, temperature_c=None)


def seen(db: Database) -> list[tuple[str, str, str]]:
    return [(one.host, one.device, one.state) for one in list_devices(db)]


def test_reports_are_listed_by_machine(db: Database, clock: Clock) -> None:
    report_devices(db, "rack-1-7", [CARD, replace(CARD, device="cuda1", state="crash_loop")])
    report_devices(db, "laptop-9", [LAPTOP])
    assert seen(db) == [
        ("laptop", "cpu", "working"), ("rack-1", "cuda0", "working"), ("rack-1", "cuda1", "crash_loop")
    ]  # fmt: skip
    report = list_devices(db)[1]
    assert (report.images, report.memory_total, report.temperature_c) == (CARD.images, CARD.memory_total, 61)
    assert report.told_at == clock.time.timestamp()


def test_the_reason_of_a_process_that_does_not_work_is_seen(db: Database) -> None:
    report_devices(db, "rack-1-7", [CARD, replace(CARD, device="cuda1", state="waiting", reason="lost: The card is.")])
    assert [one.reason for one in list_devices(db)] == [None, "lost: The card is."]
    state = worker_state(db)
    assert (state.working, state.starting, state.reason, state.reason_code) == (1, 0, "lost: The card is.", "lost")


def test_the_last_word_of_a_supervisor_counts(db: Database) -> None:
    report_devices(db, "rack-1-7", [CARD, replace(CARD, device="cuda1")])
    report_devices(db, "rack-1-8", [replace(CARD, device="cuda2")])
    report_devices(db, "rack-1-7", [replace(CARD, state="draining")])
    assert seen(db) == [("rack-1", "cuda0", "draining"), ("rack-1", "cuda2", "working")]
    report_devices(db, "rack-1-7", [])
    assert seen(db) == [("rack-1", "cuda2", "working")]


def test_silent_machines_are_hidden_and_forgotten_after_a_day(db: Database, clock: Clock) -> None:
    report_devices(db, "rack-1-7", [CARD])
    clock.advance(RECENT_S + 1)
    report_devices(db, "laptop-9", [LAPTOP])
    assert seen(db) == [("laptop", "cpu", "working")]
    assert forget_devices(db) == 0
    clock.advance(24 * 3600 - RECENT_S)
    assert forget_devices(db) == 1

"""The ledger gets a device's report at once when its state changes, and at the end learns that there are no devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from cleanplate.base.reports import DeviceReport
from cleanplate.base.settings import Settings
from storage.database import Database
from storage.ledger.operations.devices import list_devices
from tests.running import until
from workers.machine.reporting import LedgerReporter

REPORT = DeviceReport(
    device="cpu", host="here", state="starting", pid=7, deaths=1, images=3, images_per_second=0.5, tiles=9,
    idle_s=1.0, silent_s=0.2, resident_bytes=1 << 28, told_at=0.0,
)  # fmt: skip


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database.connect(settings.sqlalchemy_url)
    yield database
    database.close()


def states(database: Database) -> list[str]:
    return [device.state for device in list_devices(database)]


def test_a_device_that_changes_is_told_of_at_once_and_none_at_the_end(database: Database) -> None:
    with LedgerReporter(database, "here-7") as reporter:
        for state in ("starting", "working", "draining"):
            reporter.submit([replace(REPORT, state=state)])
            until(lambda state=state: states(database) == [state], lambda: f"told: {states(database)}")
    assert states(database) == []


def test_a_ledger_that_is_away_keeps_nobody_from_work(tmp_path_factory: pytest.TempPathFactory) -> None:
    away = Database.connect(f"sqlite:///{tmp_path_factory.mktemp('away') / 'none.sqlite3'}")
    with LedgerReporter(away, "here-7") as reporter:
        reporter.submit([REPORT])
    away.close()

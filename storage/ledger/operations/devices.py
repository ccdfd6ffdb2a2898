"""Devices of all machines, as their supervisors report them a few times a minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from cleanplate.base.reports import DeviceReport
from storage.database import Database
from storage.tables import devices

#: Seconds after which a report is stale: three missed reports, and some.
RECENT_S = 45.0
#: Seconds for which rows of supervisors are kept that died without removing them.
_KEPT_S = 24 * 3600
#: Columns that are fields of a report.
_FIELDS = [column for column in devices.c if column.name not in {"supervisor", "told_at"}]


def report_devices(db: Database, supervisor: str, reports: Sequence[DeviceReport]) -> None:
    """Replaces the reports of a supervisor, whose name holds its machine and process."""
    with db.write() as connection:
        connection.execute(delete(devices).where(devices.c.supervisor == supervisor))
        for report in reports:
            figures = {column.name: getattr(report, column.name) for column in _FIELDS}
            connection.execute(insert(devices).values(supervisor=supervisor, told_at=db.now(), **figures))


def list_devices(db: Database) -> list[DeviceReport]:
    """Reports that are not stale, by host and device."""
    query = (
        select(*_FIELDS, devices.c.told_at)
        .where(devices.c.told_at > db.after(-RECENT_S))
        .order_by(devices.c.host, devices.c.device, devices.c.supervisor)
    )
    with db.read() as connection:
        rows = [row._asdict() for row in connection.execute(query)]
    return [DeviceReport(**(row | {"told_at": row["told_at"].timestamp()})) for row in rows]


@dataclass(frozen=True)
class WorkerState:
    """The workers of all machines in numbers."""

    #: Processes that take images.
    working: int
    #: Processes that load their network.
    starting: int
    #: Why one of the others does not work: a code and a sentence.
    reason: str | None

    @property
    def reason_code(self) -> str | None:
        """The code alone: the sentence may name files of a machine."""
        return self.reason and self.reason.partition(":")[0]


def worker_state(db: Database) -> WorkerState:
    """The state of all workers by reports that are not stale."""
    reports = list_devices(db)
    states = [report.state for report in reports]
    reasons = [report.reason for report in reports if report.reason]
    return WorkerState(states.count("working"), states.count("starting"), reasons[-1] if reasons else None)


def forget_devices(db: Database) -> int:
    """Delete rows of supervisors that died long ago; their number."""
    with db.write() as connection:
        return connection.execute(delete(devices).where(devices.c.told_at <= db.after(-_KEPT_S))).rowcount

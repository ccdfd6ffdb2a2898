"""Devices of all machines, as their supervisors tell of them: not what there is, but what was told lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from sqlalchemy import delete, insert, select

from storage.database import Database
from storage.tables import devices

#: Seconds after which what was told is of the past: three tellings that did not come, and some.
LATELY_S = 45.0
#: Seconds for which rows of supervisors are kept that died without a word.
_KEPT_S = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device and the process that works on it. Sizes in bytes; ``None``: not known for this kind of device."""

    #: Of its machine: ``cuda0``, ``cpu``.
    device: str
    host: str
    #: ``starting``, ``working``, ``waiting`` (for its next start), ``crash_loop`` or ``draining``.
    state: str
    #: Times that its process died.
    deaths: int
    images: int
    #: Over the last minute.
    images_per_second: float
    #: Memory of the process.
    resident_bytes: int
    memory_used: int | None
    memory_total: int | None
    temperature_c: int | None


@dataclass(frozen=True, kw_only=True)
class ReportedDevice(Device):
    """A device, and when it was told of."""

    told_at: datetime


def report_devices(db: Database, supervisor: str, told: Sequence[Device]) -> None:
    """What a supervisor (its name is of its machine and process) has now; it takes the place of what it said before."""
    with db.write() as connection:
        connection.execute(delete(devices).where(devices.c.supervisor == supervisor))
        for device in told:
            connection.execute(insert(devices).values(supervisor=supervisor, told_at=db.now(), **asdict(device)))


def list_devices(db: Database) -> list[ReportedDevice]:
    """What was told lately, by host and device."""
    query = (
        select(*(devices.c[field.name] for field in fields(ReportedDevice)))
        .where(devices.c.told_at > db.after(-LATELY_S))
        .order_by(devices.c.host, devices.c.device, devices.c.supervisor)
    )
    with db.read() as connection:
        return [ReportedDevice(**row._asdict()) for row in connection.execute(query)]


def forget_devices(db: Database) -> int:
    """Deletes rows of supervisors that died long ago; how many there were."""
    with db.write() as connection:
        return connection.execute(delete(devices).where(devices.c.told_at <= db.after(-_KEPT_S))).rowcount

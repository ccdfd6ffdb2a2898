"""Devices of all machines, as their supervisors have recently reported them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from sqlalchemy import delete, insert, select

from storage.database import Database
from storage.tables import devices

#: Seconds after which a report is out of date: a little more than three reports apart.
LATELY_S = 45.0
#: Seconds for which the ledger keeps the rows of a supervisor that died.
_KEPT_S = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device and its process. Sizes in bytes; ``None``: not known for this kind of device."""

    #: ``cuda0``, ``cpu``.
    device: str
    host: str
    #: ``starting``, ``working``, ``waiting`` (for its next start), ``crash_loop`` or ``draining``.
    state: str
    #: Number of deaths of its process.
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
    """A device, and the time of its last report."""

    told_at: datetime


def report_devices(db: Database, supervisor: str, told: Sequence[Device]) -> None:
    """Replaces the devices of a supervisor, whose name consists of its machine and process."""
    with db.write() as connection:
        connection.execute(delete(devices).where(devices.c.supervisor == supervisor))
        for device in told:
            connection.execute(insert(devices).values(supervisor=supervisor, told_at=db.now(), **asdict(device)))


def list_devices(db: Database) -> list[ReportedDevice]:
    """The devices with a recent report, by host and device."""
    query = (
        select(*(devices.c[field.name] for field in fields(ReportedDevice)))
        .where(devices.c.told_at > db.after(-LATELY_S))
        .order_by(devices.c.host, devices.c.device, devices.c.supervisor)
    )
    with db.read() as connection:
        return [ReportedDevice(**row._asdict()) for row in connection.execute(query)]


def forget_devices(db: Database) -> int:
    """Deletes rows of supervisors that died long ago; returns their number."""
    with db.write() as connection:
        return connection.execute(delete(devices).where(devices.c.told_at <= db.after(-_KEPT_S))).rowcount

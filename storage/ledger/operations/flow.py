"""What flows through the service: the images that end in each minute, and those that wait for a worker.

The transaction that folds counts also adds the ends to their minute, so that none is counted twice. The leader writes
the waiting ones. A reader finds about 1,440 rows, whatever the number of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database
from storage.tables import UtcDateTime, flow
from storage.tables.columns import ColumnValues

#: Seconds for which minutes are kept: a day, and the part of a step that began before it.
_KEPT_S = 25 * 3600
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class FlowStep:
    """The flow during some minutes."""

    #: Images that ended, a minute; ``None``: nobody led, so that nobody counted.
    ended: float | None
    #: The most images that waited; ``None``: nobody looked.
    waiting: int | None


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The flow in steps of equal length, the oldest first, up to the last whole minute."""

    since: datetime
    step: timedelta
    steps: list[FlowStep]


def count_ended(db: Database, connection: Connection, images: int) -> None:
    """Adds images that have ended to the present minute."""
    if images:
        _add(db, connection, {"ended": images}, {"ended": flow.c.ended + images})


def note_waiting(db: Database, images: int) -> None:
    """Writes how many images wait at present."""
    with db.write() as connection:
        _add(db, connection, {"waiting": images}, {"waiting": images})


def forget_flow(db: Database) -> int:
    """Deletes the minutes of more than a day ago; their number."""
    with db.write() as connection:
        return connection.execute(delete(flow).where(flow.c.minute < db.after(-_KEPT_S))).rowcount


def recent_flow(db: Database, *, steps: int, minutes: int) -> Flow:
    """The flow in this number of steps, each of ``minutes`` minutes."""
    step = minutes * _MINUTE
    with db.read() as connection:
        now: datetime = connection.execute(select(db.now())).scalar_one()
        since = now.replace(second=0, microsecond=0) - steps * step
        rows = connection.execute(select(flow).where(flow.c.minute >= since)).all()
    by_step: dict[int, list[tuple[int, int | None]]] = {}
    for row in rows:
        by_step.setdefault((row.minute - since) // step, []).append((row.ended, row.waiting))
    return Flow(since=since, step=step, steps=[_step(by_step.get(number, [])) for number in range(steps)])


def _step(minutes: list[tuple[int, int | None]]) -> FlowStep:
    """One step of its minutes; the minutes without a row are unknown, and do not count."""
    waiting = [images for _, images in minutes if images is not None]
    ended = sum(images for images, _ in minutes) / len(minutes) if minutes else None
    return FlowStep(ended=ended, waiting=max(waiting, default=None))


def _add(db: Database, connection: Connection, values: ColumnValues, changes: ColumnValues) -> None:
    dialect = postgresql if db.on_postgres else sqlite
    added = dialect.insert(flow).values(minute=_present_minute(db), **values)
    connection.execute(added.on_conflict_do_update(index_elements=[flow.c.minute], set_=changes))


def _present_minute(db: Database) -> ColumnElement[datetime]:
    if db.on_postgres:
        return func.date_trunc("minute", db.now())
    return func.strftime("%Y-%m-%d %H:%M:00.000000", db.now(), type_=UtcDateTime())

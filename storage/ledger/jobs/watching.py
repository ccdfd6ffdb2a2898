"""Reads in one statement all jobs that event streams and long polls watch.

A watcher remembers the jobs that it saw open and names them the next time, so that it also sees their end.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select, tuple_, union_all

from storage.database import Database
from storage.ledger.jobs.counting import read_job, select_jobs
from storage.ledger.lifecycle.transitions import OPEN_JOB
from storage.records import Job, JobKind
from storage.tables import jobs

#: Most jobs of one tenant and one kind in one look: the newest.
MOST_OF_A_TENANT = 500


@dataclass(frozen=True)
class Look:
    """Jobs at one moment of the ledger's clock."""

    jobs: list[Job]
    at: datetime


def look_at(
    db: Database, named: Collection[tuple[str, str]], tenants: Collection[str], *, made_after: datetime | None = None
) -> Look:
    """The jobs that are ``named`` (tenant's and own id), and the newest of ``tenants``: open, or made lately.

    Of a tenant only jobs of the kind ``catalogue``: its lists show no others.
    """
    recent: list[ColumnElement[bool]] = [jobs.c.state.in_(OPEN_JOB)]
    if made_after is not None:
        recent.append(jobs.c.id >= _first_id(made_after))
    newest = [_newest(tenant_id, wanted, jobs.c.id) for tenant_id in sorted(tenants) for wanted in recent]
    return _look(db, [*_named(named), *newest])


def look_since(db: Database, tenant_id: str, since: datetime | None) -> Look:
    """A tenant's newest jobs that are open, or have ended ``since`` then."""
    parts = [_newest(tenant_id, jobs.c.state.in_(OPEN_JOB), jobs.c.id)]
    if since is not None:
        parts.append(_newest(tenant_id, jobs.c.finished_at >= since, jobs.c.finished_at))
    return _look(db, parts)


def _look(db: Database, parts: list[Select[tuple[str]]]) -> Look:
    with db.read() as connection:
        if not parts:
            return Look([], connection.execute(select(db.now())).scalar_one())
        chosen = union_all(*parts).subquery("watched")
        rows = connection.execute(select_jobs(db, select(jobs.c.id).where(jobs.c.id.in_(select(chosen.c.id))))).all()
        at = rows[0].read_at if rows else connection.execute(select(db.now())).scalar_one()
        return Look([read_job(row) for row in rows], at)


def _named(named: Collection[tuple[str, str]]) -> list[Select[tuple[str]]]:
    return [select(jobs.c.id).where(tuple_(jobs.c.tenant_id, jobs.c.id).in_(sorted(named)))] if named else []


def _newest(tenant_id: str, wanted: ColumnElement[bool], newest_by: ColumnElement[Any]) -> Select[Any]:
    """One condition at a time: an ``OR`` of two would have no index and read all jobs of the tenant."""
    newest = (
        select(jobs.c.id)
        .where(jobs.c.tenant_id == tenant_id, jobs.c.kind == JobKind.CATALOGUE, wanted)
        .order_by(newest_by.desc())
        .limit(MOST_OF_A_TENANT)
    )
    return select(newest.subquery().c.id)


def _first_id(moment: datetime) -> str:
    """At most the id of any job made after ``moment``: ids begin with the milliseconds of their creation."""
    return f"job_{int(moment.timestamp() * 1000):012x}"

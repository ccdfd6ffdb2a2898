"""Reads in one statement whether there is work for each of the dispatcher's steps.

Most ticks find none, and each step would cost a transaction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Select, exists, select

from storage.database import Database
from storage.ledger.images.deadlines import is_late
from storage.ledger.images.reaper import is_silent, select_finished_jobs
from storage.ledger.templates.leases import is_silent_template, is_waiting_template
from storage.tables import images, pauses, templates


class PendingWork(NamedTuple):
    """Whether there is work of each kind."""

    #: Images, and templates, with an expired lease.
    silent: bool
    silent_template: bool
    #: Queued images of a job past its deadline.
    late: bool
    #: Jobs whose images have all ended.
    finished: bool
    paused: bool
    #: Templates to be made; they may be in the queue already.
    template: bool


def pending_work(db: Database) -> PendingWork:
    """Reads all of it in one statement, one snapshot on Postgres."""
    with db.read() as connection:
        return PendingWork(*map(bool, connection.execute(db.built_once(_looks)).one()))


def _looks(db: Database) -> Select[Any]:
    looks = [
        exists(select(images.c.id).where(is_silent(db))),
        exists(select(templates.c.id).where(is_silent_template(db))),
        exists(select(images.c.id).where(is_late(db))),
        exists(select_finished_jobs()),
        exists(select(pauses.c.subject)),
        exists(select(templates.c.id).where(is_waiting_template(db))),
    ]
    columns: list[Any] = [look.label(name) for name, look in zip(PendingWork._fields, looks, strict=True)]
    return select(*columns)

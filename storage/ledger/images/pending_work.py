"""What there is for the dispatcher to do at all, in one statement.

Each of its steps would find that out by itself, but at most ticks nothing has run out, and every step is a transaction.
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
    """Whether there is any of these."""

    #: Images, and templates, whose worker has fallen silent.
    silent: bool
    silent_template: bool
    #: Images of a job whose deadline has passed.
    late: bool
    #: Jobs whose images have all ended.
    finished: bool
    paused: bool
    #: Templates that are to be made; they may be on their way.
    template: bool


def pending_work(db: Database) -> PendingWork:
    """One look, of one snapshot on Postgres."""
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

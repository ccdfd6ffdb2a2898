"""Marks that a job of the kind ``repair`` looks for itself: they serve its one picture, and are deleted after it."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection, and_, exists, not_, or_, select

from storage.database import Database
from storage.errors import NotFound
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.lifecycle.transitions import OPEN_JOB
from storage.ledger.operations import audit
from storage.ledger.templates.templates import drop_template
from storage.records import ImageState, JobKind, JobState, TemplateState
from storage.tables import images, job_templates, jobs, templates

#: Templates in one transaction.
_BATCH = 100

_FOR_REPAIR = and_(
    jobs.c.id == templates.c.source_job_id,
    jobs.c.kind == JobKind.REPAIR,
    templates.c.spec["mode"].as_string() == "auto",
)


def cancel_repairs_without_mark(db: Database) -> int:
    """Cancels repairs that were to begin by themselves and have found no mark; their number.

    No person was asked to look at them: without this they would wait for an approval for ever.
    """
    query = (
        select(jobs.c.tenant_id, jobs.c.id)
        .where(
            jobs.c.kind == JobKind.REPAIR,
            jobs.c.state == JobState.NEEDS_REVIEW,
            jobs.c.mask["approve"].as_string() == "auto",
            jobs.c.review["error"]["code"].as_string().is_not(None),
        )
        .order_by(jobs.c.id)
        .limit(_BATCH)
    )
    with db.read() as connection:
        markless = connection.execute(query).all()
    for job in markless:
        with suppress(NotFound):  # deleted meanwhile
            cancel_job(db, job.tenant_id, job.id)
    return len(markless)


def drop_templates_of_ended_repairs(db: Database) -> int:
    """Deletes the templates of repairs that have ended and cannot be retried, and those that failed; their number.

    Those that another open job uses stay until it ends.
    """
    other = jobs.alias("other")
    used = exists().where(
        job_templates.c.template_id == templates.c.id,
        other.c.id == job_templates.c.job_id,
        other.c.state.in_(OPEN_JOB),
    )
    failed = exists().where(images.c.job_id == jobs.c.id, images.c.state == ImageState.FAILED)
    ended = and_(jobs.c.state.not_in(OPEN_JOB), or_(jobs.c.state == JobState.CANCELED, not_(failed)))
    query = (
        select(templates)
        .where(_FOR_REPAIR, or_(ended, templates.c.state == TemplateState.FAILED), not_(used))
        .order_by(templates.c.id)
        .limit(_BATCH)
        .with_for_update(skip_locked=True, of=templates)
    )
    total = 0
    while True:
        with db.write() as connection:
            rows = connection.execute(query).all()
            for row in rows:
                drop_template(db, connection, row, actor=audit.SERVICE)
        total += len(rows)
        if len(rows) < _BATCH:
            return total


def drop_templates_of_repair(db: Database, connection: Connection, job_id: str, *, actor: str) -> None:
    """Deletes the templates of a job that is being deleted, if it is a repair."""
    query = select(templates).where(_FOR_REPAIR, jobs.c.id == job_id).order_by(templates.c.id)
    for row in connection.execute(query.with_for_update(of=templates)).all():
        drop_template(db, connection, row, actor=actor)

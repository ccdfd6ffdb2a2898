"""Publishes, leases and settles templates, for dispatcher and workers; a lease's token fences each change.

Workers make one template of a tenant at a time. The last transaction settles the template, those found with it, and the
job that waits for them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, not_, or_, select, update

from cleanplate.base.templates import TemplateProgress
from storage.database import Database
from storage.ledger.images.eligibility import is_paused
from storage.ledger.images.reaper import WORKER_LOST
from storage.ledger.images.spread import spread_sources
from storage.ledger.lifecycle.jobs import move_job
from storage.ledger.lifecycle.templates import insert_template, move_templates
from storage.ledger.lifecycle.transitions import (
    ADD_SURE_TEMPLATE,
    ADD_UNSURE_TEMPLATE,
    ASK,
    BACK_TEMPLATE_OFF,
    FAIL_TEMPLATE,
    GIVE_TEMPLATE_BACK,
    LEASE_TEMPLATE,
    LOSE_TEMPLATE,
    MAKE_SURE_TEMPLATE,
    MAKE_UNSURE_TEMPLATE,
    RECLAIM_TEMPLATE,
    RELEASE,
    TemplateTransition,
)
from storage.ledger.operations import audit
from storage.ledger.templates.review import release_job
from storage.ledger.templates.templates import give_uploads_back, is_for_job, next_version, spec_of
from storage.records import (
    EstimateSpec,
    JobState,
    LeasedTemplate,
    MadeTemplate,
    Priority,
    Review,
    ReviewError,
    SampleSource,
    TemplateKind,
    TemplateState,
)
from storage.tables import images, jobs, templates, uploads
from storage.tables.columns import ColumnValues

#: Most samples from a job; the estimate stops earlier when it has enough.
MOST_SOURCES = 400
#: Templates in one round of the dispatcher.
_BATCH = 32
#: Backoff after a transient failure, in seconds for each attempt made.
_WAIT_S = 10.0
_LOST = "The worker fell silent on the last attempt allowed. Try fewer or smaller pictures."


def is_waiting_template(db: Database) -> ColumnElement[bool]:
    """Whether a row of ``templates`` is to be made and has no lease; it may be in the queue."""
    return and_(
        templates.c.state == TemplateState.ESTIMATING,
        templates.c.lease_token.is_(None),
        templates.c.available_at <= db.now(),
    )


def is_silent_template(db: Database) -> ColumnElement[bool]:
    """Whether the lease of a row of ``templates`` has expired."""
    return and_(templates.c.state == TemplateState.ESTIMATING, templates.c.lease_expires_at <= db.now())


def take_templates(db: Database, *, publish_timeout_s: float) -> list[tuple[str, Priority]]:
    """Marks templates as published whose turn has come; returns their ids and queues."""
    forgotten = db.after(-publish_timeout_s)
    other = templates.alias("other")
    busy = exists().where(
        other.c.tenant_id == templates.c.tenant_id,
        other.c.state == TemplateState.ESTIMATING,
        or_(other.c.lease_token.is_not(None), other.c.published_at > forgotten),
    )
    ready = and_(
        is_waiting_template(db),
        not_(busy),
        not_(is_paused(templates.c.source_job_id, templates.c.tenant_id)),
    )
    with db.write() as connection:
        rows = connection.execute(
            select(templates.c.id, templates.c.tenant_id, templates.c.source_job_id)
            .where(ready)
            .order_by(templates.c.available_at, templates.c.id)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        # The first of each tenant.
        chosen = list({row.tenant_id: row for row in reversed(rows)}.values())
        if not chosen:
            return []
        connection.execute(
            update(templates).where(templates.c.id.in_([row.id for row in chosen])).values(published_at=db.now())
        )
        sources = [row.source_job_id for row in chosen if row.source_job_id is not None]
        source_jobs = connection.execute(select(jobs.c.id, jobs.c.priority).where(jobs.c.id.in_(sources)))
        priorities = {row.id: Priority(row.priority) for row in source_jobs}
        return [(row.id, priorities.get(row.source_job_id, Priority.BULK)) for row in chosen]


def lease_template(db: Database, template_id: str, *, lease_s: float) -> tuple[str, LeasedTemplate | None]:
    """Leases a template; ``None``: it is held, made, deleted, paused or not yet due."""
    token = secrets.token_urlsafe(24)
    with db.write() as connection:
        rows = move_templates(
            db,
            connection,
            LEASE_TEMPLATE,
            templates.c.id == template_id,
            is_waiting_template(db),
            not_(is_paused(templates.c.source_job_id, templates.c.tenant_id)),
            values={"lease_token": token, "lease_expires_at": db.after(lease_s)},
        )
        if not rows:
            return token, None
        (row,) = rows
        spec = spec_of(row)
        leased = LeasedTemplate(
            id=row.id,
            tenant_id=row.tenant_id,
            kind=TemplateKind(row.kind),
            spec=spec,
            sources=_sources(connection, row),
            known=_uploaded(connection, row.tenant_id, spec.known_uploads if isinstance(spec, EstimateSpec) else ()),
            attempt=row.attempt,
        )
        return token, leased


def extend_template(db: Database, token: str, *, lease_s: float, progress: TemplateProgress | None) -> bool:
    """Extends a lease and writes the progress; whether the token still holds it."""
    latest = templates.c.progress if progress is None else progress.model_dump()
    extended = update(templates).where(_held(token)).values(lease_expires_at=db.after(lease_s), progress=latest)
    with db.write() as connection:
        return bool(connection.execute(extended).rowcount)


def release_template(db: Database, token: str) -> None:
    """Queues a template again whose worker stops: the attempt does not count."""
    with db.write() as connection:
        move_templates(db, connection, GIVE_TEMPLATE_BACK, _held(token))


def finish_template(db: Database, token: str, made: list[MadeTemplate]) -> bool:
    """Settles a template that was made, with those found with it; whether the token still held it."""
    with db.write() as connection:
        row = _lock_held(connection, token)
        if row is None:
            return False
        spec = spec_of(row)
        sure = not isinstance(spec, EstimateSpec) or spec.passes([one.confidence for one in made])
        make, add = (MAKE_SURE_TEMPLATE, ADD_SURE_TEMPLATE) if sure else (MAKE_UNSURE_TEMPLATE, ADD_UNSURE_TEMPLATE)
        state = TemplateState.READY if sure else TemplateState.NEEDS_REVIEW
        made_ids = [one.id for one in made]
        details = {"templates": made_ids, "state": state.value}
        entry = audit.Event(row.tenant_id, "template.made", audit.SERVICE, row.source_job_id, None, details)
        for one in made:
            result = {
                "place": one.place.document(),
                "samples": one.samples,
                "quality": None if one.quality is None else one.quality.document(),
                "confidence": one.confidence,
                "warnings": [warning.model_dump() for warning in one.warnings],
                "file_key": one.file_key,
                "previews": one.previews,
            }
            if one.id == row.id:
                move_templates(db, connection, make, templates.c.id == row.id, values=result, entries=[entry])
            else:
                insert_template(db, connection, add, _beside(db, connection, row, one.id) | result)
        give_uploads_back(connection, row)
        _settle_job(db, connection, row, Review(templates=made_ids), sure=sure)
        return True


def fail_template(
    db: Database, token: str, code: str, detail: str, *, retry: bool, max_attempts: int, needed: int | None = None
) -> bool:
    """Fails a template, or queues it again after a transient failure; whether the token still held it.

    ``needed``: number of missing pictures, where that is the cause.
    """
    with db.write() as connection:
        row = _lock_held(connection, token)
        if row is None:
            return False
        again = retry and row.attempt < max_attempts
        if again:
            due = {"available_at": db.after(_WAIT_S * row.attempt)}
            move_templates(db, connection, BACK_TEMPLATE_OFF, templates.c.id == row.id, values=due)
        else:
            _give_up(db, connection, FAIL_TEMPLATE, row, ReviewError(code=code, detail=detail, needed=needed))
        return True


def reap_templates(db: Database, *, max_attempts: int) -> list[str]:
    """Reclaims templates whose lease has expired; returns their ids."""
    with db.write() as connection:
        rows = connection.execute(
            select(templates)
            .where(is_silent_template(db))
            .order_by(templates.c.id)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        for row in rows:
            if row.attempt < max_attempts:
                move_templates(db, connection, RECLAIM_TEMPLATE, templates.c.id == row.id)
            else:
                _give_up(db, connection, LOSE_TEMPLATE, row, ReviewError(code=WORKER_LOST, detail=_LOST))
        return [row.id for row in rows]


def _sources(connection: Connection, row: Row[Any]) -> list[SampleSource]:
    """The samples: the uploads in their order, or pictures evenly spread over a job."""
    if row.source_job_id is None:
        return _uploaded(connection, row.tenant_id, spec_of(row).upload_ids)
    # For a job, an image with a mask of its own does not show the mark that is looked for.
    conditions = [images.c.mask.is_(None)] if is_for_job(row) else []
    return spread_sources(connection, row.source_job_id, MOST_SOURCES, *conditions)


def _uploaded(connection: Connection, tenant_id: str, named: Sequence[str]) -> list[SampleSource]:
    """Those of the uploads that are there, in their order."""
    query = select(uploads.c.id, uploads.c.filename, uploads.c.key).where(
        uploads.c.id.in_(named), uploads.c.tenant_id == tenant_id
    )
    by_id = {upload.id: upload for upload in connection.execute(query)}
    return [
        SampleSource(name=by_id[name].filename, source_key=by_id[name].key, source_url=None)
        for name in named
        if name in by_id
    ]


def _held(token: str) -> Any:
    return and_(templates.c.lease_token == token, templates.c.state == TemplateState.ESTIMATING)


def _lock_held(connection: Connection, token: str) -> Row[Any] | None:
    return connection.execute(select(templates).where(_held(token)).with_for_update()).first()


def _beside(db: Database, connection: Connection, row: Row[Any], template_id: str) -> ColumnValues:
    """The columns of a template for another mark of the same pictures, under the same name."""
    return {
        "id": template_id,
        "tenant_id": row.tenant_id,
        "name": row.name,
        "version": next_version(db, connection, row.tenant_id, row.name),
        "kind": row.kind,
        "spec": row.spec,
        "source_job_id": row.source_job_id,
        "found_with_id": row.id,
        "webhook_endpoint_id": row.webhook_endpoint_id,
    }


def _give_up(
    db: Database, connection: Connection, transition: TemplateTransition, row: Row[Any], error: ReviewError
) -> None:
    """Fails a template."""
    details = {"template": row.id, "error_code": error.code}
    entry = audit.Event(row.tenant_id, "template.failed", audit.SERVICE, row.source_job_id, None, details)
    values = {"error_code": error.code, "error_detail": error.detail}
    move_templates(db, connection, transition, templates.c.id == row.id, values=values, entries=[entry])
    give_uploads_back(connection, row)
    _settle_job(db, connection, row, Review(templates=[], error=error), sure=False)


def _settle_job(db: Database, connection: Connection, row: Row[Any], review: Review, *, sure: bool) -> None:
    """Lets the job that waits for this template begin, or wait for a person."""
    if row.source_job_id is None or not is_for_job(row):
        return
    job = connection.execute(
        select(jobs.c.id, jobs.c.tenant_id, jobs.c.state, jobs.c.mask)
        .where(jobs.c.id == row.source_job_id)
        .with_for_update(key_share=True)
    ).first()
    if job is None:
        return
    document = review.model_dump(exclude_none=True)
    connection.execute(update(jobs).where(jobs.c.id == row.source_job_id).values(review=document))
    if job.state != JobState.ESTIMATING:
        return
    if sure:
        release_job(db, connection, RELEASE, job, review.templates)
        return
    move_job(db, connection, ASK, job.id)

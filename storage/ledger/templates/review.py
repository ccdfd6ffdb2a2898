"""A person's decisions on templates: approve or reject one, or approve a job that waits for its mark."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from cleanplate.base.masks import AutoMask
from storage.database import Database
from storage.errors import (
    JobCanceled,
    JobNotInReview,
    NotFound,
    NothingToApprove,
    TemplateNotInReview,
)
from storage.json_columns import read_job_mask, read_review
from storage.ledger.jobs.reading import read_one_job
from storage.ledger.lifecycle.jobs import move_job
from storage.ledger.lifecycle.templates import move_templates
from storage.ledger.lifecycle.transitions import (
    APPROVE,
    APPROVE_TEMPLATE,
    REJECT_TEMPLATE,
    JobTransition,
    TemplateTransition,
)
from storage.ledger.operations import audit
from storage.ledger.templates import template_use
from storage.ledger.templates.templates import lock_template, read_template
from storage.records import Job, JobState, Template, TemplateState
from storage.tables import jobs, templates


def approve_template(db: Database, tenant_id: str, template_id: str, *, actor: str = audit.SERVICE) -> Template:
    """Approves a template, so that jobs may use it. Repeating it changes nothing.

    Raises:
        NotFound: no such template of this tenant.
        TemplateNotInReview: it is not made yet, could not be made, or was rejected.
    """
    return _reviewed(db, tenant_id, template_id, APPROVE_TEMPLATE, actor)


def reject_template(db: Database, tenant_id: str, template_id: str, *, actor: str = audit.SERVICE) -> Template:
    """Rejects a template. Repeating it changes nothing. Raises as :func:`approve_template`."""
    return _reviewed(db, tenant_id, template_id, REJECT_TEMPLATE, actor)


def approve_job(
    db: Database, tenant_id: str, job_id: str, template_ids: list[str] | None = None, *, actor: str = audit.SERVICE
) -> Job:
    """Lets a job begin that waits for its mark, with these templates (``None``: those found in its pictures).

    Approves those of them that need review. Repeating it changes nothing.

    Raises:
        NotFound: no such job of this tenant.
        JobCanceled: it was canceled.
        JobNotInReview: it does not wait for a person.
        NothingToApprove: no mark was found, and no template is named.
        TemplateUnknown, TemplateNotReady, TemplatesMixed: templates that it may not use.
    """
    with db.write() as connection:
        row = connection.execute(
            select(jobs.c.id, jobs.c.tenant_id, jobs.c.state, jobs.c.mask, jobs.c.review)
            .where(jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)
            .with_for_update(key_share=True)
        ).first()
        if row is None:
            raise NotFound("job", job_id)
        if row.state == JobState.CANCELED:
            raise JobCanceled(job_id)
        mask = read_job_mask(row.mask)
        if isinstance(mask, AutoMask) and mask.templates and template_ids in (None, mask.templates):
            return read_one_job(db, connection, tenant_id, job_id)
        if row.state != JobState.NEEDS_REVIEW:
            raise JobNotInReview(job_id, row.state)
        review = read_review(row.review)
        chosen = template_ids or ([] if review is None else _usable(connection, review.templates))
        if not chosen:
            raise NothingToApprove(job_id)
        owned = select(templates.c.id).where(templates.c.id.in_(chosen), templates.c.tenant_id == tenant_id)
        _review(db, connection, list(connection.scalars(owned)), APPROVE_TEMPLATE, actor)
        entry = audit.Event(tenant_id, "job.approved", actor, job_id, None, {"templates": chosen})
        release_job(db, connection, APPROVE, row, chosen, entry=entry)
        return read_one_job(db, connection, tenant_id, job_id)


def release_job(
    db: Database,
    connection: Connection,
    transition: JobTransition,
    job: Any,
    template_ids: list[str],
    *,
    entry: audit.Event | None = None,
) -> None:
    """Lets a held job (id, tenant_id and mask) begin with these templates. Raises as ``template_use.lock_named``."""
    mask = read_job_mask(job.mask)
    if not isinstance(mask, AutoMask):
        raise ValueError(f"The job {job.id} does not wait for a mark.")
    begun = mask.model_copy(update={"templates": template_ids})
    template_use.note(db, connection, job.id, template_use.lock_named(connection, job.tenant_id, [begun]))
    move_job(db, connection, transition, job.id, entry=entry, values={"mask": begun.document()})


def _reviewed(db: Database, tenant_id: str, template_id: str, transition: TemplateTransition, actor: str) -> Template:
    with db.write() as connection:
        known = lock_template(connection, tenant_id, template_id)
        if known.state != transition.target:
            if known.state != TemplateState.NEEDS_REVIEW:
                raise TemplateNotInReview(template_id, known.state)
            _review(db, connection, [template_id], transition, actor)
        return read_template(connection, tenant_id, template_id)


def _review(
    db: Database, connection: Connection, template_ids: list[str], transition: TemplateTransition, actor: str
) -> None:
    """Decides those of the tenant's templates that need review."""
    undecided = connection.execute(
        select(templates.c.id, templates.c.tenant_id)
        .where(templates.c.id.in_(template_ids), templates.c.state.in_(transition.sources))
        .order_by(templates.c.id)
        .with_for_update()
    ).all()
    action = transition.audit or ""
    entries = [audit.Event(row.tenant_id, action, actor, None, None, {"template": row.id}) for row in undecided]
    undecided_ids = [row.id for row in undecided]
    move_templates(db, connection, transition, templates.c.id.in_(undecided_ids), entries=entries)


def _usable(connection: Connection, template_ids: list[str]) -> list[str]:
    """Those of the templates that still exist and were not rejected, in their order."""
    usable = (TemplateState.NEEDS_REVIEW, TemplateState.READY)
    query = select(templates.c.id).where(templates.c.id.in_(template_ids), templates.c.state.in_(usable))
    usable_ids = set(connection.scalars(query))
    return [template_id for template_id in template_ids if template_id in usable_ids]

"""Templates as a tenant sees them: ask for one, read, approve, reject, delete; and approve a job that waits for one.

Every query names the tenant. :mod:`storage.ledger.templates.making` is how workers make them.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, select, update

from cleanplate.base.masks import AutoMask
from storage.database import Database
from storage.documents import read_job_mask
from storage.errors import (
    JobCanceled,
    JobNotInReview,
    NotFound,
    NothingToApprove,
    TemplateInUse,
    TemplateNotInReview,
)
from storage.ledger.jobs.counting import OPEN_JOB
from storage.ledger.jobs.jobs import lock_endpoint, one_job, read_one_job
from storage.ledger.jobs.lifecycle import note_blobs
from storage.ledger.operations import audit
from storage.ledger.templates import template_use
from storage.ledger.tenants import quotas
from storage.ledger.tenants.uploads import hold_uploads
from storage.ledger.webhooks import outbox
from storage.records import (
    EstimateSpec,
    Job,
    JobState,
    NewTemplate,
    Template,
    TemplateKind,
    TemplateSpec,
    TemplateState,
)
from storage.records.specs import read_spec
from storage.tables import job_templates, jobs, new_id, templates, uploads

_SHOWN = tuple(templates.c[field.name] for field in fields(Template))


def create_template(db: Database, tenant_id: str, new: NewTemplate, *, actor: str = audit.SERVICE) -> Template:
    """A template that is to be made, the next version of its name.

    Raises:
        UploadUnknown: uploads that do not exist, have expired, or belong to another tenant.
        NotFound: no such job or webhook endpoint of this tenant.
    """
    template_id = new_id("tpl")
    with db.write() as connection:
        lock_endpoint(connection, tenant_id, new.webhook_endpoint_id)
        if new.source_job_id is not None and connection.execute(one_job(tenant_id, new.source_job_id)).first() is None:
            raise NotFound("job", new.source_job_id)
        hold_uploads(db, connection, tenant_id, sorted(set(new.spec.upload_ids)))
        version = next_version(db, connection, tenant_id, new.name)
        row = connection.execute(
            insert(templates)
            .values(
                id=template_id,
                tenant_id=tenant_id,
                name=new.name,
                version=version,
                kind=new.kind,
                state=TemplateState.ESTIMATING,
                spec=new.spec.model_dump(mode="json"),
                source_job_id=new.source_job_id,
                webhook_endpoint_id=new.webhook_endpoint_id,
                warnings=[],
                previews={},
                available_at=db.now(),
                created_at=db.now(),
            )
            .returning(*_SHOWN)
        ).one()
        details = {"template": template_id, "name": new.name, "version": version, "kind": new.kind.value}
        event = audit.Event(tenant_id, "template.created", actor, new.source_job_id, None, details)
        audit.append(db, connection, [event])
    return _template(row)


def next_version(db: Database, connection: Connection, tenant_id: str, name: str) -> int:
    """The number of the next template of a name; whoever else asks for the tenant waits for this transaction."""
    quotas.use(db, connection, tenant_id, sizes=[])
    newest = select(func.max(templates.c.version)).where(templates.c.tenant_id == tenant_id, templates.c.name == name)
    return int(connection.scalar(newest) or 0) + 1


def get_template(db: Database, tenant_id: str, template_id: str) -> Template:
    """One template. Raises NotFound."""
    with db.read() as connection:
        return _read(connection, tenant_id, template_id)


def list_templates(
    db: Database,
    tenant_id: str,
    *,
    limit: int,
    after: str | None,
    state: TemplateState | None = None,
    job_id: str | None = None,
) -> list[Template]:
    """A tenant's templates, newest first; ``after`` is the id of the last one seen, ``job_id`` whose pictures."""
    query = select(*_SHOWN).where(templates.c.tenant_id == tenant_id).order_by(templates.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(templates.c.id < after)
    if state is not None:
        query = query.where(templates.c.state == state)
    if job_id is not None:
        query = query.where(templates.c.source_job_id == job_id)
    with db.read() as connection:
        return [_template(row) for row in connection.execute(query)]


def approve_template(db: Database, tenant_id: str, template_id: str, *, actor: str = audit.SERVICE) -> Template:
    """A person has looked and says that it is the mark: jobs may name it. Repeating it changes nothing.

    Raises:
        NotFound: no such template of this tenant.
        TemplateNotInReview: it is not made yet, could not be made, or was rejected.
    """
    return _reviewed(db, tenant_id, template_id, TemplateState.READY, actor)


def reject_template(db: Database, tenant_id: str, template_id: str, *, actor: str = audit.SERVICE) -> Template:
    """A person has looked and says no. Repeating it changes nothing. Raises as :func:`approve_template`."""
    return _reviewed(db, tenant_id, template_id, TemplateState.REJECTED, actor)


def _reviewed(db: Database, tenant_id: str, template_id: str, state: TemplateState, actor: str) -> Template:
    with db.write() as connection:
        known = _lock(connection, tenant_id, template_id)
        if known.state != state:
            if known.state != TemplateState.NEEDS_REVIEW:
                raise TemplateNotInReview(template_id, known.state)
            _review(db, connection, [template_id], state, actor)
        return _read(connection, tenant_id, template_id)


def _review(db: Database, connection: Connection, template_ids: list[str], state: TemplateState, actor: str) -> None:
    """Settles those of the templates that need review."""
    rows = connection.execute(
        update(templates)
        .where(
            templates.c.id.in_(template_ids),
            templates.c.state == TemplateState.NEEDS_REVIEW,
        )
        .values(state=state, reviewed_at=db.now())
        .returning(*_SHOWN)
    ).all()
    done = "approved" if state is TemplateState.READY else "rejected"
    for row in sorted(rows, key=lambda row: str(row.id)):
        if state is TemplateState.READY:
            outbox.template_event(connection, row, row.reviewed_at)
    events = [audit.Event(row.tenant_id, f"template.{done}", actor, None, None, {"template": row.id}) for row in rows]
    audit.append(db, connection, events)


def delete_template(db: Database, tenant_id: str, template_id: str, *, actor: str = audit.SERVICE) -> None:
    """Deletes a template, and soon after its files. One that is being made is not made any more.

    Raises:
        NotFound: no such template of this tenant.
        TemplateInUse: a job that has not ended needs it.
    """
    with db.write() as connection:
        row = _lock(connection, tenant_id, template_id)
        using = exists().where(
            job_templates.c.template_id == template_id,
            job_templates.c.job_id == jobs.c.id,
            jobs.c.state.in_(OPEN_JOB),
        )
        awaiting = exists().where(jobs.c.id == row.source_job_id, jobs.c.state == JobState.ESTIMATING)
        if connection.scalar(select(using)) or (
            row.state == TemplateState.ESTIMATING and is_for_job(row) and connection.scalar(select(awaiting))
        ):
            raise TemplateInUse(template_id)
        if row.state == TemplateState.ESTIMATING:
            give_uploads_back(connection, row)
        connection.execute(delete(templates).where(templates.c.id == template_id))
        note_blobs(db, connection, [(f"t/{tenant_id}/templates/{template_id}/", None)])
        event = audit.Event(tenant_id, "template.deleted", actor, None, None, {"template": template_id})
        audit.append(db, connection, [event])


def spec_of(row: Any) -> TemplateSpec:
    """The spec of a row (kind and spec) of ``templates``."""
    return read_spec(TemplateKind(row.kind), row.spec)


def is_for_job(row: Any) -> bool:
    """Whether a job waits for the template of a row (kind and spec)."""
    spec = spec_of(row)
    return isinstance(spec, EstimateSpec) and spec.mode == "auto"


def give_uploads_back(connection: Connection, row: Any) -> None:
    """Ends a template's use of its uploads; ``row`` has its kind and spec."""
    mine = sorted(set(spec_of(row).upload_ids))
    if mine:
        locked = select(uploads.c.id).where(uploads.c.id.in_(mine)).order_by(uploads.c.id)
        held = locked.with_for_update(key_share=True).cte("held")
        connection.execute(update(uploads).where(uploads.c.id.in_(select(held.c.id))).values(uses=uploads.c.uses - 1))


def approve_job(
    db: Database, tenant_id: str, job_id: str, template_ids: list[str] | None = None, *, actor: str = audit.SERVICE
) -> Job:
    """Lets a job begin that waits for its mark, with these templates (``None``: those found in its pictures).

    Those that need review are approved with it. Repeating it changes nothing.

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
        chosen = template_ids or _found(connection, (row.review or {}).get("templates", []))
        if not chosen:
            raise NothingToApprove(job_id)
        mine = select(templates.c.id).where(templates.c.id.in_(chosen), templates.c.tenant_id == tenant_id)
        _review(db, connection, list(connection.scalars(mine)), TemplateState.READY, actor)
        release_job(db, connection, row, chosen)
        details = {"templates": chosen}
        audit.append(db, connection, [audit.Event(tenant_id, "job.approved", actor, job_id, None, details)])
        return read_one_job(db, connection, tenant_id, job_id)


def _found(connection: Connection, template_ids: list[str]) -> list[str]:
    """Those of the templates found that are still there and were not rejected, the commonest mark first."""
    usable = (TemplateState.NEEDS_REVIEW, TemplateState.READY)
    query = select(templates.c.id).where(templates.c.id.in_(template_ids), templates.c.state.in_(usable))
    usable_ids = set(connection.scalars(query))
    return [template_id for template_id in template_ids if template_id in usable_ids]


def release_job(db: Database, connection: Connection, job: Any, template_ids: list[str]) -> None:
    """Lets a held job (id, tenant_id and mask) begin with these templates. Raises as ``template_use.lock_named``."""
    mask = read_job_mask(job.mask)
    if not isinstance(mask, AutoMask):
        raise ValueError(f"The job {job.id} does not wait for a mark.")
    begun = mask.model_copy(update={"templates": template_ids})
    template_use.note(db, connection, job.id, template_use.lock_named(connection, job.tenant_id, [begun]))
    connection.execute(update(jobs).where(jobs.c.id == job.id).values(state=JobState.QUEUED, mask=begun.document()))


def _lock(connection: Connection, tenant_id: str, template_id: str) -> Row[Any]:
    row = connection.execute(
        select(templates).where(templates.c.id == template_id, templates.c.tenant_id == tenant_id).with_for_update()
    ).first()
    if row is None:
        raise NotFound("template", template_id)
    return row


def _read(connection: Connection, tenant_id: str, template_id: str) -> Template:
    row = connection.execute(
        select(*_SHOWN).where(templates.c.id == template_id, templates.c.tenant_id == tenant_id)
    ).first()
    if row is None:
        raise NotFound("template", template_id)
    return _template(row)


def _template(row: Row[Any]) -> Template:
    typed = {"kind": TemplateKind(row.kind), "state": TemplateState(row.state), "spec": spec_of(row)}
    return Template(**row._asdict() | typed)

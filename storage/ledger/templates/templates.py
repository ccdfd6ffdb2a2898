"""Templates as a tenant sees them: ask for one, read, list, delete. Every query names the tenant.

Workers make them (:mod:`storage.ledger.templates.leases`), a person approves them
(:mod:`storage.ledger.templates.review`).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, exists, func, select, update

from cleanplate.base.documents import JsonObject
from cleanplate.base.templates import TemplateWarning
from storage.database import Database
from storage.errors import (
    NotFound,
    TemplateInUse,
)
from storage.json_columns import read_place, read_progress, read_quality
from storage.ledger.jobs.reading import one_job
from storage.ledger.lifecycle.templates import delete_template_row, insert_template
from storage.ledger.lifecycle.transitions import OPEN_JOB, REQUEST_TEMPLATE
from storage.ledger.operations import audit
from storage.ledger.retention.blobs import note_blobs
from storage.ledger.tenants import quotas
from storage.ledger.tenants.idempotency import Done, Once, make_once
from storage.ledger.tenants.uploads import hold_uploads
from storage.ledger.webhooks.endpoints import lock_endpoint
from storage.records import EstimateSpec, JobState, NewTemplate, Template, TemplateKind, TemplateSpec, TemplateState
from storage.records.specs import read_spec
from storage.tables import job_templates, jobs, new_id, templates, uploads

SHOWN = tuple(templates.c[field.name] for field in fields(Template))


def create_template(db: Database, tenant_id: str, new: NewTemplate, *, actor: str = audit.SERVICE) -> Template:
    """Creates a template to be made, the next version of its name.

    Raises:
        UploadUnknown: uploads that do not exist, have expired, or belong to another tenant.
        NotFound: no such job or webhook endpoint of this tenant.
    """
    return create_template_once(db, tenant_id, None, new, actor=actor).made


def create_template_once(
    db: Database, tenant_id: str, once: Once | None, new: NewTemplate, *, actor: str = audit.SERVICE
) -> Done[Template]:
    """As :func:`create_template`, for a request that may have an idempotency key; a repeat gets it as it is now."""
    return make_once(
        db,
        tenant_id,
        once,
        make=lambda connection: _write_template(db, connection, tenant_id, new, actor),
        answer_of=lambda template: {"id": template.id},
        again=lambda connection, stored: read_template(connection, tenant_id, stored["id"]),
    )


def _write_template(db: Database, connection: Connection, tenant_id: str, new: NewTemplate, actor: str) -> Template:
    template_id = new_id("tpl")
    lock_endpoint(connection, tenant_id, new.webhook_endpoint_id)
    if new.source_job_id is not None and connection.execute(one_job(tenant_id, new.source_job_id)).first() is None:
        raise NotFound("job", new.source_job_id)
    hold_uploads(db, connection, tenant_id, new.spec.held_uploads)
    version = next_version(db, connection, tenant_id, new.name)
    values = {
        "id": template_id,
        "tenant_id": tenant_id,
        "name": new.name,
        "version": version,
        "kind": new.kind,
        "spec": new.spec.model_dump(mode="json", exclude_none=True),
        "source_job_id": new.source_job_id,
        "webhook_endpoint_id": new.webhook_endpoint_id,
    }
    details = {"template": template_id, "name": new.name, "version": version, "kind": new.kind.value}
    entry = audit.Event(tenant_id, "template.created", actor, new.source_job_id, None, details)
    insert_template(db, connection, REQUEST_TEMPLATE, values, entry=entry)
    return read_template(connection, tenant_id, template_id)


def next_version(db: Database, connection: Connection, tenant_id: str, name: str) -> int:
    """The next version of a name; a lock lets one transaction of the tenant at a time ask."""
    quotas.use(db, connection, tenant_id, sizes=[])
    newest = select(func.max(templates.c.version)).where(templates.c.tenant_id == tenant_id, templates.c.name == name)
    return int(connection.scalar(newest) or 0) + 1


def get_template(db: Database, tenant_id: str, template_id: str) -> Template:
    """One template. Raises NotFound."""
    with db.read() as connection:
        return read_template(connection, tenant_id, template_id)


def list_templates(
    db: Database,
    tenant_id: str,
    *,
    limit: int,
    after: str | None,
    state: TemplateState | None = None,
    job_id: str | None = None,
) -> list[Template]:
    """A tenant's templates, newest first, after the id ``after``; with ``job_id``, those made from its pictures."""
    query = select(*SHOWN).where(templates.c.tenant_id == tenant_id).order_by(templates.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(templates.c.id < after)
    if state is not None:
        query = query.where(templates.c.state == state)
    if job_id is not None:
        query = query.where(templates.c.source_job_id == job_id)
    with db.read() as connection:
        return [_template(row) for row in connection.execute(query)]


def delete_template(db: Database, tenant_id: str, template_id: str, *, actor: str = audit.SERVICE) -> None:
    """Deletes a template, and soon after its files. A worker that makes it finds its lease gone.

    Raises:
        NotFound: no such template of this tenant.
        TemplateInUse: a job that has not ended needs it.
    """
    with db.write() as connection:
        row = lock_template(connection, tenant_id, template_id)
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
        drop_template(db, connection, row, actor=actor)


def drop_template(db: Database, connection: Connection, row: Any, *, actor: str) -> None:
    """Deletes the template of a locked row, with its use of uploads, and notes its files for deletion."""
    if row.state == TemplateState.ESTIMATING:
        give_uploads_back(connection, row)
    entry = audit.Event(row.tenant_id, "template.deleted", actor, None, None, {"template": row.id})
    delete_template_row(db, connection, row.id, entry)
    note_blobs(db, connection, [(f"t/{row.tenant_id}/templates/{row.id}/", None)])


def spec_of(row: Any) -> TemplateSpec:
    """The spec of a row (kind and spec) of ``templates``."""
    return read_spec(TemplateKind(row.kind), row.spec)


def is_for_job(row: Any) -> bool:
    """Whether a job waits for the template of a row (kind and spec)."""
    spec = spec_of(row)
    return isinstance(spec, EstimateSpec) and spec.mode == "auto"


def give_uploads_back(connection: Connection, row: Any) -> None:
    """Ends a template's use of its uploads; ``row`` has its kind and spec."""
    upload_ids = spec_of(row).held_uploads
    if upload_ids:
        locked = select(uploads.c.id).where(uploads.c.id.in_(upload_ids)).order_by(uploads.c.id)
        held = locked.with_for_update(key_share=True).cte("held")
        connection.execute(update(uploads).where(uploads.c.id.in_(select(held.c.id))).values(uses=uploads.c.uses - 1))


def lock_template(connection: Connection, tenant_id: str, template_id: str) -> Row[Any]:
    row = connection.execute(
        select(templates).where(templates.c.id == template_id, templates.c.tenant_id == tenant_id).with_for_update()
    ).first()
    if row is None:
        raise NotFound("template", template_id)
    return row


def read_template(connection: Connection, tenant_id: str, template_id: str) -> Template:
    row = connection.execute(
        select(*SHOWN).where(templates.c.id == template_id, templates.c.tenant_id == tenant_id)
    ).first()
    if row is None:
        raise NotFound("template", template_id)
    return _template(row)


def _template(row: Row[Any]) -> Template:
    typed = {
        "kind": TemplateKind(row.kind),
        "state": TemplateState(row.state),
        "spec": spec_of(row),
        "place": read_place(row.place),
        "quality": read_quality(row.quality),
        "progress": read_progress(row.progress),
        "warnings": [_warning(one) for one in row.warnings],
    }
    return Template(**row._asdict() | typed)


def _warning(kept: str | JsonObject) -> TemplateWarning:
    """A warning as it is kept; rows of earlier versions hold the sentence alone."""
    if isinstance(kept, str):
        return TemplateWarning(code="", params={}, detail=kept)
    return TemplateWarning.model_validate(kept)

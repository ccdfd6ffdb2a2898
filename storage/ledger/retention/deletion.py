"""Deletes a job: at its tenant's request, or when its retention is over."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import ColumnElement, any_, case, delete, func, select, union, update

from storage.database import Database
from storage.errors import NotFound
from storage.ledger.jobs.reading import one_job
from storage.ledger.lifecycle.images import delete_images
from storage.ledger.lifecycle.jobs import delete_job_row
from storage.ledger.operations import audit
from storage.ledger.retention.blobs import note_blobs
from storage.tables import images, uploads, webhook_endpoints

log = structlog.get_logger(__name__)


def delete_job(db: Database, tenant_id: str, job_id: str, *, actor: str = audit.SERVICE) -> None:
    """Deletes a job with its images, and soon after their results and the uploads that no other job uses.

    A worker that still works on one of its images finds its lease gone. Raises NotFound.
    """
    with db.write() as connection:
        if connection.execute(one_job(tenant_id, job_id)).first() is None:
            raise NotFound("job", job_id)
        held = (
            select(uploads.c.id)
            .where(uploads.c.tenant_id == tenant_id, _named_by(db, job_id))
            .order_by(uploads.c.id)
            .with_for_update(key_share=True)
            .cte("held")
        )
        # An upload that no other job uses expires now.
        connection.execute(
            update(uploads)
            .where(uploads.c.id.in_(select(held.c.id)))
            .values(uses=uploads.c.uses - 1, expires_at=_sooner(db))
        )
        count = delete_images(connection, job_id)
        connection.execute(delete(webhook_endpoints).where(webhook_endpoints.c.job_id == job_id))
        if not delete_job_row(connection, job_id):
            raise NotFound("job", job_id)
        note_blobs(db, connection, [(f"t/{tenant_id}/jobs/{job_id}/", None)])
        audit.append(db, connection, [audit.Event(tenant_id, "job.deleted", actor, job_id, None, {"images": count})])
    log.info("job.deleted", job=job_id, tenant=tenant_id, actor=actor, images=count)


def _named_by(db: Database, job_id: str) -> ColumnElement[bool]:
    """Whether an image of the job names the upload.

    An array on Postgres, because a join with a subselect reads all uploads where the planner expects many images.
    """
    keys = (images.c.source_key, images.c.mask_key)
    named = union(*(select(key).where(images.c.job_id == job_id, key != "") for key in keys))
    if db.on_postgres:
        return uploads.c.key == any_(func.array(named.scalar_subquery()))
    return uploads.c.key.in_(named)


def _sooner(db: Database) -> ColumnElement[Any]:
    return case((uploads.c.uses <= 1, db.now()), else_=uploads.c.expires_at)

"""Deletes a job: at its tenant's request, or when its retention is over.

One transaction deletes all of it, by statements of some rows each: one statement for a job of 100,000 images would
take longer than the service waits for any answer, and the job could never be deleted.
"""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, case, delete, select, update

from storage.database import Database
from storage.errors import NotFound
from storage.ledger import bulk
from storage.ledger.jobs.reading import one_job
from storage.ledger.lifecycle.images import delete_images
from storage.ledger.lifecycle.jobs import delete_job_row
from storage.ledger.operations import audit
from storage.ledger.retention.blobs import note_blobs
from storage.ledger.templates.of_repairs import drop_templates_of_repair
from storage.tables import images, jobs, uploads, webhook_deliveries, webhook_endpoints

log = structlog.get_logger(__name__)

#: Images that one statement reads, and uploads and deliveries that one changes.
_READ_AT_ONCE = 1000
_AT_ONCE = 20


def delete_job(db: Database, tenant_id: str, job_id: str, *, actor: str = audit.SERVICE) -> None:
    """Deletes a job with its images, and soon after their results and the uploads that no other job uses.

    A worker that still works on one of its images finds its lease gone. Raises NotFound.
    """
    with db.write() as connection:
        if connection.execute(one_job(tenant_id, job_id)).first() is None:
            raise NotFound("job", job_id)
        drop_templates_of_repair(db, connection, job_id, actor=actor)
        _give_uploads_back(db, connection, tenant_id, job_id)
        count = delete_images(connection, job_id)
        _delete_deliveries(connection, job_id)
        connection.execute(delete(webhook_endpoints).where(webhook_endpoints.c.job_id == job_id))
        if not delete_job_row(connection, job_id):
            raise NotFound("job", job_id)
        note_blobs(db, connection, [(f"t/{tenant_id}/jobs/{job_id}/", None)])
        audit.append(db, connection, [audit.Event(tenant_id, "job.deleted", actor, job_id, None, {"images": count})])
    log.info("job.deleted", job=job_id, tenant=tenant_id, actor=actor, images=count)


def _give_uploads_back(db: Database, connection: Connection, tenant_id: str, job_id: str) -> None:
    """Counts the job off from its uploads; one that no other job uses expires now."""
    # A key ends with the upload's id, so that uploads are locked by id, as all transactions lock them.
    keys = sorted(_keys(connection, job_id))
    for begin in range(0, len(keys), _AT_ONCE):
        held = (
            select(uploads.c.id)
            .where(uploads.c.tenant_id == tenant_id, bulk.in_array(db, uploads.c.key, keys[begin : begin + _AT_ONCE]))
            .order_by(uploads.c.id)
            .with_for_update(key_share=True)
            .cte("held")
        )
        connection.execute(
            update(uploads)
            .where(uploads.c.id.in_(select(held.c.id)))
            .values(uses=uploads.c.uses - 1, expires_at=_sooner(db))
        )


def _keys(connection: Connection, job_id: str) -> set[str]:
    """The keys of all uploads that the job's images name."""
    keys: set[str] = set()
    last = -1
    while True:
        rows = connection.execute(
            select(images.c.position, images.c.source_key, images.c.mask_key)
            .where(images.c.job_id == job_id, images.c.position > last)
            .order_by(images.c.position)
            .limit(_READ_AT_ONCE)
        ).all()
        keys.update(key for row in rows for key in (row.source_key, row.mask_key) if key)
        if len(rows) < _READ_AT_ONCE:
            return keys
        last = rows[-1].position


def _sooner(db: Database) -> ColumnElement[Any]:
    return case((uploads.c.uses <= 1, db.now()), else_=uploads.c.expires_at)


def _delete_deliveries(connection: Connection, job_id: str) -> None:
    """Deletes the deliveries to the job's endpoints; any others go with the job's row."""
    job = connection.execute(
        select(jobs.c.webhook_endpoint_id, jobs.c.further_webhooks).where(jobs.c.id == job_id)
    ).first()
    named = [] if job is None else [job.webhook_endpoint_id, *(job.further_webhooks or ())]
    for endpoint_id in named:
        last = -1
        while endpoint_id is not None:
            some = (
                select(webhook_deliveries.c.id)
                .where(
                    webhook_deliveries.c.endpoint_id == endpoint_id,
                    webhook_deliveries.c.job_id == job_id,
                    webhook_deliveries.c.sequence > last,
                )
                .order_by(webhook_deliveries.c.sequence)
                .limit(_AT_ONCE)
            )
            deleted = (
                delete(webhook_deliveries)
                .where(webhook_deliveries.c.id.in_(some))
                .returning(webhook_deliveries.c.sequence)
            )
            sequences = connection.scalars(deleted).all()
            if len(sequences) < _AT_ONCE:
                break
            last = max(sequences)

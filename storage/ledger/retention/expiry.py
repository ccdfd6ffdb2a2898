"""Deletes what has expired: jobs, unused uploads, old deliveries."""

from __future__ import annotations

from sqlalchemy import delete, exists, select

from storage.database import Database
from storage.ledger.lifecycle.transitions import OPEN_JOB
from storage.ledger.retention.blobs import note_blobs
from storage.records import DeliveryState
from storage.tables import IS_UNUSED, jobs, uploads, webhook_deliveries

#: Jobs in one read, or rows in one transaction.
_BATCH = 100


def expired_jobs(db: Database) -> list[tuple[str, str]]:
    """Some jobs whose retention is over, as pairs of tenant's id and job's id."""
    query = (
        select(jobs.c.tenant_id, jobs.c.id)
        .where(jobs.c.expires_at <= db.now(), jobs.c.state.not_in(OPEN_JOB))
        .order_by(jobs.c.expires_at)
        .limit(_BATCH)
    )
    with db.read() as connection:
        return [(row.tenant_id, row.id) for row in connection.execute(query)]


def drop_expired_uploads(db: Database) -> int:
    """Deletes unused uploads that have expired; returns their number."""
    total = 0
    while True:
        with db.write() as connection:
            expired = connection.execute(
                select(uploads.c.id, uploads.c.key, uploads.c.parts_id)
                .where(IS_UNUSED, uploads.c.expires_at <= db.now())
                .order_by(uploads.c.expires_at)
                .limit(_BATCH)
                .with_for_update(skip_locked=True)
            ).all()
            if expired:
                connection.execute(delete(uploads).where(uploads.c.id.in_([row.id for row in expired])))
                note_blobs(db, connection, [(row.key, row.parts_id) for row in expired])
        total += len(expired)
        if len(expired) < _BATCH:
            return total


def drop_old_deliveries(db: Database, kept_s: float) -> int:
    """Deletes deliveries without a job (pings, templates, disabled endpoints) older than ``kept_s``; their number.

    Deliveries of jobs are deleted with their jobs. An endpoint's last one stays: numbering goes on from it.
    """
    later = webhook_deliveries.alias("later")
    total = 0
    while True:
        with db.write() as connection:
            expired_ids = list(
                connection.scalars(
                    select(webhook_deliveries.c.id)
                    .where(
                        webhook_deliveries.c.job_id.is_(None),
                        webhook_deliveries.c.state != DeliveryState.PENDING,
                        webhook_deliveries.c.created_at <= db.after(-kept_s),
                        exists().where(
                            later.c.endpoint_id == webhook_deliveries.c.endpoint_id,
                            later.c.job_id.is_(None),
                            later.c.sequence > webhook_deliveries.c.sequence,
                        ),
                    )
                    .limit(_BATCH)
                    .with_for_update(skip_locked=True, of=webhook_deliveries)
                )
            )
            if expired_ids:
                connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.id.in_(expired_ids)))
        total += len(expired_ids)
        if len(expired_ids) < _BATCH:
            return total

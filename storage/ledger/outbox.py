"""Events for webhooks, written in the transaction of the change that they tell of: an event is never lost or invented.

The payload is what is posted: ``{"type", "timestamp", "data"}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from storage.database import Database
from storage.records import DeliveryState, Job
from storage.tables import jobs, new_id, webhook_deliveries, webhook_endpoints


def lock_endpoints(connection: Connection, job_ids: Iterable[str]) -> dict[str, str]:
    """The endpoints that want events, by job id; none of them can be deleted before this transaction ends."""
    wanted = (
        select(webhook_endpoints.c.id)
        .where(
            webhook_endpoints.c.disabled_at.is_(None),
            webhook_endpoints.c.id.in_(select(jobs.c.webhook_endpoint_id).where(jobs.c.id.in_(list(job_ids)))),
        )
        .order_by(webhook_endpoints.c.id)
        .with_for_update(read=True, key_share=True)
    )
    endpoint_ids = list(connection.scalars(wanted))
    if not endpoint_ids:
        return {}
    found = connection.execute(
        select(jobs.c.id, jobs.c.webhook_endpoint_id).where(
            jobs.c.id.in_(list(job_ids)), jobs.c.webhook_endpoint_id.in_(endpoint_ids)
        )
    )
    return {row.id: row.webhook_endpoint_id for row in found}


def image_failed(db: Database, connection: Connection, failed: Iterable[Row[Any]]) -> None:
    """An event for each image that failed: rows with id, job_id, name, error_code, error_detail, finished_at."""
    failed = list(failed)
    if not failed:
        return
    endpoints = lock_endpoints(connection, {row.job_id for row in failed})
    events = [
        {
            "endpoint_id": endpoints[row.job_id],
            "job_id": row.job_id,
            "event_type": "image.failed",
            "payload": {
                "type": "image.failed",
                "timestamp": row.finished_at.isoformat(),
                "data": {
                    "id": row.id,
                    "job_id": row.job_id,
                    "name": row.name,
                    "error": {"code": row.error_code, "detail": row.error_detail},
                },
            },
        }
        for row in failed
        if row.job_id in endpoints
    ]
    _write(db, connection, events)


def job_completed(db: Database, connection: Connection, job: Job, endpoint_id: str) -> None:
    """The event of a job whose images have all ended; ``job`` as it stands after it."""
    if job.finished_at is None:
        raise ValueError("The job has not finished.")
    counts = {
        name: getattr(job.counts, name) for name in ("queued", "running", "succeeded", "skipped", "failed", "canceled")
    }
    payload = {
        "type": "job.completed",
        "timestamp": job.finished_at.isoformat(),
        "data": {"id": job.id, "state": job.state.value, "total": job.total, "counts": counts},
    }
    _write(
        db,
        connection,
        [{"endpoint_id": endpoint_id, "job_id": job.id, "event_type": "job.completed", "payload": payload}],
    )


def _write(db: Database, connection: Connection, events: list[dict[str, Any]]) -> None:
    if events:
        connection.execute(
            insert(webhook_deliveries).values(next_attempt_at=db.now(), created_at=db.now()),
            [{"id": new_id("evt"), "state": DeliveryState.PENDING, **event} for event in events],
        )

"""Queued and running images by tenant, and the workers that hold images."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from storage.database import Database
from storage.ledger.lifecycle.transitions import OPEN_JOB
from storage.records import ImageState
from storage.tables import attempts, images, job_deltas, jobs


@dataclass(frozen=True, kw_only=True)
class TenantQueue:
    """Number of a tenant's images that have not ended."""

    tenant_id: str
    jobs: int
    queued: int
    running: int
    #: Submission of its oldest open job.
    since: datetime


@dataclass(frozen=True, kw_only=True)
class BusyWorker:
    """A worker process that holds images."""

    name: str
    images: int
    #: Lease of the image that it has held longest.
    since: datetime


def queues(db: Database, tenant_id: str | None) -> list[TenantQueue]:
    """The queue of one tenant, or of all tenants with open jobs, the oldest first."""
    open_jobs = select(jobs.c.id, jobs.c.tenant_id, jobs.c.queued, jobs.c.running, jobs.c.created_at).where(
        jobs.c.state.in_(OPEN_JOB)
    )
    if tenant_id is not None:
        open_jobs = open_jobs.where(jobs.c.tenant_id == tenant_id)
    chosen = open_jobs.cte("chosen")
    pending = (
        select(
            job_deltas.c.job_id,
            func.sum(job_deltas.c.queued).label("queued"),
            func.sum(job_deltas.c.running).label("running"),
        )
        .where(job_deltas.c.job_id.in_(select(chosen.c.id)))
        .group_by(job_deltas.c.job_id)
        .subquery("pending")
    )
    # The jobs' counts: an image is not counted again for each look at its queue.
    by_tenant = (
        select(
            chosen.c.tenant_id,
            func.count().label("jobs"),
            func.sum(chosen.c.queued + func.coalesce(pending.c.queued, 0)).label("queued"),
            func.sum(chosen.c.running + func.coalesce(pending.c.running, 0)).label("running"),
            func.min(chosen.c.created_at).label("since"),
        )
        .outerjoin(pending, pending.c.job_id == chosen.c.id)
        .group_by(chosen.c.tenant_id)
    )
    with db.read() as connection:
        rows = connection.execute(by_tenant).all()
    tenant_queues = [
        TenantQueue(
            tenant_id=row.tenant_id, jobs=row.jobs, queued=int(row.queued), running=int(row.running), since=row.since
        )
        for row in rows
    ]
    return sorted(tenant_queues, key=lambda queue: queue.since)


def busy_workers(db: Database) -> list[BusyWorker]:
    """Workers that hold images, by name."""
    held = (
        select(attempts.c.worker, func.count().label("images"), func.min(attempts.c.started_at).label("since"))
        .join(images, (images.c.id == attempts.c.image_id) & (images.c.attempt == attempts.c.attempt))
        .where(images.c.state == ImageState.RUNNING, attempts.c.ended_at.is_(None))
        .group_by(attempts.c.worker)
        .order_by(attempts.c.worker)
    )
    with db.read() as connection:
        rows = connection.execute(held).all()
    return [BusyWorker(name=row.worker, images=row.images, since=row.since) for row in rows]

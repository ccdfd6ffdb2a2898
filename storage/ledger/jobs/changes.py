"""A tenant's changes of a submitted job: rename it, cancel it, or retry the failed images."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import Connection, select, update

from storage.database import Database
from storage.errors import JobCanceled
from storage.ledger.jobs.reading import read_one_job
from storage.ledger.lifecycle.images import lock_images_of_job, move_images_of_job
from storage.ledger.lifecycle.jobs import move_job
from storage.ledger.lifecycle.transitions import (
    CANCEL,
    CANCEL_JOB,
    RETRY,
    RETRY_ESTIMATING,
    RETRY_JOB,
    RETRY_UNREVIEWED,
    JobTransition,
)
from storage.ledger.operations import audit
from storage.ledger.templates import template_use
from storage.ledger.tenants import quotas
from storage.ledger.tenants.idempotency import Done, Once, make_once
from storage.records import Job, JobState
from storage.tables import jobs

log = structlog.get_logger(__name__)


def describe_job(
    db: Database,
    tenant_id: str,
    job_id: str,
    *,
    name: str | None = None,
    labels: list[str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Job:
    """Changes a job's name, labels and metadata, each as a whole; ``None`` keeps it. Raises NotFound."""
    given = {"name": name, "labels": labels, "metadata": metadata}
    changes: dict[str, Any] = {column: value or None for column, value in given.items() if value is not None}
    with db.write() as connection:
        if changes:
            mine = update(jobs).where(jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)
            connection.execute(mine.values(**changes))
        return read_one_job(db, connection, tenant_id, job_id)


def cancel_job(db: Database, tenant_id: str, job_id: str, *, actor: str = audit.SERVICE) -> Job:
    """Stops a job: cancels the images that have not ended, keeps the others. Raises NotFound.

    Repeating it changes nothing, nor does canceling a job whose images have all ended.
    """
    with db.write() as connection:
        read_one_job(db, connection, tenant_id, job_id)
        if locked := lock_images_of_job(connection, job_id, CANCEL):
            move_images_of_job(db, connection, job_id, CANCEL, locked)
            data = {"images": sum(group.images for group in locked)}
            entry = audit.Event(tenant_id, "job.canceled", actor, job_id, None, data)
            move_job(db, connection, CANCEL_JOB, job_id, entry=entry)
        canceled = read_one_job(db, connection, tenant_id, job_id)
    if locked:
        log.info("job.canceled", job=job_id, tenant=tenant_id, actor=actor, **data)
    return canceled


def retry_failed(
    db: Database, tenant_id: str, job_id: str, *, once: Once | None = None, actor: str = audit.SERVICE
) -> Done[Job]:
    """Queues the failed images of a job again, one attempt each, and opens the job again, without its deadline.

    Repeating it changes nothing until another image has failed. A repeat of ``once`` gets the job as it is now.

    Raises:
        NotFound: no such job of this tenant.
        JobCanceled: it was canceled.
        QuotaExceeded: more than the tenant may ask for.
    """
    retried_images = 0

    def make(connection: Connection) -> Job:
        nonlocal retried_images
        job = read_one_job(db, connection, tenant_id, job_id)
        if job.state is JobState.CANCELED:
            raise JobCanceled(job_id)
        locked = lock_images_of_job(connection, job_id, RETRY)
        if not locked:
            return job
        retried_images = sum(group.images for group in locked)
        quotas.use(db, connection, tenant_id, images=retried_images, sizes=[])
        # A template that settles at this moment may move the job, so the job is read after its lock.
        connection.execute(select(jobs.c.id).where(jobs.c.id == job_id).with_for_update(key_share=True))
        transition = _retry_of(read_one_job(db, connection, tenant_id, job_id))
        entry = audit.Event(tenant_id, "job.retried", actor, job_id, None, {"images": retried_images})
        if not move_job(db, connection, transition, job_id, entry=entry):
            raise JobCanceled(job_id)
        move_images_of_job(db, connection, job_id, RETRY, locked)
        return read_one_job(db, connection, tenant_id, job_id)

    done = make_once(
        db,
        tenant_id,
        once,
        make=make,
        answer_of=lambda job: {"job": job.id},
        again=lambda connection, stored: read_one_job(db, connection, tenant_id, stored["job"]),
    )
    if retried_images:
        log.info("job.retried", job=job_id, tenant=tenant_id, actor=actor, images=retried_images)
    return done


def _retry_of(job: Job) -> JobTransition:
    """Back to work, or to where the job waited for its mark when its deadline passed."""
    if not template_use.is_awaited(job.mask):
        return RETRY_JOB
    return RETRY_ESTIMATING if job.review is None else RETRY_UNREVIEWED

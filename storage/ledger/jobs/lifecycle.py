"""What a tenant does with a job after submitting it: cancel it, try again what failed, delete it. And what time does.

Deleting is two steps: the ledger forgets, and in the same transaction notes which blobs nothing names any more; they
are deleted after it. Whatever dies in between, the note is still there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, case, delete, exists, func, insert, literal, or_, select, update

from storage.database import Database
from storage.errors import JobCanceled, NotFound
from storage.ledger.jobs.counting import OPEN_JOB, Moves
from storage.ledger.jobs.jobs import OPEN_IMAGE, one_job, read_one_job
from storage.ledger.operations import audit
from storage.ledger.templates import template_use
from storage.ledger.tenants import quotas
from storage.ledger.webhooks import outbox
from storage.records import DeliveryState, ImageState, Job, JobState
from storage.tables import IS_UNUSED, attempts, blob_deletions, images, jobs, pauses, uploads, webhook_deliveries

#: Jobs, or rows, in one look.
_BATCH = 100
#: Seconds until blobs are deleted: longer than a worker that lost its lease may still be writing one.
_DELETED_AFTER_S = 900.0


def cancel_job(db: Database, tenant_id: str, job_id: str, *, actor: str = audit.SERVICE) -> Job:
    """Stops a job: what is queued or running is canceled at once, what has ended stays. Raises NotFound.

    Repeating it changes nothing, nor does canceling a job whose images have all ended.
    """
    waiting = (images.c.job_id == job_id, images.c.state.in_(OPEN_IMAGE))
    with db.write() as connection:
        read_one_job(db, connection, tenant_id, job_id)
        locked = (
            select(images.c.id, images.c.state, images.c.tiles_done)
            .where(*waiting)
            .order_by(images.c.id)
            .with_for_update(key_share=True)
            .cte("locked")
        )
        found = connection.execute(
            select(locked.c.state, func.count().label("images"), func.sum(locked.c.tiles_done).label("tiles")).group_by(
                locked.c.state
            )
        ).all()
        if found:
            _cancel_images(db, connection, job_id, waiting)
            moves = Moves()
            for row in found:
                moves.add(job_id, row.state, ImageState.CANCELED, images=row.images, tiles=int(row.tiles))
            connection.execute(
                update(jobs)
                .where(jobs.c.id == job_id, jobs.c.state.in_(OPEN_JOB))
                .values(state=JobState.CANCELED, finished_at=db.now(), expires_at=expiry(db, connection, job_id))
            )
            moves.write(connection)
            canceled = {"images": sum(row.images for row in found)}
            audit.append(db, connection, [audit.Event(tenant_id, "job.canceled", actor, job_id, None, canceled)])
        job = read_one_job(db, connection, tenant_id, job_id)
        if found and job.state is JobState.CANCELED:
            outbox.job_ended(connection, job)
        return job


def _cancel_images(db: Database, connection: Connection, job_id: str, waiting: tuple[Any, ...]) -> None:
    """Cancels the images that ``waiting`` selects, all of them locked, and closes the attempts under way."""
    under_way = select(images.c.id).where(images.c.job_id == job_id, images.c.state == ImageState.RUNNING)
    connection.execute(
        update(attempts)
        .where(attempts.c.image_id.in_(under_way), attempts.c.ended_at.is_(None))
        .values(ended_at=db.now(), outcome=ImageState.CANCELED)
    )
    connection.execute(
        update(images)
        .where(*waiting)
        .values(
            state=ImageState.CANCELED,
            lease_token=None,
            lease_expires_at=None,
            published_at=None,
            finished_at=db.now(),
        )
    )


def retry_failed(db: Database, tenant_id: str, job_id: str, *, actor: str = audit.SERVICE) -> Job:
    """Queues the failed images of a job again, one attempt each; what succeeded stays. The job is open again,
    and has no deadline any more.

    Repeating it changes nothing while none has failed anew.

    Raises:
        NotFound: no such job of this tenant.
        JobCanceled: it was canceled.
        QuotaExceeded: more than the tenant may ask for.
    """
    failed = (images.c.job_id == job_id, images.c.state == ImageState.FAILED)
    with db.write() as connection:
        job = read_one_job(db, connection, tenant_id, job_id)
        if job.state is JobState.CANCELED:
            raise JobCanceled(job_id)
        locked = select(images.c.id).where(*failed).order_by(images.c.id).with_for_update(key_share=True).cte("locked")
        count = int(connection.scalar(select(func.count()).select_from(locked)) or 0)
        if not count:
            return job
        quotas.use(db, connection, tenant_id, images=count, sizes=[])
        opened = connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state != JobState.CANCELED)
            .values(
                state=_state_of_retried(job),
                started_at=func.coalesce(jobs.c.started_at, db.now()),
                finished_at=None,
                expires_at=None,
                deadline=None,
            )
        ).rowcount
        if not opened:
            raise JobCanceled(job_id)
        moved = connection.execute(
            update(images)
            .where(*failed)
            .values(
                state=ImageState.QUEUED,
                available_at=db.now(),
                published_at=None,
                finished_at=None,
                error_code=None,
                error_detail=None,
                tiles_done=0,
                tiles_total=None,
            )
            .returning(images.c.id)
        ).all()
        moves = Moves()
        moves.add(job_id, ImageState.FAILED, ImageState.QUEUED, images=len(moved))
        moves.write(connection)
        event = audit.Event(tenant_id, "job.retried", actor, job_id, None, {"images": len(moved)})
        audit.append(db, connection, [event])
        return read_one_job(db, connection, tenant_id, job_id)


def _state_of_retried(job: Job) -> JobState:
    """Running; or what it was before its deadline passed, where its mark is not known yet."""
    if not template_use.is_awaited(job.mask):
        return JobState.RUNNING
    return JobState.ESTIMATING if job.review is None else JobState.NEEDS_REVIEW


def delete_job(db: Database, tenant_id: str, job_id: str, *, actor: str = audit.SERVICE) -> None:
    """Deletes a job with its images, and soon after their results, and uploads that no other job uses.

    What is still running counts as canceled: its worker finds its lease gone. Raises NotFound.
    """
    with db.write() as connection:
        if connection.execute(one_job(tenant_id, job_id)).first() is None:
            raise NotFound("job", job_id)
        named = select(images.c.source_key).where(images.c.job_id == job_id)
        named_masks = select(images.c.mask_key).where(images.c.job_id == job_id)
        mine = (
            select(uploads.c.id)
            .where(uploads.c.tenant_id == tenant_id, or_(uploads.c.key.in_(named), uploads.c.key.in_(named_masks)))
            .order_by(uploads.c.id)
            .with_for_update(key_share=True)
            .cte("mine")
        )
        # Nothing else of it is wanted: what no job uses goes at once.
        connection.execute(
            update(uploads)
            .where(uploads.c.id.in_(select(mine.c.id)))
            .values(uses=uploads.c.uses - 1, expires_at=_sooner(db))
        )
        locked = select(images.c.id).where(images.c.job_id == job_id).order_by(images.c.id).with_for_update()
        connection.execute(select(func.count()).select_from(locked.cte("locked")))
        gone = connection.execute(delete(images).where(images.c.job_id == job_id)).rowcount
        if not connection.execute(delete(jobs).where(jobs.c.id == job_id)).rowcount:
            raise NotFound("job", job_id)
        connection.execute(delete(pauses).where(pauses.c.subject == job_id))
        note_blobs(db, connection, [(f"t/{tenant_id}/jobs/{job_id}/", None)])
        audit.append(db, connection, [audit.Event(tenant_id, "job.deleted", actor, job_id, None, {"images": gone})])


def expired_jobs(db: Database) -> list[tuple[str, str]]:
    """Some jobs, as tenant's and own id, whose retention is over."""
    query = (
        select(jobs.c.tenant_id, jobs.c.id)
        .where(jobs.c.expires_at <= db.now(), jobs.c.state.not_in(OPEN_JOB))
        .order_by(jobs.c.expires_at)
        .limit(_BATCH)
    )
    with db.read() as connection:
        return [(row.tenant_id, row.id) for row in connection.execute(query)]


def drop_expired_uploads(db: Database) -> int:
    """Forgets uploads that no job used in time; how many there were."""
    total = 0
    while True:
        with db.write() as connection:
            found = connection.execute(
                select(uploads.c.id, uploads.c.key, uploads.c.parts_id)
                .where(IS_UNUSED, uploads.c.expires_at <= db.now())
                .order_by(uploads.c.expires_at)
                .limit(_BATCH)
                .with_for_update(skip_locked=True)
            ).all()
            if found:
                connection.execute(delete(uploads).where(uploads.c.id.in_([row.id for row in found])))
                note_blobs(db, connection, [(row.key, row.parts_id) for row in found])
        total += len(found)
        if len(found) < _BATCH:
            return total


def drop_old_deliveries(db: Database, kept_s: float) -> int:
    """Forgets deliveries that belong to no job (pings, templates, disabled endpoints) and ended so long ago; how many.

    Those of jobs go with their jobs. An endpoint's last one stays: its number is where the next goes on.
    """
    later = webhook_deliveries.alias("later")
    total = 0
    while True:
        with db.write() as connection:
            gone = list(
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
            if gone:
                connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.id.in_(gone)))
        total += len(gone)
        if len(gone) < _BATCH:
            return total


class BlobDeletion(NamedTuple):
    """What is to be deleted: a key, or with a slash at its end all keys under it."""

    key: str
    #: Whether the blob may have been sent in parts only so far.
    in_parts: bool


def claim_blob_deletions(db: Database, *, claim_s: float) -> dict[int, BlobDeletion]:
    """Some blobs to delete, by number, for the caller alone during ``claim_s``."""
    with db.write() as connection:
        due = (
            select(blob_deletions.c.id)
            .where(blob_deletions.c.due_at <= db.now())
            .order_by(blob_deletions.c.due_at)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claimed = connection.execute(
            update(blob_deletions)
            .where(blob_deletions.c.id.in_(select(due.c.id)))
            .values(due_at=db.after(claim_s))
            .returning(blob_deletions.c.id, blob_deletions.c.key, blob_deletions.c.parts_id)
        )
        return {row.id: BlobDeletion(row.key, row.parts_id is not None) for row in claimed}


def blobs_deleted(db: Database, numbers: list[int]) -> None:
    """The blobs of these numbers are gone."""
    with db.write() as connection:
        connection.execute(delete(blob_deletions).where(blob_deletions.c.id.in_(numbers)))


def expiry(db: Database, connection: Connection, job_id: str) -> ColumnElement[Any]:
    """When a job that ends now is to be deleted, as a value for its row."""
    retention_s = connection.scalar(select(jobs.c.retention_s).where(jobs.c.id == job_id))
    return literal(None) if retention_s is None else db.after(retention_s)


def _sooner(db: Database) -> ColumnElement[Any]:
    return case((uploads.c.uses <= 1, db.now()), else_=uploads.c.expires_at)


def note_blobs(
    db: Database, connection: Connection, keys: list[tuple[str, str | None]], *, wait_s: float = 0.0
) -> None:
    """Notes keys, each with the name of its transfer in parts, that nothing names any more and nobody writes
    ``wait_s`` later."""
    connection.execute(
        insert(blob_deletions).values(due_at=db.after(wait_s + _DELETED_AFTER_S)),
        [{"key": key, "parts_id": parts_id} for key, parts_id in keys],
    )

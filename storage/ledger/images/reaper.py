"""What happens to images and jobs when nobody is looking: expired leases, folded counts, closed jobs.

Each function is one or more whole transactions, may be repeated, and may run in several processes at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select, update

from storage.database import Database
from storage.ledger.images.finish import end_attempts
from storage.ledger.jobs.counting import OPEN_JOB, Folded, Moves, fold, read_job, select_jobs
from storage.ledger.jobs.lifecycle import expiry
from storage.ledger.operations import audit
from storage.ledger.webhooks import outbox
from storage.records import ImageOfJob, ImageState, JobState
from storage.tables import images, job_deltas, jobs

#: Rows in one transaction.
_BATCH = 1000

WORKER_LOST = "worker_lost"
_LOST_FOR_GOOD = "The worker fell silent on the last attempt allowed. Try the picture alone, or a smaller copy of it."


@dataclass
class Reaped:
    """Images whose lease ran out, by what became of them."""

    requeued: list[ImageOfJob] = field(default_factory=list)
    failed: list[ImageOfJob] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.requeued), len(self.failed)


def silent(db: Database) -> ColumnElement[bool]:
    """Whether the lease of a row of ``images`` has run out."""
    return and_(images.c.state == ImageState.RUNNING, images.c.lease_expires_at <= db.now())


def reap_leases(db: Database, *, max_attempts: int) -> Reaped:
    """Takes images back from workers that fell silent.

    At the attempt limit an image fails with the code ``worker_lost``; the reason of each attempt stays in ``attempts``.
    """
    reaped = Reaped()
    while True:
        with db.write() as connection:
            batch = _reap_batch(db, connection, max_attempts)
        reaped.requeued += batch.requeued
        reaped.failed += batch.failed
        if sum(batch.counts) < _BATCH:
            return reaped


def fold_deltas(db: Database) -> Folded:
    """Adds the changes of counts to their jobs."""
    rows = ended = 0
    while True:
        with db.write() as connection:
            folded = fold(connection, limit=_BATCH)
        rows += folded.rows
        ended += folded.ended
        if folded.rows < _BATCH:
            return Folded(rows, ended)


def close_jobs(db: Database) -> list[str]:
    """Completes the jobs whose images have all ended, each exactly once, with its event; their ids."""
    with db.read() as connection:
        finished = list(connection.scalars(finished_jobs().order_by(jobs.c.id)))
    return [job_id for job_id in finished if _close(db, job_id)]


def finished_jobs() -> Select[str]:
    """Ids of open jobs without a queued or running image. An image that has ended stays so: such a job remains one."""
    changes = (
        select(
            job_deltas.c.job_id,
            func.sum(job_deltas.c.queued).label("queued"),
            func.sum(job_deltas.c.running).label("running"),
        )
        .group_by(job_deltas.c.job_id)
        .subquery("changes")
    )
    return (
        select(jobs.c.id)
        .outerjoin(changes, changes.c.job_id == jobs.c.id)
        .where(
            jobs.c.state.in_(OPEN_JOB),
            jobs.c.queued + func.coalesce(changes.c.queued, 0) == 0,
            jobs.c.running + func.coalesce(changes.c.running, 0) == 0,
        )
    )


def _close(db: Database, job_id: str) -> bool:
    """Completes one finished job, unless somebody else did or it was canceled."""
    with db.write() as connection:
        won = connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state.in_(OPEN_JOB))
            .values(state=JobState.COMPLETED, finished_at=db.now(), expires_at=expiry(db, connection, job_id))
        ).rowcount
        if won:
            row = connection.execute(select_jobs(db, select(jobs.c.id).where(jobs.c.id == job_id))).one()
            outbox.job_ended(connection, read_job(row))
    return bool(won)


def _reap_batch(db: Database, connection: Connection, max_attempts: int) -> Reaped:
    """Up to ``_BATCH`` images whose lease has ended."""
    expired = (
        select(images.c.id)
        .where(silent(db))
        .order_by(images.c.id)
        .limit(_BATCH)
        .with_for_update(key_share=True, skip_locked=True)
        .cte("expired")
    )
    last = images.c.attempt >= max_attempts
    rows = connection.execute(
        update(images)
        .where(images.c.id.in_(select(expired.c.id)))
        .values(
            state=case((last, ImageState.FAILED.value), else_=ImageState.QUEUED.value),
            lease_token=None,
            lease_expires_at=None,
            published_at=None,
            available_at=db.now(),
            tiles_done=0,
            tiles_total=None,
            finished_at=case((last, db.now()), else_=None),
            error_code=case((last, WORKER_LOST), else_=None),
            error_detail=case((last, _LOST_FOR_GOOD), else_=None),
        )
        .returning(*outbox.ENDED_IMAGE)
    ).all()
    if not rows:
        return Reaped()
    detail = "The lease ran out without a sign of life."
    end_attempts(db, connection, [(row.id, row.attempt, "lost", WORKER_LOST, detail) for row in rows])
    moves = Moves()
    reaped = Reaped()
    for row in rows:
        moves.add(row.job_id, ImageState.RUNNING, row.state)
        kind = reaped.failed if row.state == ImageState.FAILED else reaped.requeued
        kind.append(ImageOfJob(row.job_id, row.id))
    failed = [row for row in rows if row.state == ImageState.FAILED]
    outbox.image_ended(connection, failed)
    moves.write(connection)
    audit.append(db, connection, [audit.image_failed(row) for row in failed])
    return reaped

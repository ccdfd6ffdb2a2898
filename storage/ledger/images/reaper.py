"""Reclaims expired leases, folds counts, and closes jobs whose images have all ended.

Each function is one or more whole transactions, may be repeated, and may run in several processes at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from storage.database import Database
from storage.ledger.jobs.counting import Folded, fold
from storage.ledger.lifecycle.images import AttemptEnd, Branch, move_images
from storage.ledger.lifecycle.jobs import move_job
from storage.ledger.lifecycle.transitions import COMPLETE, LOSE, OPEN_JOB, RECLAIM
from storage.ledger.operations import audit
from storage.ledger.operations.flow import count_ended
from storage.records import ImageOfJob, ImageState
from storage.tables import images, job_deltas, jobs

#: Rows in one transaction.
_BATCH = 1000

WORKER_LOST = "worker_lost"
_LOST_FOR_GOOD = "The worker fell silent on the last attempt allowed. Try the picture alone, or a smaller copy of it."


@dataclass
class Reaped:
    """Images whose lease expired: queued again, or failed."""

    requeued: list[ImageOfJob] = field(default_factory=list)
    failed: list[ImageOfJob] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.requeued), len(self.failed)


def is_silent(db: Database) -> ColumnElement[bool]:
    """Whether the lease of a row of ``images`` has expired."""
    return and_(images.c.state == ImageState.RUNNING, images.c.lease_expires_at <= db.now())


def reap_leases(db: Database, *, max_attempts: int) -> Reaped:
    """Reclaims images whose lease has expired.

    At the attempt limit an image fails with ``worker_lost``; ``attempts`` keeps the reason of each attempt.
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
    """Adds the rows of ``job_deltas`` to their jobs, and the images that ended by them to the flow."""
    rows = ended = 0
    while True:
        with db.write() as connection:
            folded = fold(connection, limit=_BATCH)
            count_ended(db, connection, folded.ended)
        rows += folded.rows
        ended += folded.ended
        if folded.rows < _BATCH:
            return Folded(rows, ended)


def close_jobs(db: Database) -> list[str]:
    """Completes the jobs whose images have all ended, each exactly once, with its event; returns their ids."""
    with db.read() as connection:
        finished = list(connection.scalars(select_finished_jobs().order_by(jobs.c.id)))
    return [job_id for job_id in finished if _close(db, job_id)]


def select_finished_jobs() -> Select[str]:
    """Ids of open jobs without a queued or running image."""
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
    """Completes one finished job, unless another process did or its tenant canceled it."""
    with db.write() as connection:
        return move_job(db, connection, COMPLETE, job_id)


def _reap_batch(db: Database, connection: Connection, max_attempts: int) -> Reaped:
    """Reclaims up to ``_BATCH`` images."""
    rows = move_images(
        db,
        connection,
        [
            Branch(
                transitions=(LOSE,),
                when=images.c.attempt >= max_attempts,
                values={"error_code": WORKER_LOST, "error_detail": _LOST_FOR_GOOD},
            ),
            Branch(transitions=(RECLAIM,)),
        ],
        is_silent(db),
        limit=_BATCH,
        skip_locked=True,
        attempt_end=lambda _: AttemptEnd("lost", WORKER_LOST, "The lease ran out without a sign of life."),
        audit_entry=audit.image_failed,
    )
    reaped = Reaped()
    for row in rows:
        images_of_fate = reaped.failed if row.state == ImageState.FAILED else reaped.requeued
        images_of_fate.append(ImageOfJob(row.job_id, row.id))
    return reaped

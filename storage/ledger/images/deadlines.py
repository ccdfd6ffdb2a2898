"""Jobs whose deadline has passed: what waits for a worker then has failed; what a worker holds may end as it will."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, select, update

from storage.database import Database
from storage.ledger.jobs.counting import OPEN_JOB, Moves
from storage.ledger.operations import audit
from storage.ledger.webhooks import outbox
from storage.records import ImageOfJob, ImageState
from storage.tables import images, jobs

#: Images in one transaction.
_BATCH = 1000

DEADLINE_PASSED = "deadline_passed"
_TOO_LATE = "No worker had taken up this image when its job's deadline passed. Retry it, or submit it anew."


def is_late(db: Database) -> ColumnElement[bool]:
    """Whether a row of ``images`` waits although its job's deadline has passed."""
    over = select(jobs.c.id).where(jobs.c.deadline <= db.now(), jobs.c.state.in_(OPEN_JOB))
    return and_(images.c.state == ImageState.QUEUED, images.c.job_id.in_(over))


def fail_late_images(db: Database) -> list[ImageOfJob]:
    """Fails the queued images of jobs past their deadline, and says which. May run in several processes."""
    failed: list[ImageOfJob] = []
    while True:
        with db.write() as connection:
            batch = _fail_batch(db, connection)
        failed += batch
        if len(batch) < _BATCH:
            return failed


def _fail_batch(db: Database, connection: Connection) -> list[ImageOfJob]:
    late = (
        select(images.c.id)
        .where(is_late(db))
        .order_by(images.c.id)
        .limit(_BATCH)
        .with_for_update(key_share=True, skip_locked=True)
        .cte("late")
    )
    rows = connection.execute(
        update(images)
        .where(images.c.id.in_(select(late.c.id)))
        .values(
            state=ImageState.FAILED,
            published_at=None,
            finished_at=db.now(),
            error_code=DEADLINE_PASSED,
            error_detail=_TOO_LATE,
        )
        .returning(*outbox.ENDED_IMAGE)
    ).all()
    moves = Moves()
    for row in rows:
        moves.add(row.job_id, ImageState.QUEUED, ImageState.FAILED)
    outbox.image_ended(connection, rows)
    moves.write(connection)
    audit.append(db, connection, [audit.image_failed(row) for row in rows])
    return [ImageOfJob(row.job_id, row.id) for row in rows]

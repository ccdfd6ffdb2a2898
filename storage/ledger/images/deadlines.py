"""Jobs whose deadline has passed: what waits for a worker then has failed; what a worker holds may end as it will."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, select

from storage.database import Database
from storage.ledger.lifecycle.images import Branch, move_images
from storage.ledger.lifecycle.transitions import MISS_DEADLINE, OPEN_JOB
from storage.ledger.operations import audit
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
    rows = move_images(
        db,
        connection,
        [Branch(transitions=(MISS_DEADLINE,), values={"error_code": DEADLINE_PASSED, "error_detail": _TOO_LATE})],
        is_late(db),
        limit=_BATCH,
        skip_locked=True,
        audit_entry=audit.image_failed,
    )
    return [ImageOfJob(row.job_id, row.id) for row in rows]

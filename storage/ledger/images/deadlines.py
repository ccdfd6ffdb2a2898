"""At a job's deadline its queued images fail; images that a worker holds go on."""

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
_TOO_LATE = "No worker had begun this image when its job's deadline passed. Retry the job, or submit the image again."


def is_late(db: Database) -> ColumnElement[bool]:
    """Whether a row of ``images`` is queued although its job's deadline has passed."""
    over = select(jobs.c.id).where(jobs.c.deadline <= db.now(), jobs.c.state.in_(OPEN_JOB))
    return and_(images.c.state == ImageState.QUEUED, images.c.job_id.in_(over))


def fail_late_images(db: Database) -> list[ImageOfJob]:
    """Fails the queued images of jobs past their deadline; returns them. May run in several processes."""
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

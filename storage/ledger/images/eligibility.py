"""Conditions under which a worker may begin an image, for dispatch, leases and reading."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, not_, or_

from storage.database import Database
from storage.records import HELD_JOB
from storage.tables import images, jobs, pauses

#: The subject of a pause of all tenants.
EVERYTHING = "everything"


def is_paused(job_id: ColumnElement[Any], tenant_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a pause covers the job of these columns: of the job, of its tenant, or of everything."""
    return exists().where(pauses.c.subject.in_([job_id, tenant_id, EVERYTHING]))


def is_in_time(db: Database) -> ColumnElement[bool]:
    """Whether a row of ``jobs`` is before its deadline."""
    return or_(jobs.c.deadline.is_(None), jobs.c.deadline > db.now())


def may_begin(db: Database) -> ColumnElement[bool]:
    """Whether a row of ``images`` is of a job that is not paused, not late, and does not wait for its mark."""
    stopped = or_(jobs.c.deadline <= db.now(), jobs.c.state.in_(HELD_JOB))
    halted = exists().where(jobs.c.id == images.c.job_id, stopped)
    return and_(not_(halted), not_(is_paused(images.c.job_id, images.c.tenant_id)))

"""The trace of a job's submission, for processes that work on the job later."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from storage.database import Database
from storage.tables import jobs


def trace_contexts(db: Database, job_ids: Iterable[str]) -> dict[str, str]:
    """W3C ``traceparent`` by job, of those that have one."""
    query = select(jobs.c.id, jobs.c.trace).where(jobs.c.id.in_(sorted(set(job_ids))), jobs.c.trace.is_not(None))
    with db.read() as connection:
        return {row.id: row.trace for row in connection.execute(query)}

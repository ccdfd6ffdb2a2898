"""Moves jobs from state to state: the only module that writes a job's state."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, literal, select, update

from storage.database import Database
from storage.ledger.jobs.counting import read_job, select_jobs
from storage.ledger.jobs.mails import note_mail
from storage.ledger.lifecycle.transitions import BEGIN, JobTransition
from storage.ledger.operations import audit
from storage.ledger.webhooks import outbox
from storage.records import Job, JobState
from storage.tables import jobs, pauses
from storage.tables.columns import ColumnValues


def insert_job(
    db: Database, connection: Connection, transition: JobTransition, values: ColumnValues, entry: audit.Event
) -> None:
    """Writes a new job, and its entry in the audit log."""
    connection.execute(insert(jobs).values(**values, state=transition.target, created_at=db.now()))
    _tell_audit(db, connection, transition, entry)


def move_job(
    db: Database,
    connection: Connection,
    transition: JobTransition,
    job_id: str,
    *,
    entry: audit.Event | None = None,
    values: ColumnValues | None = None,
) -> bool:
    """Moves a job that is in a source state, with its event and its entry in the audit log; whether it was in one.

    ``values``: other columns that change with it. The counts in the event are those that the transaction has written.
    """
    if transition.target is None:
        raise ValueError(f"{transition.name!r} leaves no job: delete_job does that.")
    moved = connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state.in_(transition.sources))
        .values(state=transition.target, **_times(db, connection, transition, job_id), **(values or {}))
    ).rowcount
    if not moved:
        return False
    if transition.audit is not None or entry is not None:
        if entry is None:
            raise ValueError(f"{transition.name!r} has an entry in the audit log.")
        _tell_audit(db, connection, transition, entry)
    if transition.event is not None:
        _tell_endpoint(db, connection, transition, job_id)
    return True


def delete_job_row(connection: Connection, job_id: str) -> bool:
    """Deletes a job without images; whether it was there."""
    deleted = connection.execute(delete(jobs).where(jobs.c.id == job_id)).rowcount
    connection.execute(delete(pauses).where(pauses.c.subject == job_id))
    return bool(deleted)


def _times(db: Database, connection: Connection, transition: JobTransition, job_id: str) -> ColumnValues:
    if transition.ends:
        return {"finished_at": db.now(), "expires_at": _expiry(db, connection, job_id)}
    begins: ColumnValues = {"started_at": func.coalesce(jobs.c.started_at, db.now())}
    if transition is BEGIN:
        return begins
    if JobState.COMPLETED in transition.sources:
        # Open again, and without the deadline that has passed.
        return {**begins, "finished_at": None, "expires_at": None, "deadline": None}
    return {}


def _expiry(db: Database, connection: Connection, job_id: str) -> ColumnElement[Any]:
    """When a job that ends now is to be deleted, as a value for its row."""
    retention_s = connection.scalar(select(jobs.c.retention_s).where(jobs.c.id == job_id))
    return literal(None) if retention_s is None else db.after(retention_s)


def _tell_audit(db: Database, connection: Connection, transition: JobTransition, entry: audit.Event) -> None:
    if entry.action != transition.audit:
        raise ValueError(f"The entry of {transition.name!r} is {transition.audit!r}, not {entry.action!r}.")
    audit.append(db, connection, [entry])


def _tell_endpoint(db: Database, connection: Connection, transition: JobTransition, job_id: str) -> None:
    job = _read(db, connection, job_id)
    if transition.ends:
        outbox.job_ended(connection, job)
    else:
        at = connection.execute(select(db.now())).scalar_one()
        outbox.job_needs_review(connection, job, at)
    if job.state is not JobState.CANCELED:  # a person has done that, and knows
        note_mail(db, connection, job, f"job.{job.state}")


def _read(db: Database, connection: Connection, job_id: str) -> Job:
    return read_job(connection.execute(select_jobs(db, select(jobs.c.id).where(jobs.c.id == job_id))).one())

"""Mails about jobs that have not been sent yet."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table

from storage.tables.columns import ID, metadata, time_column

# Written in the transaction of its cause, deleted once it is sent or given up; the job's column `mail` keeps the end.
mails = Table(
    "mails",
    metadata,
    Column("id", ID, primary_key=True),
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    # The type of the event: job.completed, job.needs_review.
    Column("event_type", String(60), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # A claim moves this into the future, so that another sender takes over from one that dies.
    time_column("next_attempt_at", nullable=False, index=True),
    time_column("created_at", nullable=False),
)

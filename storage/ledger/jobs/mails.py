"""Mails about jobs: written in the transaction of their cause, sent by the leader, and then kept as the job's own fact.

A sender claims a mail, sends it, and records the outcome. If it dies between the two, another sends the mail again,
under the same id, when the claim expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from cleanplate.base.mail import JobMail, Mail, MailError, MailState
from storage.database import Database
from storage.ledger.jobs.counting import read_job, select_jobs
from storage.records import Job
from storage.tables import jobs, mails, new_id


@dataclass(frozen=True, kw_only=True)
class WaitingMail:
    """A mail that a sender has claimed."""

    id: str
    #: The job as it is now.
    job: Job
    #: ``job.completed`` or ``job.needs_review``.
    event_type: str
    #: Those before this one.
    attempts: int


def note_mail(db: Database, connection: Connection, job: Job, event_type: str) -> None:
    """Queues the mail about an event of the job, if it wants mail."""
    if job.mail is None:
        return
    values = {"id": new_id("mail"), "job_id": job.id, "event_type": event_type}
    connection.execute(insert(mails).values(**values, next_attempt_at=db.now(), created_at=db.now()))
    _tell(connection, job.id, job.mail.wish, state=MailState.PENDING)


def claim_mail(db: Database, *, claim_s: float) -> WaitingMail | None:
    """Claims the mail that has been due for longest, for ``claim_s`` seconds; ``None``: none is due."""
    due = (
        select(mails.c.id, mails.c.job_id, mails.c.event_type, mails.c.attempts)
        .where(mails.c.next_attempt_at <= db.now())
        .order_by(mails.c.next_attempt_at, mails.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with db.write() as connection:
        mail = connection.execute(due).first()
        if mail is None:
            return None
        connection.execute(update(mails).where(mails.c.id == mail.id).values(next_attempt_at=db.after(claim_s)))
        row = connection.execute(select_jobs(db, select(jobs.c.id).where(jobs.c.id == mail.job_id))).one()
    return WaitingMail(id=mail.id, job=read_job(row), event_type=mail.event_type, attempts=mail.attempts)


def record_mail(db: Database, mail: WaitingMail, error: MailError | None, *, again_s: float | None) -> None:
    """Records that a mail was sent, or the error of an attempt.

    ``again_s``: seconds until it is tried again; ``None``: it is not. A mail that another sender has settled, or whose
    job was deleted, stays as it is.
    """
    with db.write() as connection:
        # The job first, as its deletion locks it.
        one = select(jobs.c.mail).where(jobs.c.id == mail.job.id).with_for_update(key_share=True)
        wish = connection.scalar(one)
        this = mails.c.id == mail.id
        if error is None or again_s is None:
            settled = connection.execute(delete(mails).where(this)).rowcount
        else:
            changes = {"attempts": mail.attempts + 1, "next_attempt_at": db.after(again_s)}
            settled = connection.execute(update(mails).where(this).values(**changes)).rowcount
        if wish is None or not settled:
            return
        facts = JobMail.model_validate(wish).wish
        if error is None:
            _tell(connection, mail.job.id, facts, state=MailState.SENT, sent_at=connection.scalar(select(db.now())))
        else:
            state = MailState.FAILED if again_s is None else MailState.PENDING
            _tell(connection, mail.job.id, facts, state=state, error=error)


def _tell(connection: Connection, job_id: str, wish: Mail, **fate: Any) -> None:
    """Writes the fate of the latest mail beside what the job wished for."""
    told = JobMail.model_validate({**wish.document(), **fate})
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(mail=told.document()))

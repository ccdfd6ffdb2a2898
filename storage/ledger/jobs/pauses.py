"""Pauses a job, a tenant, or everything; an operator or the tenant itself does it.

A pause is a row, and workers lease no image that it covers. The dispatcher takes covered images back from workers. A
worker finds its lease gone at the next heartbeat and stops at the next tile, and the attempt does not count.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database
from storage.errors import NotFound, PausedByOperator
from storage.ledger.images.eligibility import EVERYTHING, is_paused
from storage.ledger.images.leases import give_back
from storage.ledger.jobs.reading import read_one_job
from storage.ledger.operations import audit
from storage.ledger.tenants.tenants import require_tenant
from storage.records import ImageOfJob, ImageState, Job, PausedBy
from storage.tables import images, jobs, pauses

#: Images in one transaction.
_BATCH = 1000


def pause_job(db: Database, tenant_id: str, job_id: str, by: PausedBy, *, actor: str = audit.SERVICE) -> Job:
    """Pauses a job; running images are taken back. Repeating it changes nothing. Raises NotFound."""
    with db.write() as connection:
        read_one_job(db, connection, tenant_id, job_id)
        if _pause(db, connection, job_id, by):
            audit.append(db, connection, [audit.Event(tenant_id, "job.paused", actor, job_id, None, {"by": by})])
        return read_one_job(db, connection, tenant_id, job_id)


def resume_job(db: Database, tenant_id: str, job_id: str, by: PausedBy, *, actor: str = audit.SERVICE) -> Job:
    """Resumes a job. Repeating it changes nothing.

    Raises:
        NotFound: no such job of this tenant.
        PausedByOperator: a tenant cannot resume what the operator has paused.
    """
    with db.write() as connection:
        read_one_job(db, connection, tenant_id, job_id)
        if _resume(connection, job_id, by):
            audit.append(db, connection, [audit.Event(tenant_id, "job.resumed", actor, job_id, None, {"by": by})])
        return read_one_job(db, connection, tenant_id, job_id)


def pause_tenant(db: Database, tenant_id: str, by: PausedBy, *, actor: str = audit.SERVICE) -> None:
    """As :func:`pause_job`, for all present and future jobs of a tenant."""
    with db.write() as connection:
        require_tenant(connection, tenant_id)
        if _pause(db, connection, tenant_id, by):
            audit.append(db, connection, [audit.Event(tenant_id, "tenant.paused", actor, None, None, {"by": by})])


def resume_tenant(db: Database, tenant_id: str, by: PausedBy, *, actor: str = audit.SERVICE) -> None:
    """Resumes a tenant's jobs, except paused ones. Raises PausedByOperator, NotFound."""
    with db.write() as connection:
        require_tenant(connection, tenant_id)
        if _resume(connection, tenant_id, by):
            audit.append(db, connection, [audit.Event(tenant_id, "tenant.resumed", actor, None, None, {"by": by})])


def pause_everything(db: Database) -> None:
    """Pauses all jobs of all tenants."""
    with db.write() as connection:
        _pause(db, connection, EVERYTHING, PausedBy.OPERATOR)


def resume_everything(db: Database) -> None:
    """Resumes all jobs, except paused ones and those of paused tenants."""
    with db.write() as connection:
        _resume(connection, EVERYTHING, PausedBy.OPERATOR)


def pauses_of(db: Database, tenant_id: str) -> set[PausedBy]:
    """The roles that have paused all jobs of a tenant."""
    with db.read() as connection:
        roles = connection.scalars(
            select(pauses.c.paused_by).where(pauses.c.subject.in_([tenant_id, EVERYTHING]))
        ).all()
    return {PausedBy(by) for by in roles}


def owner_of(db: Database, job_id: str) -> str:
    """The tenant of a job, for the operator. Raises NotFound."""
    with db.read() as connection:
        owner = connection.scalar(select(jobs.c.tenant_id).where(jobs.c.id == job_id))
    if owner is None:
        raise NotFound("job", job_id)
    return str(owner)


def list_pauses(db: Database) -> list[tuple[str, PausedBy]]:
    """All pauses, each with the role that made it; the oldest first."""
    with db.read() as connection:
        rows = connection.execute(select(pauses).order_by(pauses.c.at, pauses.c.subject)).all()
    return [(row.subject, PausedBy(row.paused_by)) for row in rows]


def recall_paused(db: Database) -> list[ImageOfJob]:
    """Takes paused images back from workers and from the queue; returns those that workers held."""
    recalled: list[ImageOfJob] = []
    while True:
        with db.write() as connection:
            taken_back = give_back(db, connection, is_paused(images.c.job_id, images.c.tenant_id), limit=_BATCH)
            if len(taken_back) < _BATCH:
                _unpublish(connection)
        recalled += taken_back
        if len(taken_back) < _BATCH:
            return recalled


def _unpublish(connection: Connection) -> None:
    """Unmarks paused images in the queue, which nobody will lease; they are published again after the pause."""
    published = (
        select(images.c.id)
        .where(
            images.c.state == ImageState.QUEUED,
            images.c.published_at.is_not(None),
            is_paused(images.c.job_id, images.c.tenant_id),
        )
        .order_by(images.c.id)
        .with_for_update(key_share=True, skip_locked=True)
        .cte("published")
    )
    connection.execute(update(images).where(images.c.id.in_(select(published.c.id))).values(published_at=None))


def _pause(db: Database, connection: Connection, subject: str, by: PausedBy) -> bool:
    """Whether the pause is new. The operator's pause replaces a tenant's."""
    dialect = postgresql if db.on_postgres else sqlite
    new = dialect.insert(pauses).values(subject=subject, paused_by=by, at=db.now())
    if by is PausedBy.OPERATOR:
        new = new.on_conflict_do_update(
            index_elements=[pauses.c.subject],
            set_={"paused_by": by},
            where=pauses.c.paused_by == PausedBy.TENANT,
        )
    else:
        new = new.on_conflict_do_nothing()
    return connection.execute(new.returning(pauses.c.subject)).first() is not None


def _resume(connection: Connection, subject: str, by: PausedBy) -> bool:
    """Whether there was a pause."""
    removable = pauses.c.subject == subject
    if by is PausedBy.TENANT:
        removable &= pauses.c.paused_by == PausedBy.TENANT
    if connection.execute(delete(pauses).where(removable)).rowcount:
        return True
    if connection.execute(select(pauses.c.subject).where(pauses.c.subject == subject)).first() is not None:
        raise PausedByOperator
    return False

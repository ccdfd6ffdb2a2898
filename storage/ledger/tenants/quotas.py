"""Quotas of tenants. The transaction of a request counts its usage, so that no two requests take the last place."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database
from storage.errors import NotFound, QuotaExceeded, SizeMissing
from storage.ledger.lifecycle.transitions import OPEN_JOB
from storage.records import Quota, Usage
from storage.tables import job_deltas, jobs, tenants, usage

#: Seconds after which images in flight may have ended.
_TRY_AGAIN_S = 60.0


def set_quota(db: Database, tenant_id: str, quota: Quota) -> None:
    """Replaces a tenant's quota. Raises NotFound."""
    with db.write() as connection:
        changed = connection.execute(
            update(tenants)
            .where(tenants.c.id == tenant_id)
            .values(
                max_images_per_day=quota.images_per_day,
                max_images_in_flight=quota.images_in_flight,
                max_bytes_per_day=quota.bytes_per_day,
            )
        ).rowcount
    if not changed:
        raise NotFound("tenant", tenant_id)


def get_usage(db: Database, tenant_id: str) -> Usage:
    """A tenant's quota, and its usage up to now. Raises NotFound."""
    with db.read() as connection:
        quota = _quota(connection, tenant_id)
        today = _now(db, connection).date()
        row = connection.execute(
            select(usage.c.images, usage.c.bytes).where(usage.c.tenant_id == tenant_id, usage.c.day == today)
        ).first()
        return Usage(
            quota=quota,
            images_today=row.images if row else 0,
            images_in_flight=_in_flight(connection, tenant_id),
            bytes_today=row.bytes if row else 0,
        )


def use(db: Database, connection: Connection, tenant_id: str, *, images: int = 0, sizes: list[int | None]) -> None:
    """Counts the usage of a request. A lock lets one transaction of a tenant at a time pass here.

    Raises:
        QuotaExceeded: the request is larger than the rest of the quota.
        SizeMissing: a size is unknown, and the tenant's bytes are counted.
    """
    quota = _quota(connection, tenant_id)
    if quota.bytes_per_day is not None and None in sizes:
        raise SizeMissing("This tenant has a quota of bytes: announce the size of every upload, in bytes.")
    now = _now(db, connection)
    nbytes = sum(size or 0 for size in sizes)
    dialect = postgresql if db.on_postgres else sqlite
    added = dialect.insert(usage).values(tenant_id=tenant_id, day=now.date(), images=images, bytes=nbytes)
    used = connection.execute(
        added.on_conflict_do_update(
            index_elements=[usage.c.tenant_id, usage.c.day],
            set_={"images": usage.c.images + added.excluded.images, "bytes": usage.c.bytes + added.excluded.bytes},
        ).returning(usage.c.images, usage.c.bytes)
    ).one()
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
    tomorrow_s = (midnight - now).total_seconds()
    _hold("images a day", quota.images_per_day, used.images, images, tomorrow_s)
    _hold("bytes a day", quota.bytes_per_day, used.bytes, nbytes, tomorrow_s)
    if images and quota.images_in_flight is not None:
        in_flight = _in_flight(connection, tenant_id) + images
        _hold("images in flight", quota.images_in_flight, in_flight, images, _TRY_AGAIN_S)


def _hold(what: str, limit: int | None, used: int, asked: int, wait_s: float) -> None:
    """Raises QuotaExceeded; ``used`` includes ``asked``."""
    if limit is None or used <= limit or not asked:
        return
    if asked > limit:
        raise QuotaExceeded(
            f"This asks for {asked} {what}; the quota is {limit}. Split it, or ask your operator.", None
        )
    left = max(limit - (used - asked), 0)
    raise QuotaExceeded(f"This asks for {asked} {what}; {left} of {limit} are left. Repeat it later.", wait_s)


def _quota(connection: Connection, tenant_id: str) -> Quota:
    row = connection.execute(
        select(tenants.c.max_images_per_day, tenants.c.max_images_in_flight, tenants.c.max_bytes_per_day).where(
            tenants.c.id == tenant_id
        )
    ).first()
    if row is None:
        raise NotFound("tenant", tenant_id)
    return Quota(images_per_day=row[0], images_in_flight=row[1], bytes_per_day=row[2])


def _now(db: Database, connection: Connection) -> datetime:
    now: datetime = connection.scalars(select(db.now())).one()
    return now


def _in_flight(connection: Connection, tenant_id: str) -> int:
    """Number of images queued or running, folded or not."""
    open_jobs = select(jobs.c.id).where(jobs.c.tenant_id == tenant_id, jobs.c.state.in_(OPEN_JOB))
    folded = select(func.coalesce(func.sum(jobs.c.queued + jobs.c.running), 0)).where(jobs.c.id.in_(open_jobs))
    pending = select(func.coalesce(func.sum(job_deltas.c.queued + job_deltas.c.running), 0)).where(
        job_deltas.c.job_id.in_(open_jobs)
    )
    return int(connection.scalar(select(folded.scalar_subquery() + pending.scalar_subquery())) or 0)

"""What is to be put into the queue next.

Fair: the tenant that waited longest is first, and of its jobs the one that waited longest. Short: only so many shards
are published and not yet leased. The ledger is written first and the message sent after; if the dispatcher dies between
the two, or the broker loses everything, the images are published again when ``publish_timeout_s`` has passed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, update

from storage.database import Database
from storage.ledger.counting import OPEN_JOB
from storage.records import ImageState, Shard
from storage.tables import images, jobs, tenants


def take_shards(db: Database, *, depth: int, shard_size: int, publish_timeout_s: float) -> list[Shard]:
    """Marks images as published until ``depth`` shards are on their way, and returns the shards to publish now.

    An image that was leased before travels alone, so that one that kills workers takes no neighbour with it.
    """
    forgotten = db.after(-publish_timeout_s)
    with db.write() as connection:
        room = depth - _shards_under_way(connection, forgotten, shard_size)
        if room <= 0:
            return []
        ready = and_(
            images.c.state == ImageState.QUEUED,
            images.c.available_at <= db.now(),
            or_(images.c.published_at.is_(None), images.c.published_at <= forgotten),
        )
        queues = _waiting_jobs(connection, ready)
        shards: list[Shard] = []
        while queues and len(shards) < room:
            tenant_id, job_ids = next(iter(queues.items()))
            shard = _take(db, connection, job_ids[0], ready, shard_size)
            # The job, and the tenant, go to the end of their lines; one with nothing left leaves.
            job_id = job_ids.pop(0)
            del queues[tenant_id]
            if shard is not None:
                shards.append(shard)
                job_ids.append(job_id)
            if job_ids:
                queues[tenant_id] = job_ids
        _note_turns(db, connection, {shard.job_id for shard in shards})
    return shards


def _shards_under_way(connection: Connection, forgotten: ColumnElement[Any], shard_size: int) -> int:
    """Shards published after ``forgotten`` and not leased yet.

    One call publishes a job's images in full shards and at most one smaller one, so they can be counted without a name.
    """
    fresh = func.count().filter(images.c.attempt == 0).label("fresh")
    groups = connection.execute(
        select(func.count().label("images"), fresh)
        .where(images.c.state == ImageState.QUEUED, images.c.published_at > forgotten)
        .group_by(images.c.job_id, images.c.published_at)
    )
    return sum(row.images - row.fresh + -(-row.fresh // shard_size) for row in groups)


def _waiting_jobs(connection: Connection, ready: ColumnElement[bool]) -> dict[str, list[str]]:
    """Jobs with images to publish by tenant, those that waited longest first in both."""
    rows = connection.execute(
        select(jobs.c.tenant_id, jobs.c.id)
        .join(tenants, tenants.c.id == jobs.c.tenant_id)
        .where(jobs.c.state.in_(OPEN_JOB), exists().where(images.c.job_id == jobs.c.id, ready))
        .order_by(
            tenants.c.dispatched_at.asc().nulls_first(),
            tenants.c.id,
            jobs.c.dispatched_at.asc().nulls_first(),
            jobs.c.id,
        )
    )
    queues: dict[str, list[str]] = {}
    for row in rows:
        queues.setdefault(row.tenant_id, []).append(row.id)
    return queues


def _take(
    db: Database, connection: Connection, job_id: str, ready: ColumnElement[bool], shard_size: int
) -> Shard | None:
    """The next shard of a job, marked as published."""
    found = connection.execute(
        select(images.c.id, images.c.attempt)
        .where(images.c.job_id == job_id, ready)
        .order_by(images.c.available_at, images.c.id)
        .limit(shard_size)
        .with_for_update(key_share=True, skip_locked=True)
    ).all()
    if not found:
        return None
    ids = [row.id for row in found if row.attempt == 0] if found[0].attempt == 0 else [found[0].id]
    connection.execute(update(images).where(images.c.id.in_(ids)).values(published_at=db.now()))
    return Shard(job_id=job_id, image_ids=ids)


def _note_turns(db: Database, connection: Connection, job_ids: set[str]) -> None:
    for job_id in sorted(job_ids):
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(dispatched_at=db.now()))
    owners = select(jobs.c.tenant_id).where(jobs.c.id.in_(job_ids)).distinct().order_by(jobs.c.tenant_id)
    for tenant_id in connection.scalars(owners).all() if job_ids else []:
        connection.execute(update(tenants).where(tenants.c.id == tenant_id).values(dispatched_at=db.now()))

"""Takes the images that go into the queue next, and reads the backlog.

The order is fair (``fairness``), with ``interactive`` before ``bulk`` but for one shard in eight. The queue stays
short: the number of images that are published and not yet leased is bounded. The dispatcher writes the ledger first and
sends the message after. If it dies between the two, or the broker loses everything, the images are published again
after ``publish_timeout_s``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, distinct, exists, func, not_, or_, select, update

from storage.database import Database
from storage.ledger import bulk
from storage.ledger.images.eligibility import is_in_time, is_paused
from storage.ledger.images.fairness import FairQueue, Turns
from storage.ledger.lifecycle.transitions import GOING_JOB
from storage.records import Backlog, ImageState, Priority, Shard, Taken, Waiting
from storage.tables import images, job_deltas, jobs, tenants

#: Number of interactive shards after which one of bulk goes into their queue.
BULK_TURN = 7
#: Seconds after which a bulk image that waits in its own queue may go into the interactive one.
_BULK_PATIENCE_S = 30.0
#: Number of shards of a job that one statement reads.
_READ_SHARDS = 8


def take_shards(db: Database, *, depth: int, shard_size: int, publish_timeout_s: float, overtaken: int = 0) -> Taken:
    """Marks images as published until ``depth`` full shards of each priority are published; returns the new shards.

    The depth counts images, not messages, so that a shard of one image takes little room.

    ``overtaken``: interactive shards taken since bulk had a turn in their queue. An image that was leased before gets
    a shard for itself, so that an image that kills its worker takes no neighbour with it. It goes before the rest of
    its job, so that it waits for a worker and not for the backlog.
    """
    with db.write() as connection:
        rows = connection.execute(db.built_once(_count_under_way, publish_timeout_s))
        under_way = Counter({Priority(row.priority): int(row.images) for row in rows})
        room = {priority: depth * shard_size - under_way[priority] for priority in Priority}
        if max(room.values()) <= 0:
            return Taken(shards=[], under_way=under_way.total())
        taking = _Taking(db, connection, shard_size, publish_timeout_s)
        taking.interactive(room[Priority.INTERACTIVE], overtaken)
        taking.bulk(room[Priority.BULK])
        taking.mark()
        if taking.shards:
            _note_turns(db, connection, taking)
    return Taken(shards=taking.shards, under_way=under_way.total())


def overtaken_after(shards: list[Shard], before: int) -> int:
    """The value of ``overtaken`` for the next call."""
    for shard in shards:
        if shard.queue is Priority.INTERACTIVE:
            before = 0 if shard.priority is Priority.BULK else before + 1
    return before


def read_backlog(db: Database) -> Backlog:
    """The backlog, in one snapshot on Postgres. The cost grows with the number of open jobs and of leases."""
    pending = (
        select(
            job_deltas.c.job_id,
            func.sum(job_deltas.c.queued).label("queued"),
            func.sum(job_deltas.c.running).label("running"),
        )
        .group_by(job_deltas.c.job_id)
        .subquery("pending")
    )
    queued = jobs.c.queued + func.coalesce(pending.c.queued, 0)
    running = jobs.c.running + func.coalesce(pending.c.running, 0)
    covered = is_paused(jobs.c.id, jobs.c.tenant_id).label("paused")
    query = (
        select(
            jobs.c.priority,
            covered,
            func.sum(queued).label("queued"),
            func.sum(running).label("running"),
            func.min(case((queued > 0, jobs.c.created_at))).label("oldest"),
        )
        .outerjoin(pending, pending.c.job_id == jobs.c.id)
        .where(jobs.c.state.in_(GOING_JOB))
        .group_by(jobs.c.priority, covered)
    )
    with db.read() as connection:
        rows = connection.execute(query).all()
        busy, now = connection.execute(
            select(func.count(distinct(images.c.lease_token)), db.now()).where(images.c.state == ImageState.RUNNING)
        ).one()
    waiting = {}
    for priority in Priority:
        of_priority = [row for row in rows if row.priority == priority]
        going = [row for row in of_priority if not row.paused]
        oldest = min((row.oldest for row in going if row.oldest is not None), default=now)
        waiting[priority] = Waiting(
            queued=sum(int(row.queued) for row in going),
            running=sum(int(row.running) for row in of_priority),
            oldest_s=max((now - oldest).total_seconds(), 0.0),
        )
    return Backlog(
        waiting=waiting, paused=sum(int(row.queued) for row in rows if row.paused), busy_workers=int(busy or 0)
    )


def _count_under_way(db: Database, publish_timeout_s: float) -> Select[Any]:
    """Number of images that were published within this time and are not leased yet, by their jobs' priority."""
    return (
        select(jobs.c.priority, func.count().label("images"))
        .join(jobs, jobs.c.id == images.c.job_id)
        .where(images.c.state == ImageState.QUEUED, images.c.published_at > db.after(-publish_timeout_s))
        .group_by(jobs.c.priority)
    )


def _select_ready_jobs(db: Database, priority: Priority, published_before_s: float) -> Select[Any]:
    """Jobs with ready images, those with the longest wait first."""
    return (
        select(jobs.c.tenant_id, jobs.c.id, tenants.c.weight, tenants.c.turn_began, tenants.c.turn_ended)
        .join(tenants, tenants.c.id == jobs.c.tenant_id)
        .where(
            jobs.c.state.in_(GOING_JOB),
            jobs.c.priority == priority,
            is_in_time(db),
            not_(is_paused(jobs.c.id, jobs.c.tenant_id)),
            exists().where(images.c.job_id == jobs.c.id, _is_ready(db, published_before_s)),
        )
        .order_by(
            tenants.c.dispatched_at.asc().nulls_first(),
            tenants.c.id,
            jobs.c.dispatched_at.asc().nulls_first(),
            jobs.c.id,
        )
    )


def _is_ready(db: Database, published_before_s: float) -> ColumnElement[bool]:
    """Whether an image is due, and was not put into the queue within this time."""
    return and_(
        images.c.state == ImageState.QUEUED,
        images.c.available_at <= db.now(),
        or_(images.c.published_at.is_(None), images.c.published_at <= db.after(-published_before_s)),
    )


class _Taking:
    """One round of taking shards, in one transaction."""

    def __init__(self, db: Database, connection: Connection, shard_size: int, forgotten_s: float) -> None:
        self._db = db
        self._connection = connection
        self._shard_size = shard_size
        self._forgotten_s = forgotten_s
        self.shards: list[Shard] = []
        #: Shards that were read and not taken yet, by job and queue.
        self._read: dict[tuple[str, Priority], deque[list[str]]] = {}
        #: Jobs that were read: their taken images must be marked before the next read.
        self._jobs_read: set[str] = set()
        #: Images that were taken, and whether they are marked in the ledger.
        self._marked: dict[str, bool] = {}
        self.queue = FairQueue(now=float(connection.scalar(select(func.max(tenants.c.turn_began))) or 0.0))

    def _join(self, priority: Priority, published_before_s: float) -> None:
        """Adds jobs with ready images to the queue, those with the longest wait first."""
        ready_jobs = self._db.built_once(_select_ready_jobs, priority, published_before_s)
        for row in self._connection.execute(ready_jobs):
            turns = Turns(row.tenant_id, row.weight, row.turn_began, row.turn_ended, rank=len(self.queue.tenants))
            self.queue.join(turns, priority, row.id)

    def interactive(self, room: int, overtaken: int) -> None:
        """Fills the queue of interactive shards, with bulk's turns in it."""
        if room <= 0:
            return
        self._join(Priority.INTERACTIVE, self._forgotten_s)
        if self.queue.waits(Priority.INTERACTIVE):
            self._join(Priority.BULK, _BULK_PATIENCE_S)
        while room > 0 and self.queue.waits(Priority.INTERACTIVE):
            if overtaken >= BULK_TURN and (taken := self._take(Priority.BULK, Priority.INTERACTIVE, _BULK_PATIENCE_S)):
                overtaken = 0
                room -= taken
            elif taken := self._take(Priority.INTERACTIVE, Priority.INTERACTIVE, self._forgotten_s):
                overtaken += 1
                room -= taken

    def bulk(self, room: int) -> None:
        """Fills the queue of bulk shards."""
        if room > 0 and not self.queue.waits(Priority.BULK):
            self._join(Priority.BULK, self._forgotten_s)
        while room > 0 and self.queue.waits(Priority.BULK):
            room -= self._take(Priority.BULK, Priority.BULK, self._forgotten_s)

    def _take(self, priority: Priority, queue: Priority, published_before_s: float) -> int:
        """Takes the next shard of a priority; returns its number of images, 0: there is none."""
        if not self.queue.waits(priority):
            return 0
        tenant_id, job_id = self.queue.next(priority)
        ids = self._next_of(job_id, queue, published_before_s)
        if not ids:
            self.queue.leave(priority, tenant_id, job_id)
            return 0
        self.queue.served(priority, tenant_id, len(ids))
        self.shards.append(Shard(job_id=job_id, image_ids=ids, priority=priority, queue=queue))
        self._marked.update(dict.fromkeys(ids, False))
        return len(ids)

    def _next_of(self, job_id: str, queue: Priority, published_before_s: float) -> list[str]:
        """The next shard of a job: retries first, each alone, then the others in their order."""
        read = self._read.setdefault((job_id, queue), deque())
        while True:
            if not read:
                read.extend(self._read_of(job_id, published_before_s))
            if not read:
                return []
            # A bulk job is read for both queues: the other one may have taken its images.
            if ids := [image_id for image_id in read.popleft() if image_id not in self._marked]:
                return ids

    def _read_of(self, job_id: str, published_before_s: float) -> Iterator[list[str]]:
        if job_id in self._jobs_read:
            self.mark()
        self._jobs_read.add(job_id)
        limit = _READ_SHARDS * self._shard_size
        ready = self._connection.execute(
            select(images.c.id, images.c.attempt)
            .where(images.c.job_id == job_id, _is_ready(self._db, published_before_s))
            .order_by(images.c.attempt.desc(), images.c.available_at, images.c.id)
            .limit(limit)
            .with_for_update(key_share=True, skip_locked=True)
        ).all()
        yield from ([row.id] for row in ready if row.attempt)
        fresh = [row.id for row in ready if not row.attempt]
        if len(ready) == limit and len(fresh) > self._shard_size:
            # The rest fills no shard; the next read finds it with its neighbours.
            del fresh[len(fresh) - len(fresh) % self._shard_size :]
        yield from (fresh[at : at + self._shard_size] for at in range(0, len(fresh), self._shard_size))

    def mark(self) -> None:
        """Marks the taken images as published."""
        for ids in bulk.chunks(image_id for image_id, marked in self._marked.items() if not marked):
            these = bulk.in_array(self._db, images.c.id, ids)
            self._connection.execute(update(images).where(these).values(published_at=self._db.now()))
        self._marked = dict.fromkeys(self._marked, True)


def _note_turns(db: Database, connection: Connection, taking: _Taking) -> None:
    served = (
        select(jobs.c.id)
        .where(jobs.c.id.in_({shard.job_id for shard in taking.shards}))
        .order_by(jobs.c.id)
        .with_for_update(key_share=True)
        .cte("served")
    )
    connection.execute(update(jobs).where(jobs.c.id.in_(select(served.c.id))).values(dispatched_at=db.now()))
    for turns in taking.queue.had_turns():
        connection.execute(
            update(tenants)
            .where(tenants.c.id == turns.tenant_id)
            .values(dispatched_at=db.now(), turn_began=turns.began, turn_ended=turns.ended)
        )

"""Counts a job's images by state, without a hot row.

Each transaction that moves images adds a row to ``job_deltas``, and the reaper folds those rows into the job. A reader
adds both in one statement, so that a job's counts sum to its total at every moment.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from cleanplate.base.destinations import Destination
from storage.database import Database
from storage.json_columns import read_job_mask, read_job_options, read_review
from storage.ledger.images.eligibility import is_paused
from storage.records import Counts, ImageState, Job, JobKind, JobState, Priority, Rights, RightsBasis
from storage.tables import images, job_deltas, jobs
from storage.tables.columns import ColumnValues

STATES = tuple(state.value for state in ImageState)
_COUNTED = (*STATES, "tiles_done")
#: Jobs that are counted before a job; further behind, its place is this number.
_LONGEST_LINE = 1000


class Moves:
    """The moves of images between states in one transaction, written together."""

    def __init__(self) -> None:
        self._by_job: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, job_id: str, source: str, target: str, *, images: int = 1, tiles: int = 0) -> None:
        changes = self._by_job[job_id]
        changes[source] -= images
        changes[target] += images
        changes["tiles_done"] += tiles

    def rows(self) -> list[ColumnValues]:
        """The rows of ``job_deltas``, one for each job."""
        return [{"job_id": job, **{name: changes[name] for name in _COUNTED}} for job, changes in self._by_job.items()]

    def write(self, connection: Connection) -> None:
        """Writes the rows."""
        if rows := self.rows():
            connection.execute(insert(job_deltas), rows)


def select_jobs(db: Database, page: Select[tuple[str]], *, oldest_first: bool = False) -> Select[Any]:
    """The jobs that ``page`` selects, counted, newest first, in one statement: one snapshot on Postgres.

    Columns: those of ``jobs`` that :func:`read_job` needs, ``seconds`` is computed from ``read_at``. Each job's row is
    read once: a look for its id and another for the row would cost an index's height more.
    """
    chosen = page.with_only_columns(*jobs.c).cte("page")
    of_job = chosen.c
    pending = _sum_by_job(job_deltas, select(of_job.id), _COUNTED).subquery("pending")
    # No other job has running images, and a lookup for each of a page's jobs costs more than all else of the page.
    working = select(of_job.id).where(of_job.state == JobState.RUNNING)
    live = _sum_by_job(images, working, ("tiles_done",)).where(images.c.state == ImageState.RUNNING).subquery("live")
    counts = [(of_job[name] + func.coalesce(pending.c[name], 0)).label(f"{name}_now") for name in STATES]
    tiles = of_job.tiles_done + func.coalesce(pending.c.tiles_done, 0) + func.coalesce(live.c.tiles_done, 0)
    return (
        select(
            chosen,
            *counts,
            tiles.label("tiles_done_now"),
            _ahead(chosen).label("ahead"),
            db.now().label("read_at"),
            is_paused(of_job.id, of_job.tenant_id).label("paused"),
        )
        .outerjoin(pending, pending.c.job_id == of_job.id)
        .outerjoin(live, live.c.job_id == of_job.id)
        .order_by(of_job.id if oldest_first else of_job.id.desc())
    )


def _ahead(page: FromClause) -> ColumnElement[int | None]:
    """Number of queued jobs that are older than a queued job; null for other jobs."""
    line = (
        select(literal(1).label("one"))
        .where(jobs.c.state == JobState.QUEUED, jobs.c.id < page.c.id)
        .limit(_LONGEST_LINE - 1)
        .correlate(page)
        .subquery("line")
    )
    count = select(func.count()).select_from(line).correlate(page).scalar_subquery()
    return case((page.c.state == JobState.QUEUED, count))


def read_job(row: Row[Any]) -> Job:
    """A job from a row of :func:`select_jobs`."""
    fields = row._asdict()
    counts = Counts(**{name: int(fields[f"{name}_now"]) for name in STATES})
    state = JobState(fields["state"])
    done = counts.ended - counts.canceled
    rate = None
    if fields["started_at"] is not None and done:
        seconds = ((fields["finished_at"] or fields["read_at"]) - fields["started_at"]).total_seconds()
        rate = done / seconds if seconds > 0 else None
    unfinished = counts.queued + counts.running
    return Job(
        id=fields["id"],
        tenant_id=fields["tenant_id"],
        state=state,
        kind=JobKind(fields["kind"]),
        name=fields["name"],
        labels=fields["labels"] or [],
        metadata=fields["metadata"] or {},
        key_id=fields["key_id"],
        parent_job_id=fields["parent_job_id"],
        replaces=bool(fields["replaces"]),
        destination=None if fields["destination"] is None else Destination.model_validate(fields["destination"]),
        options=read_job_options(fields["options"]),
        rights=_rights(fields),
        webhook_endpoint_id=fields["webhook_endpoint_id"],
        further_webhooks=fields["further_webhooks"] or [],
        priority=Priority(fields["priority"]),
        deadline=fields["deadline"],
        paused=bool(fields["paused"]),
        total=fields["total"],
        counts=counts,
        tiles_done=int(fields["tiles_done_now"]),
        created_at=fields["created_at"],
        started_at=fields["started_at"],
        finished_at=fields["finished_at"],
        images_per_second=rate,
        expires_at=fields["expires_at"],
        mask=read_job_mask(fields["mask"]),
        review=read_review(fields["review"]),
        rows_skipped=fields["rows_skipped"],
        queue_position=None if fields["ahead"] is None else fields["ahead"] + 1,
        eta_s=0.0 if not unfinished else unfinished / rate if rate else None,
    )


def _rights(fields: dict[str, Any]) -> Rights | None:
    if fields["rights_basis"] is None:
        return None
    return Rights(
        basis=RightsBasis(fields["rights_basis"]),
        attested_by=fields["attested_by"],
        reference=fields["rights_reference"],
    )


class Folded(NamedTuple):
    """Number of rows of ``job_deltas`` that were added to their jobs, and of images that ended by them."""

    rows: int
    ended: int


def fold(connection: Connection, *, limit: int) -> Folded:
    """Adds up to ``limit`` rows of ``job_deltas`` to their jobs and deletes them.

    One transaction adds and deletes a row, and only one can delete it: any number of processes may fold at once.
    """
    taken = select(job_deltas.c.id).limit(limit).with_for_update(skip_locked=True).cte("taken")
    deleted = connection.execute(
        delete(job_deltas)
        .where(job_deltas.c.id.in_(select(taken.c.id)))
        .returning(job_deltas.c.job_id, *(job_deltas.c[name] for name in _COUNTED))
    ).all()
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in deleted:
        sums[row.job_id].update({name: getattr(row, name) for name in _COUNTED})
    for job_id in sorted(sums):
        changes = {name: jobs.c[name] + amount for name, amount in sums[job_id].items() if amount}
        if changes:
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(changes))
    ended = sum(max(row.succeeded, 0) + max(row.skipped, 0) + max(row.failed, 0) for row in deleted)
    return Folded(len(deleted), ended)


def _sum_by_job(table: FromClause, job_ids: Select[tuple[str]], names: Iterable[str]) -> Select[Any]:
    return (
        select(table.c.job_id, *(func.sum(table.c[name]).label(name) for name in names))
        .where(table.c.job_id.in_(job_ids))
        .group_by(table.c.job_id)
    )

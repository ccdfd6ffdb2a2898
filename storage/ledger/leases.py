"""Leases: a worker's timed claim on images, fenced by a token.

A statement of a worker counts only where its token is still the image's and the image still ``running``. Whoever lost
the lease, by its end or by the job's cancellation, finds its ids missing from the answer and has changed nothing.
"""

from __future__ import annotations

import random
import secrets
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Text,
    Update,
    and_,
    case,
    cast,
    delete,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.types import TypeEngine

from storage.database import Database
from storage.ledger import audit, bulk, outbox, template_use
from storage.ledger.counting import Moves
from storage.ledger.eligibility import may_begin
from storage.options import merged
from storage.records import ENDED, ImageOfJob, ImageState, JobState, LeasedImage, Outcome
from storage.tables import JSON_DOCUMENT, attempts, images, job_deltas, jobs, webhook_outbox

#: Waits after a transient failure, in seconds: they double up to the longest, and are up to a half longer by chance.
_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 300.0


def lease_images(db: Database, image_ids: list[str], *, worker: str, lease_s: float) -> tuple[str, list[LeasedImage]]:
    """Leases those of the images that are free; a token for them, and what was leased, in the order asked for.

    ``worker`` names the holder in the images' attempts. Images that are held, ended, paused, past their job's deadline
    or not yet due are left out.
    """
    token = secrets.token_urlsafe(24)
    with db.write() as connection:
        free = (
            select(images.c.id)
            .where(
                bulk.among(db, images.c.id, image_ids),
                images.c.state == ImageState.QUEUED,
                images.c.available_at <= db.now(),
                may_begin(db),
            )
            .order_by(images.c.id)
            .with_for_update(key_share=True, skip_locked=True, of=images)
            .cte("free")
        )
        leased = connection.execute(
            update(images)
            .where(images.c.id.in_(select(free.c.id)))
            .values(
                state=ImageState.RUNNING,
                lease_token=token,
                lease_expires_at=db.after(lease_s),
                published_at=None,
                attempt=images.c.attempt + 1,
                tiles_done=0,
                tiles_total=None,
                started_at=func.coalesce(images.c.started_at, db.now()),
            )
            .returning(
                images.c.id,
                images.c.job_id,
                images.c.tenant_id,
                images.c.name,
                images.c.source_key,
                images.c.source_url,
                images.c.mask_key,
                images.c.mask,
                images.c.options,
                images.c.attempt,
            )
        ).all()
        if not leased:
            return token, []
        begun = _begin_jobs(db, connection, sorted({row.job_id for row in leased}))
        new = [{"image_id": row.id, "attempt": row.attempt, "worker": worker[:200]} for row in leased]
        moves = Moves()
        for row in leased:
            moves.add(row.job_id, ImageState.QUEUED, ImageState.RUNNING)
        together = bulk.Together(db)
        together.insert(attempts, new, started_at=db.now())
        together.insert(job_deltas, moves.rows())
        together.write(connection)
        known = template_use.read_used(connection, [row.mask for row in (*leased, *begun.values())])
    by_id = {row.id: _leased(row, begun[row.job_id], known) for row in leased}
    return token, [by_id[image_id] for image_id in dict.fromkeys(image_ids) if image_id in by_id]


def heartbeat(db: Database, token: str, *, lease_s: float, progress: dict[str, tuple[int, int]]) -> set[str]:
    """Extends the leases of a token and writes down ``(tiles_done, tiles_total)`` by image; the ids still held."""
    done: ColumnElement[int] = images.c.tiles_done
    total: ColumnElement[int] = images.c.tiles_total
    if progress:
        done = case({image_id: tiles[0] for image_id, tiles in progress.items()}, value=images.c.id, else_=done)
        total = case({image_id: tiles[1] for image_id, tiles in progress.items()}, value=images.c.id, else_=total)
    with db.write() as connection:
        held = _lock_held(db, token)
        return set(
            connection.scalars(
                update(images)
                .where(images.c.id.in_(select(held.c.id)))
                .values(lease_expires_at=db.after(lease_s), tiles_done=done, tiles_total=total)
                .returning(images.c.id)
            )
        )


def finish_images(db: Database, token: str, outcomes: list[Outcome], *, max_attempts: int) -> set[str]:
    """Ends images that the token still holds, or gives them back for another attempt (``Outcome.retry``).

    The ids that counted. Counts, attempts and events are written in the same transaction.
    """
    said = {outcome.image_id: outcome for outcome in outcomes}
    if not said:
        return set()
    with db.write() as connection:
        rows = connection.execute(_finish(db, token, list(said.values()), max_attempts)).all()
        if not rows:
            return set()
        moves = Moves()
        for row in rows:
            moves.add(row.job_id, ImageState.RUNNING, row.state, tiles=row.tiles_done)
        together = bulk.Together(db)
        together.add(
            _end_attempts(
                db,
                [
                    (row.id, row.attempt, outcome.state.value, outcome.error_code, outcome.error_detail)
                    for row in rows
                    for outcome in (said[row.id],)
                ],
            )
        )
        together.insert(job_deltas, moves.rows())
        if db.on_postgres:
            listeners = outbox.listeners_in(rows)
        else:
            listeners = outbox.listeners(connection, {row.job_id for row in rows})
        together.insert(webhook_outbox, outbox.image_rows(rows, listeners))
        audit.append_with(db, together, [_ended(row, said[row.id]) for row in rows if row.state in ENDED])
        together.write(connection)
        return {row.id for row in rows}


def end_attempts(
    db: Database, connection: Connection, ends: list[tuple[str, int, str, str | None, str | None]]
) -> None:
    """Writes down how attempts ended: image, attempt, outcome, code and detail of each."""
    connection.execute(_end_attempts(db, ends))


def _end_attempts(db: Database, ends: list[tuple[str, int, str, str | None, str | None]]) -> Update:
    columns: dict[str, TypeEngine[Any]] = {
        "image": Text(),
        "number": Integer(),
        "outcome": Text(),
        "code": Text(),
        "detail": Text(),
    }
    end = bulk.given_rows(db, "ends", columns, ends)
    return (
        update(attempts)
        .where(attempts.c.image_id == end.c.image, attempts.c.attempt == end.c.number)
        .values(ended_at=db.now(), outcome=end.c.outcome, code=end.c.code, detail=end.c.detail)
    )


def release_images(db: Database, token: str, image_ids: list[str]) -> None:
    """Gives back images that were not begun: queued again at once, and the attempt does not count."""
    with db.write() as connection:
        give_back(db, connection, _lock_held(db, token, image_ids))


def give_back(db: Database, connection: Connection, held: CTE) -> list[ImageOfJob]:
    """As :func:`release_images`, for running images of any holder, whose ids ``held`` locks; those that there were."""
    rows = connection.execute(
        update(images)
        .where(images.c.id.in_(select(held.c.id)))
        .values(
            state=ImageState.QUEUED,
            lease_token=None,
            lease_expires_at=None,
            published_at=None,
            # At its old place in the line.
            available_at=images.c.created_at,
            attempt=images.c.attempt - 1,
            tiles_done=0,
            tiles_total=None,
            started_at=case((images.c.attempt == 1, None), else_=images.c.started_at),
        )
        .returning(images.c.id, images.c.job_id, images.c.attempt)
    ).all()
    if rows:
        taken_back = [(row.id, row.attempt + 1) for row in rows]
        connection.execute(delete(attempts).where(tuple_(attempts.c.image_id, attempts.c.attempt).in_(taken_back)))
    moves = Moves()
    for row in rows:
        moves.add(row.job_id, ImageState.RUNNING, ImageState.QUEUED)
    moves.write(connection)
    return [ImageOfJob(row.job_id, row.id) for row in rows]


def _leased(row: Any, job: Any, known: template_use.Known) -> LeasedImage:
    """The image with what holds for it: its own mask or the job's, and its own options over the job's."""
    mask = job.mask if row.mask is None else row.mask
    own = {"mask": mask, "options": merged(job.options, row.options), "trace": job.trace}
    return LeasedImage(**row._asdict() | own | template_use.resolved(mask, known))


def _begin_jobs(db: Database, connection: Connection, job_ids: list[str]) -> dict[str, Any]:
    """Makes jobs ``running`` whose first image was leased; options, mask and trace of all, by id."""
    rows = connection.execute(
        select(jobs.c.id, jobs.c.state, jobs.c.options, jobs.c.mask, jobs.c.trace).where(jobs.c.id.in_(job_ids))
    ).all()
    for job_id in sorted(row.id for row in rows if row.state == JobState.QUEUED):
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == JobState.QUEUED)
            .values(state=JobState.RUNNING, started_at=db.now())
        )
    return {row.id: row for row in rows}


def _lock_held(db: Database, token: str, image_ids: list[str] | None = None) -> CTE:
    """The ids of images that a token holds, locked in the order that all transactions keep."""
    query = select(images.c.id).where(images.c.lease_token == token, images.c.state == ImageState.RUNNING)
    if image_ids is not None:
        query = query.where(bulk.among(db, images.c.id, image_ids))
    return query.order_by(images.c.id).with_for_update(key_share=True).cte("held")


def _finish(db: Database, token: str, outcomes: list[Outcome], max_attempts: int) -> Any:
    """The one statement that ends images: a compare-and-set on the token, for the whole batch."""
    said = _said(db, outcomes)
    again = and_(said.c.retry, images.c.attempt < max_attempts)
    waits = {attempt: db.after(_wait_s(attempt)) for attempt in range(1, max_attempts)}
    due = case(waits, value=images.c.attempt, else_=images.c.available_at) if waits else images.c.available_at
    held = _lock_held(db, token, [outcome.image_id for outcome in outcomes])
    finished = (
        update(images)
        .where(images.c.id == said.c.image_id, images.c.id.in_(select(held.c.id)))
        .values(
            state=case((again, ImageState.QUEUED.value), else_=said.c.state),
            lease_token=None,
            lease_expires_at=None,
            published_at=None,
            available_at=case((again, due), else_=images.c.available_at),
            finished_at=case((again, None), else_=db.now()),
            tiles_done=case((again, 0), else_=said.c.tiles_done),
            tiles_total=case((again, None), else_=func.coalesce(images.c.tiles_total, said.c.tiles_done)),
            result_key=said.c.result_key,
            content_type=said.c.content_type,
            # Cast, because to Postgres a column of VALUES that is NULL throughout is text.
            width=func.coalesce(cast(said.c.width, Integer), images.c.width),
            height=func.coalesce(cast(said.c.height, Integer), images.c.height),
            error_code=case((again, None), else_=said.c.error_code),
            error_detail=case((again, None), else_=said.c.error_detail),
            record=said.c.record,
        )
        .returning(*outbox.ENDED_IMAGE, images.c.tiles_done)
    )
    if db.on_postgres:
        # SQLite returns columns of the table that it changes, and of no other.
        told = outbox.select_listeners().subquery("told")
        finished = finished.where(told.c.job_id == images.c.job_id).returning(
            told.c.endpoint_id, told.c.events, told.c.total
        )
    return finished


def _ended(row: Any, outcome: Outcome) -> audit.Event:
    """What the audit log keeps of an image's end: hashes in and out, method and template."""
    record = outcome.record
    data = {
        "name": row.name,
        "attempt": row.attempt,
        "sha256": record.get("sha256", {}),
        "method": record.get("method"),
        "template": record.get("template"),
        "error_code": row.error_code,
    }
    actor = f"worker:{record.get('worker', '')}"[:250]
    return audit.Event(row.tenant_id, f"image.{row.state}", actor, row.job_id, row.id, data)


def _said(db: Database, outcomes: list[Outcome]) -> CTE:
    """The outcomes as rows of a statement."""
    for outcome in outcomes:
        if outcome.state not in ENDED - {ImageState.CANCELED}:
            raise ValueError(f"A worker cannot end an image as {outcome.state}.")
    rows = [
        (
            outcome.image_id,
            outcome.state.value,
            outcome.retry and outcome.state is ImageState.FAILED,
            outcome.result_key,
            outcome.content_type,
            outcome.width,
            outcome.height,
            outcome.tiles_done,
            outcome.error_code,
            outcome.error_detail,
            outcome.record,
        )
        for outcome in outcomes
    ]
    columns: dict[str, TypeEngine[Any]] = {
        "image_id": Text(),
        "state": Text(),
        "retry": Boolean(),
        "result_key": Text(),
        "content_type": Text(),
        "width": Integer(),
        "height": Integer(),
        "tiles_done": Integer(),
        "error_code": Text(),
        "error_detail": Text(),
        "record": JSON_DOCUMENT,
    }
    return bulk.given_rows(db, "said", columns, rows)


def _wait_s(attempt: int) -> float:
    """Seconds to wait after this attempt failed."""
    # The exponent is bounded so that a large attempt number does not overflow.
    return min(_FIRST_WAIT_S * 2.0 ** min(attempt - 1, 16), _LONGEST_WAIT_S) * random.uniform(1.0, 1.5)

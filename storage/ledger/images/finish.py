"""How images end: by what their workers say, fenced by the lease's token, with all that follows in one transaction."""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    Connection,
    Integer,
    Text,
    Update,
    and_,
    case,
    cast,
    func,
    select,
    update,
)
from sqlalchemy.types import TypeEngine

from storage.database import Database
from storage.ledger import bulk
from storage.ledger.images.leases import lock_held
from storage.ledger.jobs.counting import Moves
from storage.ledger.operations import audit
from storage.ledger.webhooks import outbox
from storage.records import ENDED, ImageState, Outcome
from storage.tables import JSON_DOCUMENT, attempts, images, job_deltas, webhook_outbox

#: Waits after a transient failure, in seconds: they double up to the longest, and are up to a half longer by chance.
_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 300.0


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


def _finish(db: Database, token: str, outcomes: list[Outcome], max_attempts: int) -> Any:
    """The one statement that ends images: a compare-and-set on the token, for the whole batch."""
    said = _said(db, outcomes)
    again = and_(said.c.retry, images.c.attempt < max_attempts)
    waits = {attempt: db.after(_wait_s(attempt)) for attempt in range(1, max_attempts)}
    due = case(waits, value=images.c.attempt, else_=images.c.available_at) if waits else images.c.available_at
    held = lock_held(db, token, [outcome.image_id for outcome in outcomes])
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

"""Ends images as their workers report it, fenced by the lease's token, in one transaction with all that follows."""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import CTE, BigInteger, Boolean, Integer, Row, Text, and_, case, cast, func
from sqlalchemy.types import TypeEngine

from storage.database import Database
from storage.ledger import bulk
from storage.ledger.images.doubt import doubt_of
from storage.ledger.images.leases import held_by
from storage.ledger.lifecycle.images import AttemptEnd, Branch, move_images
from storage.ledger.lifecycle.transitions import BACK_OFF, WORKER_ENDS
from storage.ledger.operations import audit
from storage.records import ENDED, WITH_RESULT, ImageState, Outcome, Work
from storage.tables import JSON_DOCUMENT, images

#: Backoff after a transient failure, in seconds: doubles up to the longest, with up to a half of jitter.
_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 300.0
#: Stages of an image in which a device works on it.
_DEVICE_STAGES = ("network", "unblend")


def finish_images(db: Database, token: str, outcomes: list[Outcome], *, max_attempts: int) -> set[str]:
    """Ends images that the token still holds, or queues them for another attempt (``Outcome.retry``).

    Returns the ids of the images that the token held. The same transaction writes counts, attempts and events.
    """
    outcomes_by_id = {outcome.image_id: outcome for outcome in outcomes}
    if not outcomes_by_id:
        return set()

    def attempt_end(row: Row[Any]) -> AttemptEnd:
        outcome = outcomes_by_id[row.id]
        return AttemptEnd(outcome.state.value, outcome.error_code, outcome.error_detail)

    given = _given(db, list(outcomes_by_id.values()))
    with db.write() as connection:
        rows = move_images(
            db,
            connection,
            _branches(db, given, max_attempts),
            held_by(token),
            bulk.in_array(db, images.c.id, list(outcomes_by_id)),
            given=images.c.id == given.c.image_id,
            attempt_end=attempt_end,
            audit_entry=lambda row: _entry(row, outcomes_by_id[row.id]),
            work=lambda row: _work(outcomes_by_id[row.id]),
        )
        return {row.id for row in rows}


def _branches(db: Database, given: CTE, max_attempts: int) -> list[Branch]:
    """Back to the queue for a transient failure with attempts left, else the end that the worker reports."""
    results = {
        "result_key": given.c.result_key,
        "result_sha256": given.c.result_sha256,
        "result_bytes": cast(given.c.result_bytes, BigInteger),
        "result_crc32": cast(given.c.result_crc32, BigInteger),
        "destination_url": given.c.destination_url,
        "content_type": given.c.content_type,
        # Cast, because to Postgres a column of VALUES that is NULL throughout is text.
        "width": func.coalesce(cast(given.c.width, Integer), images.c.width),
        "height": func.coalesce(cast(given.c.height, Integer), images.c.height),
        "record": given.c.record,
        "doubt": given.c.doubt,
    }
    waits = {attempt: db.after(_wait_s(attempt)) for attempt in range(1, max_attempts)}
    due = case(waits, value=images.c.attempt, else_=images.c.available_at) if waits else images.c.available_at
    ended = {
        "tiles_done": given.c.tiles_done,
        "tiles_total": func.coalesce(images.c.tiles_total, given.c.tiles_done),
        "error_code": given.c.error_code,
        "error_detail": given.c.error_detail,
    }
    again = and_(given.c.retry, images.c.attempt < max_attempts)
    return [
        Branch(transitions=(BACK_OFF,), when=again, values={**results, "available_at": due}),
        Branch(transitions=WORKER_ENDS, state=given.c.state, values={**results, **ended}),
    ]


def _entry(row: Any, outcome: Outcome) -> audit.Event:
    """The entry of an image's end in the audit log: hashes of source and result, method and template, work."""
    record = outcome.record
    data = {
        "name": row.name,
        "attempt": row.attempt,
        "sha256": {} if record.sha256 is None else record.sha256.document(),
        "method": record.method,
        "template": record.template,
        "error_code": row.error_code,
    }
    if row.state in WITH_RESULT:
        data["work"] = vars(_work(outcome))
    actor = f"worker:{record.worker or ''}"[:250]
    return audit.Event(row.tenant_id, f"image.{row.state}", actor, row.job_id, row.id, data)


def _work(outcome: Outcome) -> Work:
    seconds = outcome.record.seconds or {}
    return Work(
        images=1,
        pixels=(outcome.width or 0) * (outcome.height or 0),
        bytes=outcome.record.bytes or 0,
        device_ms=round(1000 * sum(seconds.get(stage, 0.0) for stage in _DEVICE_STAGES)),
    )


def _given(db: Database, outcomes: list[Outcome]) -> CTE:
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
            outcome.record.sha256.result if outcome.record.sha256 is not None else None,
            outcome.result_bytes,
            outcome.result_crc32,
            outcome.destination_url,
            outcome.content_type,
            outcome.width,
            outcome.height,
            outcome.tiles_done,
            outcome.error_code,
            outcome.error_detail,
            outcome.record.document(),
            doubt_of(outcome.record),
        )
        for outcome in outcomes
    ]
    columns: dict[str, TypeEngine[Any]] = {
        "image_id": Text(),
        "state": Text(),
        "retry": Boolean(),
        "result_key": Text(),
        "result_sha256": Text(),
        "result_bytes": BigInteger(),
        "result_crc32": BigInteger(),
        "destination_url": Text(),
        "content_type": Text(),
        "width": Integer(),
        "height": Integer(),
        "tiles_done": Integer(),
        "error_code": Text(),
        "error_detail": Text(),
        "record": JSON_DOCUMENT,
        "doubt": Integer(),
    }
    return bulk.given_rows(db, "outcomes", columns, rows)


def _wait_s(attempt: int) -> float:
    """Backoff in seconds after this attempt."""
    # The exponent is bounded so that a large attempt number does not overflow.
    return min(_FIRST_WAIT_S * 2.0 ** min(attempt - 1, 16), _LONGEST_WAIT_S) * random.uniform(1.0, 1.5)

"""Makes deliveries of the outbox's rows, numbered by endpoint and job, with many images of a large job in one.

The relay locks an endpoint's row, so that one process at a time numbers its deliveries, without gaps and doubles. One
transaction deletes a row of the outbox and writes its deliveries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select

from cleanplate.base.documents import JsonObject
from storage.database import Database
from storage.ledger import bulk
from storage.records import BATCH_EVENT, DeliveryState
from storage.tables import jobs, new_id, webhook_deliveries, webhook_endpoints, webhook_outbox

#: Outbox rows in one transaction.
_BATCH = 500
#: Bytes of the images in one delivery, so that the whole stays under the 20 kB that receivers accept.
_PAYLOAD_BYTES = 16_000

#: Endpoint and job: what deliveries are numbered by.
_Channel = tuple[str, str | None]


def relay_events(db: Database) -> int:
    """Makes deliveries of the outbox's rows; returns their number."""
    total = 0
    while True:
        with db.write() as connection:
            taken = _collect_batch(db, connection)
        total += taken
        if taken < _BATCH:
            return total


def has_urgent_events(db: Database) -> bool:
    """Whether the outbox holds an event that is not batched: a job's end, or an image of a small job."""
    query = select(webhook_outbox.c.id).where(~webhook_outbox.c.together).limit(1)
    with db.read() as connection:
        return connection.scalar(query) is not None


def last_sequences(connection: Connection, channels: Iterable[_Channel]) -> dict[_Channel, int]:
    """The highest number so far, by endpoint and job."""
    channels = list(channels)
    job_ids = sorted({job_id for _, job_id in channels if job_id is not None})
    rows = connection.execute(
        select(
            webhook_deliveries.c.endpoint_id,
            webhook_deliveries.c.job_id,
            func.max(webhook_deliveries.c.sequence).label("last"),
        )
        .where(
            webhook_deliveries.c.endpoint_id.in_(sorted({endpoint_id for endpoint_id, _ in channels})),
            or_(webhook_deliveries.c.job_id.in_(job_ids), webhook_deliveries.c.job_id.is_(None)),
        )
        .group_by(webhook_deliveries.c.endpoint_id, webhook_deliveries.c.job_id)
    )
    return {(row.endpoint_id, row.job_id): row.last for row in rows}


def _collect_batch(db: Database, connection: Connection) -> int:
    waiting = select(webhook_outbox.c.endpoint_id).order_by(webhook_outbox.c.id).limit(_BATCH)
    named = sorted(set(connection.scalars(waiting)))
    if not named:
        return 0
    locked = connection.execute(
        select(webhook_endpoints.c.id, webhook_endpoints.c.disabled_at)
        .where(webhook_endpoints.c.id.in_(named))
        .order_by(webhook_endpoints.c.id)
        .with_for_update(key_share=True)
    )
    # Nothing is posted to a disabled endpoint: what it misses is kept as failed, to be recovered.
    states = {row.id: DeliveryState.PENDING if row.disabled_at is None else DeliveryState.FAILED for row in locked}
    # Read after the lock: another process may have taken rows before it.
    rows = connection.execute(
        select(webhook_outbox)
        .where(webhook_outbox.c.endpoint_id.in_(named))
        .order_by(webhook_outbox.c.id)
        .limit(_BATCH)
    ).all()
    living = _living_jobs(connection, {row.job_id for row in rows if row.job_id is not None})
    channels: dict[_Channel, list[Any]] = {}
    for row in rows:
        if row.endpoint_id in states and (row.job_id is None or row.job_id in living):
            channels.setdefault((row.endpoint_id, row.job_id), []).append(row)
    numbers = last_sequences(connection, channels) if channels else {}
    made = []
    for channel, rows_of_channel in channels.items():
        for number, payload in enumerate(_payloads(rows_of_channel), numbers.get(channel, 0) + 1):
            made.append(
                {
                    "id": new_id("evt"),
                    "endpoint_id": channel[0],
                    "job_id": channel[1],
                    "event_type": payload["type"],
                    "sequence": number,
                    "payload": {**payload, "sequence": number},
                    "state": states[channel[0]],
                }
            )
    if made:
        bulk.insert_rows(db, connection, webhook_deliveries, made, next_attempt_at=db.now(), created_at=db.now())
    connection.execute(delete(webhook_outbox).where(webhook_outbox.c.id.in_([row.id for row in rows])))
    return len(rows)


def _living_jobs(connection: Connection, job_ids: set[str]) -> set[str]:
    """Those of the jobs that exist, locked against deletion until the transaction ends."""
    query = select(jobs.c.id).where(jobs.c.id.in_(sorted(job_ids))).order_by(jobs.c.id)
    return set(connection.scalars(query.with_for_update(read=True, key_share=True)))


def _payloads(rows: Iterable[Any]) -> Iterator[JsonObject]:
    """The payloads of the deliveries made of one channel's rows, in their order."""
    gathered: list[JsonObject] = []
    size = 0
    for row in rows:
        for event in row.events:
            length = len(json.dumps(event, ensure_ascii=False).encode())
            if gathered and (not row.together or size + length > _PAYLOAD_BYTES):
                yield _together(gathered)
                gathered, size = [], 0
            if row.together:
                gathered.append(event)
                size += length
            else:
                yield event
    if gathered:
        yield _together(gathered)


def _together(events: list[JsonObject]) -> JsonObject:
    images = [
        {"type": event["type"], "timestamp": event["timestamp"]}
        | {name: value for name, value in event["data"].items() if name != "job_id"}
        for event in events
    ]
    data = {"job_id": events[0]["data"]["job_id"], "images": images}
    return {"type": BATCH_EVENT, "timestamp": events[-1]["timestamp"], "data": data}

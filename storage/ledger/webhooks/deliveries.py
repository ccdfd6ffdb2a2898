"""Deliveries of events to endpoints: a sender claims one, posts it, and records the answer.

If a sender dies, another one takes over when the claim expires. So a receiver may get an event twice, under the same
id, and never zero times. A delivery waits for the earlier ones of its job. A delivery that has failed a few times no
longer holds the others back, so that one event that a receiver cannot take does not stop a job's events for a day.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    case,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)

from storage.database import Database
from storage.errors import NotFound, WebhookDisabled
from storage.ledger import bulk
from storage.ledger.tenants.idempotency import Done, Once, make_once
from storage.ledger.webhooks import outbox
from storage.ledger.webhooks.endpoints import queued_once
from storage.records import (
    BATCH_EVENT,
    PING_EVENT,
    Delivery,
    DeliveryAttempt,
    DeliveryRecord,
    DeliveryState,
    EventFilter,
)
from storage.tables import webhook_attempts, webhook_deliveries, webhook_endpoints
from storage.tables.columns import ColumnValues

#: The longest wait that a receiver may ask for, in seconds.
_LONGEST_RETRY_AFTER_S = 24 * 3600.0
_TEXT_LENGTH = 500
#: Deliveries that one call recovers.
MOST_RECOVERED = 10_000
#: Attempts during which a delivery holds back those after it.
_HOLDS_BACK = 3


class FailedDeliveries(NamedTuple):
    """Deliveries of an endpoint that failed for good."""

    number: int
    #: When the event of the first one happened.
    since: datetime


_columns = webhook_deliveries.c
_tries = webhook_deliveries.c.attempts - webhook_deliveries.c.attempts_before


def claim_deliveries(
    db: Database,
    *,
    limit: int,
    claim_s: float,
    each: int | None = None,
    busy: Collection[str] = (),
    busy_tenants: Collection[str] = (),
) -> list[Delivery]:
    """Claims deliveries that are due, the longest due first, for ``claim_s`` seconds.

    ``each``: most of one endpoint, so that a slow receiver leaves room for others; ``busy``, ``busy_tenants``:
    endpoints to skip, by id and by tenant.
    """
    of_busy_tenants = select(webhook_endpoints.c.id).where(webhook_endpoints.c.tenant_id.in_(sorted(busy_tenants)))
    skipped = [_columns.endpoint_id.not_in(of_busy_tenants)] if busy_tenants else []
    before = webhook_deliveries.alias("before")
    held_back = exists().where(
        before.c.endpoint_id == _columns.endpoint_id,
        before.c.job_id == _columns.job_id,
        before.c.sequence < _columns.sequence,
        # An expression, which no partial index matches: Postgres would read all that waits for each that waits.
        func.coalesce(before.c.state, "", type_=String()) == literal_column(f"'{DeliveryState.PENDING.value}'"),
        before.c.attempts - before.c.attempts_before < _HOLDS_BACK,
    )
    due = (
        select(_columns.id, _columns.endpoint_id, _columns.next_attempt_at)
        .where(
            _columns.state == DeliveryState.PENDING,
            _columns.next_attempt_at <= db.now(),
            _columns.endpoint_id.not_in(sorted(busy)),
            *skipped,
            ~held_back,
        )
        .order_by(_columns.next_attempt_at, _columns.id)
        .limit(limit if each is None else 8 * limit)
        .with_for_update(key_share=True, skip_locked=True, of=webhook_deliveries)
        .cte("due")
    )
    oldest = (due.c.next_attempt_at, due.c.id)
    place = func.row_number().over(partition_by=due.c.endpoint_id, order_by=oldest)
    placed = select(due, place.label("place")).cte("placed")
    chosen = select(placed.c.id).order_by(placed.c.next_attempt_at, placed.c.id).limit(limit)
    if each is not None:
        chosen = chosen.where(placed.c.place <= each)
    with db.write() as connection:
        claimed = _read(db, connection, chosen)
        if claimed:
            these = bulk.in_array(db, _columns.id, [delivery.id for delivery in claimed])
            connection.execute(update(webhook_deliveries).where(these).values(next_attempt_at=db.after(claim_s)))
        return claimed


def _read(db: Database, connection: Connection, chosen: Select[str]) -> list[Delivery]:
    """The deliveries with URL and secrets, the longest due first."""
    still = webhook_endpoints.c.previous_secret_expires_at > db.now()
    previous = case((still, webhook_endpoints.c.previous_secret))
    rows = connection.execute(
        select(
            _columns.id,
            _columns.endpoint_id,
            webhook_endpoints.c.tenant_id,
            _columns.job_id,
            webhook_endpoints.c.url,
            webhook_endpoints.c.secret,
            previous.label("previous"),
            _columns.event_type,
            _columns.payload,
            _columns.attempts,
        )
        .join(webhook_endpoints, webhook_endpoints.c.id == _columns.endpoint_id)
        .where(_columns.id.in_(chosen))
        .order_by(_columns.next_attempt_at, _columns.id)
    )
    deliveries = []
    for row in rows:
        fields = row._asdict()
        pair = (fields.pop("secret"), fields.pop("previous"))
        deliveries.append(Delivery(**fields, secrets=tuple(secret for secret in pair if secret is not None)))
    return deliveries


def record_delivery(
    db: Database,
    delivery_id: str,
    *,
    status: int | None,
    error: str | None,
    excerpt: str | None,
    seconds: float,
    schedule_s: tuple[float, ...],
    retry_after_s: float | None,
    gone: bool,
    disable_after_s: float,
) -> DeliveryState:
    """Records an attempt and decides what follows; returns the delivery's new state.

    ``status``: the receiver's answer, 2xx delivers. Otherwise attempt n is followed by another after
    ``schedule_s[n - 1]`` seconds, or ``retry_after_s`` if that is longer; after the last the delivery has failed.
    ``gone``, or ``disable_after_s`` of failures without one success, disables the endpoint, fails all that waits for
    it, and tells the tenant's others. A delivery that was deleted with its endpoint counts as failed.
    """
    with db.write() as connection:
        target = _lock(db, connection, delivery_id, disable_after_s)
        if target is None:
            return DeliveryState.FAILED
        attempt, tries, state = target.attempts + 1, target.tries + 1, DeliveryState(target.state)
        changes: ColumnValues = {"attempts": attempt}
        arrived = status is not None and 200 <= status < 300
        if arrived:
            state = DeliveryState.DELIVERED
            changes["delivered_at"] = db.now()
        elif state is not DeliveryState.PENDING:
            pass  # a second sender's result changes neither success nor failure
        elif gone or tries > len(schedule_s):
            state = DeliveryState.FAILED
        else:
            wait_s = max(schedule_s[tries - 1], min(retry_after_s or 0.0, _LONGEST_RETRY_AFTER_S))
            changes["next_attempt_at"] = db.after(wait_s * random.uniform(1.0, 1.1))
        batch = bulk.StatementBatch(db)
        batch.add(
            insert(webhook_attempts).values(
                delivery_id=delivery_id,
                attempt=attempt,
                at=db.now(),
                status=status,
                error=error[:_TEXT_LENGTH] if error is not None else None,
                excerpt=excerpt[:_TEXT_LENGTH] if excerpt is not None else None,
                seconds=seconds,
            )
        )
        batch.add(update(webhook_deliveries).where(_columns.id == delivery_id).values(**changes, state=state))
        if not gone and arrived != (target.failing_since is None):
            since = None if arrived else db.now()
            changed = update(webhook_endpoints).where(webhook_endpoints.c.id == target.endpoint_id)
            batch.add(changed.values(failing_since=since))
        batch.write(connection)
        if not arrived and (gone or target.too_long):
            reason = "The receiver answered 410 Gone."
            if not gone:
                reason = f"No post has succeeded since {target.failing_since.strftime('%Y-%m-%d %H:%M UTC')}."
            _disable(db, connection, target, reason)
            return DeliveryState.FAILED if state is DeliveryState.PENDING else state
        return state


def redeliver(
    db: Database, tenant_id: str, endpoint_id: str, delivery_id: str, *, once: Once | None = None
) -> Done[str]:
    """Queues a delivery again, under the same id, which it returns; its schedule starts anew.

    Raises:
        NotFound: no such delivery of this tenant's endpoint.
        WebhookDisabled: nothing is posted to the endpoint.
    """

    def make(connection: Connection) -> str:
        _lock_enabled(connection, tenant_id, endpoint_id)
        moved = connection.execute(
            update(webhook_deliveries)
            .where(_columns.id == delivery_id, _columns.endpoint_id == endpoint_id)
            .values(state=DeliveryState.PENDING, next_attempt_at=db.now(), attempts_before=_columns.attempts)
        ).rowcount
        if not moved:
            raise NotFound("delivery", delivery_id)
        return delivery_id

    return queued_once(db, tenant_id, once, make)


def recover(
    db: Database,
    tenant_id: str,
    endpoint_id: str,
    *,
    since: datetime | None,
    after: str | None,
    once: Once | None = None,
) -> Done[tuple[int, bool]]:
    """Queues an endpoint's failed deliveries again, in their order and under their ids.

    ``since``: those made at this time or later; ``after``: those behind this delivery. One call queues up to
    ``MOST_RECOVERED``; returns how many, and whether there are more. A repeat of ``once`` gets the first numbers again.

    Raises:
        NotFound: no such endpoint of this tenant.
        WebhookDisabled: nothing is posted to it.
    """
    query = select(_columns.id).where(_columns.endpoint_id == endpoint_id, _columns.state == DeliveryState.FAILED)
    if since is not None:
        query = query.where(_columns.created_at >= since)
    if after is not None:
        query = query.where(_columns.id > after)

    def make(connection: Connection) -> tuple[int, bool]:
        _lock_enabled(connection, tenant_id, endpoint_id)
        chosen = list(connection.scalars(query.order_by(_columns.id).limit(MOST_RECOVERED + 1)))
        named = chosen[:MOST_RECOVERED]
        for chunk in bulk.chunks(named):
            connection.execute(
                update(webhook_deliveries)
                .where(bulk.in_array(db, _columns.id, chunk))
                .values(state=DeliveryState.PENDING, next_attempt_at=db.now(), attempts_before=_columns.attempts)
            )
        return len(named), len(chosen) > len(named)

    return make_once(
        db,
        tenant_id,
        once,
        make=make,
        answer_of=lambda made: {"queued": made[0], "more": made[1]},
        again=lambda _, stored: (stored["queued"], stored["more"]),
    )


def failing_endpoints(db: Database, tenant_id: str) -> dict[str, FailedDeliveries]:
    """A tenant's endpoints with deliveries that failed for good, by id."""
    query = (
        select(_columns.endpoint_id, func.count().label("number"), func.min(_columns.created_at).label("since"))
        .join(webhook_endpoints, webhook_endpoints.c.id == _columns.endpoint_id)
        .where(webhook_endpoints.c.tenant_id == tenant_id, _columns.state == DeliveryState.FAILED)
        .group_by(_columns.endpoint_id)
    )
    with db.read() as connection:
        rows = connection.execute(query).all()
    return {row.endpoint_id: FailedDeliveries(row.number, row.since) for row in rows}


def list_deliveries(
    db: Database,
    tenant_id: str,
    endpoint_id: str,
    *,
    limit: int,
    after: str | None,
    state: DeliveryState | None = None,
    job_id: str | None = None,
    event: str | None = None,
) -> list[DeliveryRecord]:
    """An endpoint's deliveries with their attempts, newest first; ``after``: the last id seen. Raises NotFound.

    ``event``: of this type, or of a kind (``image.*``).
    """
    conditions = [_columns.endpoint_id == endpoint_id]
    if after is not None:
        conditions.append(_columns.id < after)
    if state is not None:
        conditions.append(_columns.state == state)
    newest: ColumnElement[Any] = _columns.id
    if job_id is not None:
        conditions.append(_columns.job_id == job_id)
        if event is not None:
            conditions.append(_columns.event_type.in_(_types(event)))
        # An expression: in the order of ids Postgres would read what other jobs have had since.
        newest = _columns.id + literal_column("''")
    owned = select(webhook_endpoints.c.id).where(
        webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.tenant_id == tenant_id
    )
    with db.read() as connection:
        if connection.execute(owned).first() is None:
            raise NotFound("webhook endpoint", endpoint_id)
        if event is not None and job_id is None:
            conditions = [bulk.in_array(db, _columns.id, _newest_of(connection, conditions, event, limit))]
        query = select(webhook_deliveries).where(*conditions).order_by(newest.desc()).limit(limit)
        return _with_log(connection, connection.execute(query).all())


def _newest_of(connection: Connection, conditions: list[ColumnElement[bool]], event: str, limit: int) -> list[str]:
    """The newest ids that fulfil the conditions, of each type by itself: of several Postgres would read all."""
    ids: list[str] = []
    for name in _types(event):
        # A constant: Postgres would else take any type for a common one.
        of_type = select(_columns.id).where(*conditions, _columns.event_type == literal_column(f"'{name}'"))
        ids += connection.scalars(of_type.order_by(_columns.id.desc()).limit(limit))
    return sorted(ids)[-limit:]


def _types(event: str) -> list[str]:
    """The known types of a kind (``image.*``), or this type alone, where it is known."""
    known = [*(name.value for name in EventFilter if not name.endswith("*")), BATCH_EVENT, PING_EVENT]
    return [name for name in known if outbox.wants([event], name)]


def get_delivery(db: Database, tenant_id: str, endpoint_id: str, delivery_id: str) -> DeliveryRecord:
    """One delivery with all its attempts. Raises NotFound."""
    query = (
        select(webhook_deliveries)
        .join(webhook_endpoints, webhook_endpoints.c.id == _columns.endpoint_id)
        .where(
            _columns.id == delivery_id,
            webhook_endpoints.c.id == endpoint_id,
            webhook_endpoints.c.tenant_id == tenant_id,
        )
    )
    with db.read() as connection:
        rows = connection.execute(query).all()
        if not rows:
            raise NotFound("delivery", delivery_id)
        return _with_log(connection, rows)[0]


def _with_log(connection: Connection, rows: Collection[Row[Any]]) -> list[DeliveryRecord]:
    log: dict[str, list[DeliveryAttempt]] = {row.id: [] for row in rows}
    attempts = connection.execute(
        select(webhook_attempts)
        .where(webhook_attempts.c.delivery_id.in_(list(log)))
        .order_by(webhook_attempts.c.delivery_id, webhook_attempts.c.attempt)
    )
    for attempt in attempts:
        fields = attempt._asdict()
        log[fields.pop("delivery_id")].append(DeliveryAttempt(**fields))
    return [
        DeliveryRecord(
            id=row.id,
            endpoint_id=row.endpoint_id,
            job_id=row.job_id,
            event_type=row.event_type,
            sequence=row.sequence,
            payload=row.payload,
            state=DeliveryState(row.state),
            created_at=row.created_at,
            next_attempt_at=row.next_attempt_at if row.state == DeliveryState.PENDING else None,
            delivered_at=row.delivered_at,
            log=log[row.id],
        )
        for row in rows
    ]


def _lock_enabled(connection: Connection, tenant_id: str, endpoint_id: str) -> None:
    """Locks a tenant's endpoint. Raises NotFound, WebhookDisabled."""
    endpoint = connection.execute(
        select(webhook_endpoints.c.id, webhook_endpoints.c.disabled_at)
        .where(webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.tenant_id == tenant_id)
        .with_for_update(key_share=True)
    ).first()
    if endpoint is None:
        raise NotFound("webhook endpoint", endpoint_id)
    if endpoint.disabled_at is not None:
        raise WebhookDisabled(endpoint_id)


def _lock(db: Database, connection: Connection, delivery_id: str, disable_after_s: float) -> Row[Any] | None:
    """Locks the endpoint and then its delivery, as deleting an endpoint does; returns columns of both."""
    return connection.execute(
        select(
            webhook_endpoints.c.id.label("endpoint_id"),
            webhook_endpoints.c.tenant_id,
            webhook_endpoints.c.url,
            webhook_endpoints.c.failing_since,
            (webhook_endpoints.c.failing_since <= db.after(-disable_after_s)).label("too_long"),
            _columns.state,
            _columns.attempts,
            _tries.label("tries"),
        )
        # Rows are locked in the order in which their tables are named here.
        .select_from(webhook_endpoints.join(webhook_deliveries, _columns.endpoint_id == webhook_endpoints.c.id))
        .where(_columns.id == delivery_id)
        .with_for_update(key_share=True)
    ).first()


def _disable(db: Database, connection: Connection, endpoint: Row[Any], reason: str) -> None:
    disabled = connection.execute(
        update(webhook_endpoints)
        .where(webhook_endpoints.c.id == endpoint.endpoint_id, webhook_endpoints.c.disabled_at.is_(None))
        .values(disabled_at=db.now(), disabled_reason=reason)
    ).rowcount
    waiting = (
        select(_columns.id)
        .where(_columns.endpoint_id == endpoint.endpoint_id, _columns.state == DeliveryState.PENDING)
        .order_by(_columns.id)
        .with_for_update(key_share=True)
        .cte("waiting")
    )
    connection.execute(
        update(webhook_deliveries).where(_columns.id.in_(select(waiting.c.id))).values(state=DeliveryState.FAILED)
    )
    if disabled:
        outbox.webhook_disabled(connection, endpoint, connection.execute(select(db.now())).scalar_one(), reason)

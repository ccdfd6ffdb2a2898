"""Webhook endpoints, and the deliveries of events to them.

A delivery is claimed for a while, posted by the claimer, and its answer recorded; a claimer that dies is followed by
another when the claim ends, so a receiver may see an event twice, under the same id, and never zero times.
"""

from __future__ import annotations

import base64
import random
import secrets
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from storage.database import Database
from storage.errors import NotFound
from storage.records import Delivery, DeliveryState, WebhookEndpoint
from storage.tables import jobs, new_id, webhook_attempts, webhook_deliveries, webhook_endpoints

#: The longest wait that a receiver may ask for, in seconds.
_LONGEST_RETRY_AFTER_S = 24 * 3600.0
_TEXT_LENGTH = 500


def create_endpoint(db: Database, tenant_id: str, url: str) -> tuple[WebhookEndpoint, str]:
    """A new endpoint, and the secret that signs what is posted to it: ``whsec_`` and base64 of 32 random bytes."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    with db.write() as connection:
        row = connection.execute(
            insert(webhook_endpoints)
            .values(id=new_id("whe"), tenant_id=tenant_id, url=url, secret=secret, created_at=db.now())
            .returning(webhook_endpoints)
        ).one()
    return _endpoint(row), secret


def list_endpoints(db: Database, tenant_id: str) -> list[WebhookEndpoint]:
    """A tenant's endpoints, oldest first."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.tenant_id == tenant_id).order_by(webhook_endpoints.c.id)
    with db.read() as connection:
        return [_endpoint(row) for row in connection.execute(query)]


def delete_endpoint(db: Database, tenant_id: str, endpoint_id: str) -> None:
    """Deletes an endpoint and its deliveries; its jobs go on without it. Raises NotFound."""
    with db.write() as connection:
        found = connection.execute(
            select(webhook_endpoints.c.id)
            .where(webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.tenant_id == tenant_id)
            .with_for_update()
        ).first()
        if found is None:
            raise NotFound("webhook endpoint", endpoint_id)
        owning = (
            select(jobs.c.id)
            .where(jobs.c.tenant_id == tenant_id, jobs.c.webhook_endpoint_id == endpoint_id)
            .order_by(jobs.c.id)
            .with_for_update(key_share=True)
            .cte("owning")
        )
        connection.execute(update(jobs).where(jobs.c.id.in_(select(owning.c.id))).values(webhook_endpoint_id=None))
        connection.execute(delete(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id))


def claim_deliveries(db: Database, *, limit: int, claim_s: float) -> list[Delivery]:
    """Deliveries that are due, the longest due first, for the caller alone during ``claim_s`` seconds."""
    with db.write() as connection:
        due = (
            select(webhook_deliveries.c.id)
            .where(
                webhook_deliveries.c.state == DeliveryState.PENDING, webhook_deliveries.c.next_attempt_at <= db.now()
            )
            .order_by(webhook_deliveries.c.next_attempt_at, webhook_deliveries.c.id)
            .limit(limit)
            .with_for_update(key_share=True, skip_locked=True)
            .cte("due")
        )
        claimed = list(
            connection.scalars(
                update(webhook_deliveries)
                .where(webhook_deliveries.c.id.in_(select(due.c.id)))
                .values(next_attempt_at=db.after(claim_s))
                .returning(webhook_deliveries.c.id)
            )
        )
        rows = connection.execute(
            select(
                webhook_deliveries.c.id,
                webhook_deliveries.c.endpoint_id,
                webhook_endpoints.c.url,
                webhook_endpoints.c.secret,
                webhook_deliveries.c.event_type,
                webhook_deliveries.c.payload,
                webhook_deliveries.c.attempts,
            )
            .join(webhook_endpoints, webhook_endpoints.c.id == webhook_deliveries.c.endpoint_id)
            .where(webhook_deliveries.c.id.in_(claimed))
            .order_by(webhook_deliveries.c.id)
        )
        return [Delivery(**row._asdict()) for row in rows]


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
) -> DeliveryState:
    """Writes an attempt down and decides what follows; the delivery's state after it.

    ``status``: the receiver's answer, 2xx delivers. Otherwise attempt n is followed by another after
    ``schedule_s[n - 1]`` seconds, or ``retry_after_s`` if that is longer; after the last the delivery has failed.
    ``gone`` disables the endpoint and fails all that waits for it. A delivery that was deleted with its endpoint counts
    as failed.
    """
    with db.write() as connection:
        endpoint_id = _lock_endpoint_of(connection, delivery_id)
        delivery = connection.execute(
            select(webhook_deliveries.c.state, webhook_deliveries.c.attempts)
            .where(webhook_deliveries.c.id == delivery_id)
            .with_for_update(key_share=True)
        ).first()
        if endpoint_id is None or delivery is None:
            return DeliveryState.FAILED
        attempt = delivery.attempts + 1
        connection.execute(
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
        changes: dict[str, Any] = {"attempts": attempt}
        if status is not None and 200 <= status < 300:
            changes |= {"state": DeliveryState.DELIVERED, "delivered_at": db.now()}
        elif delivery.state != DeliveryState.PENDING:
            pass  # a second claimer's news changes neither success nor failure
        elif gone or attempt > len(schedule_s):
            changes["state"] = DeliveryState.FAILED
        else:
            wait_s = max(schedule_s[attempt - 1], min(retry_after_s or 0.0, _LONGEST_RETRY_AFTER_S))
            changes["next_attempt_at"] = db.after(wait_s * random.uniform(1.0, 1.1))
        connection.execute(update(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id).values(**changes))
        if gone:
            _disable(db, connection, endpoint_id, "The receiver answered 410 Gone.")
        return DeliveryState(changes.get("state", delivery.state))


def _lock_endpoint_of(connection: Connection, delivery_id: str) -> str | None:
    """Locks the endpoint before its delivery, as deleting an endpoint does."""
    endpoint_id = connection.scalar(
        select(webhook_deliveries.c.endpoint_id).where(webhook_deliveries.c.id == delivery_id)
    )
    if endpoint_id is None:
        return None
    return connection.scalar(
        select(webhook_endpoints.c.id).where(webhook_endpoints.c.id == endpoint_id).with_for_update(key_share=True)
    )


def _disable(db: Database, connection: Connection, endpoint_id: str, reason: str) -> None:
    connection.execute(
        update(webhook_endpoints)
        .where(webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.disabled_at.is_(None))
        .values(disabled_at=db.now(), disabled_reason=reason)
    )
    waiting = (
        select(webhook_deliveries.c.id)
        .where(webhook_deliveries.c.endpoint_id == endpoint_id, webhook_deliveries.c.state == DeliveryState.PENDING)
        .order_by(webhook_deliveries.c.id)
        .with_for_update(key_share=True)
        .cte("waiting")
    )
    connection.execute(
        update(webhook_deliveries)
        .where(webhook_deliveries.c.id.in_(select(waiting.c.id)))
        .values(state=DeliveryState.FAILED)
    )


def _endpoint(row: Row[Any]) -> WebhookEndpoint:
    fields = row._asdict()
    del fields["secret"]
    return WebhookEndpoint(**fields)

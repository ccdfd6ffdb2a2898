"""Webhook endpoints: their URLs, filters and secrets."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, literal, select, update

from storage.database import Database
from storage.errors import NotFound, WebhookDisabled
from storage.ledger import bulk
from storage.ledger.operations import audit
from storage.ledger.tenants.idempotency import Done, Once, make_once
from storage.ledger.webhooks.outbox import event
from storage.ledger.webhooks.relay import last_sequences
from storage.records import PING_EVENT, DeliveryState, EventFilter, JobWebhook, WebhookEndpoint
from storage.tables import jobs, new_id, webhook_deliveries, webhook_endpoints
from storage.tables.columns import ColumnValues

#: Filters of an endpoint that names none.
USUAL_EVENTS = (EventFilter.JOBS, EventFilter.IMAGE_FAILED, EventFilter.TEMPLATES, EventFilter.WEBHOOKS)


#: Deliveries that one transaction deletes.
_AT_ONCE = 100


def new_secret() -> str:
    """``whsec_`` and base64 of 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def create_endpoint(
    db: Database,
    tenant_id: str,
    url: str,
    events: Sequence[str] = USUAL_EVENTS,
    *,
    all_jobs: bool = False,
    actor: str = audit.SERVICE,
) -> tuple[WebhookEndpoint, str]:
    """Creates an endpoint, with ``all_jobs`` of every job from now on; returns it with the secret of its posts."""
    return create_endpoint_once(db, tenant_id, None, url, events, all_jobs=all_jobs, actor=actor).made


def create_endpoint_once(
    db: Database,
    tenant_id: str,
    once: Once | None,
    url: str,
    events: Sequence[str] = USUAL_EVENTS,
    *,
    all_jobs: bool = False,
    actor: str = audit.SERVICE,
) -> Done[tuple[WebhookEndpoint, str]]:
    """As :func:`create_endpoint`, for a request that may have an idempotency key.

    A repeat gets the endpoint as it is now. Raises NotFound: it was deleted meanwhile.
    """
    secret = new_secret()

    def make(connection: Connection) -> tuple[WebhookEndpoint, str]:
        row = connection.execute(
            insert(webhook_endpoints)
            .values(
                id=new_id("whe"),
                tenant_id=tenant_id,
                url=url,
                secret=secret,
                events=list(events),
                all_jobs=all_jobs,
                created_at=db.now(),
            )
            .returning(webhook_endpoints)
        ).one()
        _tell_audit(db, connection, row, "created", actor)
        return _endpoint(row), secret

    return _shown_once(db, tenant_id, once, make)


def list_endpoints(db: Database, tenant_id: str) -> list[WebhookEndpoint]:
    """A tenant's endpoints, oldest first."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.tenant_id == tenant_id).order_by(webhook_endpoints.c.id)
    with db.read() as connection:
        return [_endpoint(row) for row in connection.execute(query)]


def get_endpoint(db: Database, tenant_id: str, endpoint_id: str) -> WebhookEndpoint:
    """One endpoint. Raises NotFound."""
    with db.read() as connection:
        row = connection.execute(
            select(webhook_endpoints).where(
                webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.tenant_id == tenant_id
            )
        ).first()
    if row is None:
        raise NotFound("webhook endpoint", endpoint_id)
    return _endpoint(row)


def change_endpoint(
    db: Database,
    tenant_id: str,
    endpoint_id: str,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    all_jobs: bool | None = None,
    enable: bool = False,
    actor: str = audit.SERVICE,
) -> WebhookEndpoint:
    """Changes URL or filters; ``enable`` posts to it again. Raises NotFound."""
    changes: ColumnValues = {}
    if url is not None:
        changes["url"] = url
    if events is not None:
        changes["events"] = list(events)
    if all_jobs is not None:
        changes["all_jobs"] = all_jobs
    if enable:
        changes |= {"disabled_at": None, "disabled_reason": None, "failing_since": None}
    if not changes:
        return get_endpoint(db, tenant_id, endpoint_id)
    with db.write() as connection:
        return _change(db, connection, tenant_id, endpoint_id, changes, done="changed", actor=actor)


def rotate_secret(
    db: Database,
    tenant_id: str,
    endpoint_id: str,
    *,
    keep_s: float,
    once: Once | None = None,
    actor: str = audit.SERVICE,
) -> Done[tuple[WebhookEndpoint, str]]:
    """Replaces the secret; the old one also signs for ``keep_s`` seconds. A repeat of ``once`` gets the present secret.

    Raises NotFound.
    """
    secret = new_secret()
    changes = {
        "previous_secret": webhook_endpoints.c.secret if keep_s > 0 else literal(None),
        "previous_secret_expires_at": db.after(keep_s) if keep_s > 0 else literal(None),
        "secret": secret,
    }

    def make(connection: Connection) -> tuple[WebhookEndpoint, str]:
        return _change(db, connection, tenant_id, endpoint_id, changes, done="secret_rotated", actor=actor), secret

    return _shown_once(db, tenant_id, once, make)


def ping(db: Database, tenant_id: str, endpoint_id: str, *, once: Once | None = None) -> Done[str]:
    """Queues a test delivery, whatever the filters; returns its id. Raises NotFound, WebhookDisabled."""

    def make(connection: Connection) -> str:
        if _lock(connection, tenant_id, endpoint_id).disabled_at is not None:
            raise WebhookDisabled(endpoint_id)
        now = connection.execute(select(db.now())).scalar_one()
        number = last_sequences(connection, [(endpoint_id, None)]).get((endpoint_id, None), 0) + 1
        delivery_id = new_id("evt")
        connection.execute(
            insert(webhook_deliveries).values(
                id=delivery_id,
                endpoint_id=endpoint_id,
                event_type=PING_EVENT,
                sequence=number,
                payload={**event(PING_EVENT, now, {"webhook_id": endpoint_id}), "sequence": number},
                state=DeliveryState.PENDING,
                next_attempt_at=db.now(),
                created_at=db.now(),
            )
        )
        return delivery_id

    return queued_once(db, tenant_id, once, make)


def queued_once(db: Database, tenant_id: str, once: Once | None, make: Callable[[Connection], str]) -> Done[str]:
    """Queues a delivery once; ``make`` returns its id, and so does a repeat."""
    return make_once(
        db,
        tenant_id,
        once,
        make=make,
        answer_of=lambda delivery_id: {"delivery": delivery_id},
        again=lambda _, stored: str(stored["delivery"]),
    )


def delete_endpoint(db: Database, tenant_id: str, endpoint_id: str, *, actor: str = audit.SERVICE) -> None:
    """Deletes an endpoint and its deliveries; its jobs go on without it. Raises NotFound.

    What has been delivered goes first, some at a time: a statement for millions of rows would get no answer in time.
    """
    get_endpoint(db, tenant_id, endpoint_id)
    while _forget_delivered(db, endpoint_id) == _AT_ONCE:
        pass
    with db.write() as connection:
        _lock(connection, tenant_id, endpoint_id)
        owning = (
            select(jobs.c.id)
            .where(jobs.c.tenant_id == tenant_id, jobs.c.webhook_endpoint_id == endpoint_id)
            .order_by(jobs.c.id)
            .with_for_update(key_share=True)
            .cte("owning")
        )
        connection.execute(update(jobs).where(jobs.c.id.in_(select(owning.c.id))).values(webhook_endpoint_id=None))
        row = connection.execute(
            delete(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id).returning(webhook_endpoints)
        ).one()
        _tell_audit(db, connection, row, "deleted", actor)


def _forget_delivered(db: Database, endpoint_id: str) -> int:
    """Deletes some of an endpoint's deliveries that have arrived; how many."""
    some = (
        select(webhook_deliveries.c.id)
        .where(webhook_deliveries.c.endpoint_id == endpoint_id, webhook_deliveries.c.state == DeliveryState.DELIVERED)
        .order_by(webhook_deliveries.c.id)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    with db.write() as connection:
        # Named one by one: a plan for any number of rows would read all deliveries.
        ids = list(connection.scalars(some))
        if ids:
            connection.execute(delete(webhook_deliveries).where(bulk.in_array(db, webhook_deliveries.c.id, ids)))
        return len(ids)


def endpoints_of_all_jobs(connection: Connection, tenant_id: str) -> list[str]:
    """Ids of the tenant's endpoints that every new job names, oldest first."""
    query = select(webhook_endpoints.c.id).where(
        webhook_endpoints.c.tenant_id == tenant_id, webhook_endpoints.c.all_jobs, webhook_endpoints.c.job_id.is_(None)
    )
    return list(connection.scalars(query.order_by(webhook_endpoints.c.id)))


def insert_own_endpoint(
    db: Database, connection: Connection, tenant_id: str, job_id: str, webhook: JobWebhook, *, actor: str
) -> str:
    """Writes the endpoint of one job, in the job's transaction; returns its id."""
    row = connection.execute(
        insert(webhook_endpoints)
        .values(
            id=new_id("whe"),
            tenant_id=tenant_id,
            job_id=job_id,
            url=webhook.url,
            secret=webhook.secret,
            events=list(webhook.events),
            created_at=db.now(),
        )
        .returning(webhook_endpoints)
    ).one()
    _tell_audit(db, connection, row, "created", actor)
    return str(row.id)


def lock_endpoint(connection: Connection, tenant_id: str, endpoint_id: str | None) -> None:
    """Locks a tenant's endpoint against deletion until the transaction ends. Raises NotFound."""
    if endpoint_id is None:
        return
    row = connection.execute(
        select(webhook_endpoints.c.id)
        .where(webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.tenant_id == tenant_id)
        .with_for_update(read=True, key_share=True)
    ).first()
    if row is None:
        raise NotFound("webhook endpoint", endpoint_id)


def _shown_once(
    db: Database,
    tenant_id: str,
    once: Once | None,
    make: Callable[[Connection], tuple[WebhookEndpoint, str]],
) -> Done[tuple[WebhookEndpoint, str]]:
    """Makes an endpoint or its secret once. A repeat gets both as they are now. Raises NotFound: both are gone."""

    def again(connection: Connection, stored: dict[str, Any]) -> tuple[WebhookEndpoint, str]:
        row = connection.execute(
            select(webhook_endpoints).where(
                webhook_endpoints.c.id == stored["id"], webhook_endpoints.c.tenant_id == tenant_id
            )
        ).first()
        if row is None:
            raise NotFound("webhook endpoint", stored["id"])
        return _endpoint(row), row.secret

    return make_once(db, tenant_id, once, make=make, answer_of=lambda made: {"id": made[0].id}, again=again)


def _change(
    db: Database,
    connection: Connection,
    tenant_id: str,
    endpoint_id: str,
    changes: ColumnValues,
    *,
    done: str,
    actor: str,
) -> WebhookEndpoint:
    row = connection.execute(
        update(webhook_endpoints)
        .where(webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.tenant_id == tenant_id)
        .values(**changes)
        .returning(webhook_endpoints)
    ).first()
    if row is None:
        raise NotFound("webhook endpoint", endpoint_id)
    _tell_audit(db, connection, row, done, actor)
    return _endpoint(row)


def _tell_audit(db: Database, connection: Connection, row: Row[Any], done: str, actor: str) -> None:
    # A query can carry the receiver's password.
    data = {"webhook": row.id, "url": row.url.partition("?")[0], "events": list(row.events)}
    audit.append(db, connection, [audit.Event(row.tenant_id, f"webhook.{done}", actor, None, None, data)])


def _lock(connection: Connection, tenant_id: str, endpoint_id: str) -> Row[Any, Any]:
    row = connection.execute(
        select(webhook_endpoints.c.id, webhook_endpoints.c.disabled_at)
        .where(webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.tenant_id == tenant_id)
        .with_for_update()
    ).first()
    if row is None:
        raise NotFound("webhook endpoint", endpoint_id)
    return row


def _endpoint(row: Row[Any]) -> WebhookEndpoint:
    fields = row._asdict()
    for hidden in ("secret", "previous_secret"):
        del fields[hidden]
    return WebhookEndpoint(**fields)

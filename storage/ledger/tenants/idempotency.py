"""Requests with an idempotency key: done once, however often they are sent.

The transaction of the request also writes its answer, and holds the key until it ends, so that a process that dies
leaves no claim behind. On Postgres it holds an advisory lock, and a repeat is refused meanwhile. On SQLite writers
queue up: a repeat waits, and then gets the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, delete, func, insert, select

from cleanplate.base.documents import JsonObject
from storage.database import Database
from storage.errors import IdempotencyKeyBusy, IdempotencyKeyReused
from storage.tables import idempotency_keys

Made = TypeVar("Made")

#: Seconds for which an answer is kept.
KEPT_S = 24 * 3600.0
#: Rows deleted in one transaction.
_BATCH = 1000


@dataclass(frozen=True)
class Once:
    """A request to be done once: its key, and the SHA-256 of its content."""

    key: str
    fingerprint: str


@dataclass(frozen=True)
class Done(Generic[Made]):
    """What a request has made; ``replayed``: an earlier try made it."""

    made: Made
    replayed: bool


def make_once(
    db: Database,
    tenant_id: str,
    once: Once | None,
    *,
    make: Callable[[Connection], Made],
    answer_of: Callable[[Made], dict[str, Any]],
    again: Callable[[Connection, dict[str, Any]], Made],
) -> Done[Made]:
    """Makes something in one transaction, once for each key; without a key, at each call.

    ``answer_of`` is what is stored, of which ``again`` makes the answer to a repeat.

    Raises:
        IdempotencyKeyBusy, IdempotencyKeyReused: as :func:`hold_key`.
    """
    with db.write() as connection:
        stored = None if once is None else hold_key(db, connection, tenant_id, once)
        if stored is not None:
            return Done(again(connection, stored), True)
        made = make(connection)
        if once is not None:
            remember_answer(db, connection, tenant_id, once, answer_of(made))
        return Done(made, False)


def recall_answer(db: Database, tenant_id: str, once: Once) -> JsonObject | None:
    """The stored answer to this request; ``None``: there is none. Raises IdempotencyKeyReused."""
    with db.read() as connection:
        return _kept(db, connection, tenant_id, once)


def hold_key(db: Database, connection: Connection, tenant_id: str, once: Once) -> JsonObject | None:
    """Holds the key until the transaction ends; returns the stored answer, if there is one.

    Raises:
        IdempotencyKeyBusy: another transaction holds it.
        IdempotencyKeyReused: it came with another request.
    """
    if db.on_postgres:
        digest = hashlib.sha256(f"{tenant_id}/{once.key}".encode()).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        if not connection.scalar(select(func.pg_try_advisory_xact_lock(number))):
            raise IdempotencyKeyBusy(once.key)
    return _kept(db, connection, tenant_id, once)


def remember_answer(db: Database, connection: Connection, tenant_id: str, once: Once, answer: JsonObject) -> None:
    """Stores the answer, in the transaction of :func:`hold_key`."""
    connection.execute(
        delete(idempotency_keys).where(idempotency_keys.c.tenant_id == tenant_id, idempotency_keys.c.key == once.key)
    )
    connection.execute(
        insert(idempotency_keys).values(
            tenant_id=tenant_id, key=once.key, fingerprint=once.fingerprint, answer=answer, created_at=db.now()
        )
    )


def forget_old_answers(db: Database) -> int:
    """Deletes expired answers; returns their number."""
    old = select(idempotency_keys.c.tenant_id, idempotency_keys.c.key).where(
        idempotency_keys.c.created_at <= db.after(-KEPT_S)
    )
    with db.write() as connection:
        rows = connection.execute(old.limit(_BATCH)).all()
        for row in rows:
            connection.execute(
                delete(idempotency_keys).where(
                    idempotency_keys.c.tenant_id == row.tenant_id,
                    idempotency_keys.c.key == row.key,
                    idempotency_keys.c.created_at <= db.after(-KEPT_S),
                )
            )
    return len(rows)


def _kept(db: Database, connection: Connection, tenant_id: str, once: Once) -> JsonObject | None:
    row = connection.execute(
        select(idempotency_keys.c.fingerprint, idempotency_keys.c.answer).where(
            idempotency_keys.c.tenant_id == tenant_id,
            idempotency_keys.c.key == once.key,
            idempotency_keys.c.created_at > db.after(-KEPT_S),
        )
    ).first()
    if row is None:
        return None
    if row.fingerprint != once.fingerprint:
        raise IdempotencyKeyReused(once.key)
    answer: JsonObject = row.answer
    return answer

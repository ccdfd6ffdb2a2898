"""Tenants and their API keys. A key's secret is shown once; the ledger keeps its SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database
from storage.errors import NotFound
from storage.ledger.operations import audit
from storage.records import ApiKey, Caller, Scope
from storage.tables import api_keys, login_links, new_id, sessions, tenants

#: Seconds between two writes of a key's ``last_used_at``.
_LAST_USED_EVERY_S = 60


def ensure_tenant(db: Database, name: str) -> str:
    """The id of the tenant of this name; creates it if there is none."""
    dialect = postgresql if db.on_postgres else sqlite
    with db.write() as connection:
        connection.execute(
            dialect.insert(tenants)
            .values(id=new_id("tnt"), name=name, created_at=db.now())
            .on_conflict_do_nothing(index_elements=[tenants.c.name])
        )
        return str(connection.execute(select(tenants.c.id).where(tenants.c.name == name)).scalar_one())


def find_tenant(db: Database, name: str) -> str | None:
    """The id of the tenant of this name; ``None``: there is none."""
    with db.read() as connection:
        return connection.scalar(select(tenants.c.id).where(tenants.c.name == name))


def list_tenants(db: Database) -> list[tuple[str, str]]:
    """Id and name of every tenant, by name."""
    with db.read() as connection:
        return [(row.id, row.name) for row in connection.execute(select(tenants).order_by(tenants.c.name))]


def set_weight(db: Database, tenant_id: str, weight: float) -> None:
    """Sets a tenant's share of the workers among tenants that wait; the default is 1. Raises NotFound."""
    if weight <= 0:
        raise ValueError("A weight is above 0.")
    with db.write() as connection:
        require_tenant(connection, tenant_id)
        connection.execute(update(tenants).where(tenants.c.id == tenant_id).values(weight=weight))


def weight_of(db: Database, tenant_id: str) -> float:
    """See :func:`set_weight`. Raises NotFound."""
    with db.read() as connection:
        weight: float | None = connection.scalar(select(tenants.c.weight).where(tenants.c.id == tenant_id))
    if weight is None:
        raise NotFound("tenant", tenant_id)
    return weight


def create_key(
    db: Database,
    tenant_id: str,
    name: str,
    *,
    scopes: Iterable[Scope] = tuple(Scope),
    expires_in_s: float | None = None,
    actor: str = audit.SERVICE,
) -> tuple[ApiKey, str]:
    """Creates a key; returns it with its secret, ``cp_`` and 43 characters. Raises NotFound for the tenant."""
    held = frozenset(scopes)
    secret = f"cp_{secrets.token_urlsafe(32)}"
    with db.write() as connection:
        require_tenant(connection, tenant_id)
        row = connection.execute(
            insert(api_keys)
            .values(
                id=new_id("key"),
                tenant_id=tenant_id,
                name=name,
                prefix=secret[:8],
                hash=digest(secret),
                scopes=" ".join(scope for scope in Scope if scope in held),
                created_at=db.now(),
                expires_at=None if expires_in_s is None else db.after(expires_in_s),
            )
            .returning(api_keys)
        ).one()
        made = {"key": row.id, "name": name, "scopes": row.scopes}
        audit.append(db, connection, [audit.Event(tenant_id, "key.created", actor, None, None, made)])
    return _api_key(row), secret


def list_keys(db: Database, tenant_id: str | None = None) -> list[ApiKey]:
    """All keys, or one tenant's; oldest first, revoked ones included."""
    query = select(api_keys).order_by(api_keys.c.id)
    if tenant_id is not None:
        query = query.where(api_keys.c.tenant_id == tenant_id)
    with db.read() as connection:
        return [_api_key(row) for row in connection.execute(query)]


def revoke_key(db: Database, key_id: str, *, actor: str = audit.SERVICE) -> None:
    """Revokes a key and ends its sessions; repeating it changes nothing. Raises NotFound."""
    with db.write() as connection:
        owner = connection.scalar(select(api_keys.c.tenant_id).where(api_keys.c.id == key_id))
        if owner is None:
            raise NotFound("key", key_id)
        revoked = connection.execute(
            update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=db.now())
        ).rowcount
        if revoked:
            for table in (sessions, login_links):
                connection.execute(delete(table).where(table.c.key_id == key_id))
            event = audit.Event(owner, "key.revoked", actor, None, None, {"key": key_id})
            audit.append(db, connection, [event])


def identify(db: Database, secret: str) -> Caller | None:
    """The caller of this key; ``None`` if it is unknown, revoked or expired."""
    return find_caller(db, api_keys.c.hash == digest(secret))


def is_alive(db: Database) -> ColumnElement[bool]:
    """Whether a key is neither revoked nor expired."""
    return and_(api_keys.c.revoked_at.is_(None), or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > db.now()))


def find_caller(db: Database, *conditions: ColumnElement[bool], with_session: bool = False) -> Caller | None:
    """The caller whose living key meets the conditions; they may name ``sessions`` if ``with_session``.

    Writes ``last_used_at`` at most once a minute.
    """
    stale = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at <= db.after(-_LAST_USED_EVERY_S))
    query = select(
        api_keys.c.id,
        api_keys.c.tenant_id,
        api_keys.c.scopes,
        stale.label("stale"),
        (sessions.c.id if with_session else literal(None)).label("session_id"),
    ).where(*conditions, is_alive(db))
    if with_session:
        query = query.join_from(api_keys, sessions, sessions.c.key_id == api_keys.c.id)
    with db.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    if row.stale:
        with db.write() as connection:
            connection.execute(update(api_keys).where(api_keys.c.id == row.id, stale).values(last_used_at=db.now()))
    return Caller(key_id=row.id, tenant_id=row.tenant_id, scopes=_scopes(row.scopes), session_id=row.session_id)


def require_tenant(connection: Connection, tenant_id: str) -> None:
    """Raises NotFound for an unknown tenant."""
    if connection.execute(select(tenants.c.id).where(tenants.c.id == tenant_id)).first() is None:
        raise NotFound("tenant", tenant_id)


def digest(secret: str) -> str:
    """SHA-256 of a secret. Secrets have 256 random bits, so that a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(name) for name in text.split())


def _api_key(row: Row[Any]) -> ApiKey:
    fields = row._asdict()
    del fields["hash"]
    return ApiKey(**fields | {"scopes": _scopes(fields["scopes"])})

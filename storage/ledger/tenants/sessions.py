"""Sessions: a browser that acts with an API key until it signs out, the key ends, or the session is too old.

A session begins with the key itself or with a one-time link. Both secrets are shown once; the ledger keeps SHA-256.
"""

from __future__ import annotations

import secrets
from collections.abc import Set

from sqlalchemy import Connection, delete, insert, select

from storage.database import Database
from storage.ledger.tenants.tenants import digest, find_caller, is_alive
from storage.records import Caller
from storage.tables import api_keys, login_links, new_id, sessions


def begin_session(db: Database, key_id: str, *, lifetime_s: float) -> str:
    """Starts a session with a key whose secret was shown; returns the session's secret."""
    with db.write() as connection:
        return _begin(db, connection, key_id, lifetime_s)


def find_session(db: Database, secret: str) -> Caller | None:
    """The caller of this session; ``None`` if the session or its key has ended."""
    return find_caller(db, sessions.c.hash == digest(secret), sessions.c.expires_at > db.now(), with_session=True)


def end_session(db: Database, secret: str) -> None:
    """Ends a session; repeating it changes nothing."""
    with db.write() as connection:
        connection.execute(delete(sessions).where(sessions.c.hash == digest(secret)))


def create_login_link(db: Database, key_id: str, *, lifetime_s: float) -> str:
    """The secret of a link that begins one session with this key. An earlier link of the key stops working."""
    secret = secrets.token_urlsafe(32)
    with db.write() as connection:
        connection.execute(delete(login_links).where(login_links.c.key_id == key_id))
        connection.execute(
            insert(login_links).values(key_id=key_id, hash=digest(secret), expires_at=db.after(lifetime_s))
        )
    return secret


def exchange_login_link(db: Database, secret: str, *, lifetime_s: float) -> str | None:
    """Starts a session with a link's key; returns its secret, or ``None`` where the link no longer works."""
    with db.write() as connection:
        key_id = connection.scalar(
            delete(login_links)
            .where(
                login_links.c.hash == digest(secret),
                login_links.c.expires_at > db.now(),
                login_links.c.key_id.in_(select(api_keys.c.id).where(is_alive(db))),
            )
            .returning(login_links.c.key_id)
        )
        return None if key_id is None else _begin(db, connection, key_id, lifetime_s)


def select_valid(db: Database, callers: Set[Caller]) -> set[Caller]:
    """Those of these callers whose key, and session where they have one, still hold."""
    key_ids = {caller.key_id for caller in callers}
    session_ids = {caller.session_id for caller in callers if caller.session_id is not None}
    with db.read() as connection:
        keys = set(connection.scalars(select(api_keys.c.id).where(api_keys.c.id.in_(key_ids), is_alive(db))))
        open_sessions: set[str | None] = {None}
        if session_ids:
            still_open = select(sessions.c.id).where(sessions.c.id.in_(session_ids), sessions.c.expires_at > db.now())
            open_sessions |= set(connection.scalars(still_open))
    return {caller for caller in callers if caller.key_id in keys and caller.session_id in open_sessions}


def _begin(db: Database, connection: Connection, key_id: str, lifetime_s: float) -> str:
    secret = secrets.token_urlsafe(32)
    # Sessions that were never ended are deleted when another begins.
    connection.execute(delete(sessions).where(sessions.c.expires_at <= db.now()))
    connection.execute(
        insert(sessions).values(
            id=new_id("ses"),
            key_id=key_id,
            hash=digest(secret),
            created_at=db.now(),
            expires_at=db.after(lifetime_s),
        )
    )
    return secret

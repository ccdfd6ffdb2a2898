"""Tenants and their keys."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from storage.database import Database
from storage.errors import NotFound
from storage.ledger.tenants.tenants import create_key, ensure_tenant, identify, list_keys, revoke_key
from storage.records import Scope
from storage.tables import api_keys
from tests.shop import Clock


def test_a_tenant_is_made_once(db: Database) -> None:
    assert ensure_tenant(db, "shop") == ensure_tenant(db, "shop")
    assert ensure_tenant(db, "shop") != ensure_tenant(db, "rival")


def test_a_key_opens_its_tenant(db: Database) -> None:
    shop, rival = ensure_tenant(db, "shop"), ensure_tenant(db, "rival")
    _, secret = create_key(db, shop, "laptop")
    _, other = create_key(db, rival, "laptop")
    for given, tenant in ((secret, shop), (other, rival)):
        caller = identify(db, given)
        assert caller is not None
        assert (caller.tenant_id, caller.scopes) == (tenant, frozenset(Scope))
    for unknown in ("", "cp_", secret[:-1], secret + "x", secret.upper()):
        assert identify(db, unknown) is None


def test_a_secret_is_shown_once_and_not_stored(db: Database) -> None:
    key, secret = create_key(db, ensure_tenant(db, "shop"), "laptop")
    assert re.fullmatch(r"cp_[A-Za-z0-9_-]{43}", secret)
    assert secret.startswith(key.prefix)
    assert len(key.prefix) == 8
    with db.read() as connection:
        stored = str(connection.execute(select(api_keys)).all())
    assert secret not in stored


def test_a_revoked_key_opens_nothing(db: Database, clock: Clock) -> None:
    key, secret = create_key(db, ensure_tenant(db, "shop"), "laptop")
    revoke_key(db, key.id)
    revoked_at = clock.time
    clock.advance(10)
    revoke_key(db, key.id)
    assert identify(db, secret) is None
    assert [listed.revoked_at for listed in list_keys(db)] == [revoked_at]


def test_an_expired_key_opens_nothing(db: Database, clock: Clock) -> None:
    key, secret = create_key(db, ensure_tenant(db, "shop"), "laptop", expires_in_s=60)
    assert key.expires_at == clock.time + timedelta(seconds=60)
    clock.advance(59)
    assert identify(db, secret) is not None
    clock.advance(1)
    assert identify(db, secret) is None


def test_a_key_keeps_its_scopes(db: Database) -> None:
    key, secret = create_key(db, ensure_tenant(db, "shop"), "dashboard", scopes=[Scope.READ])
    caller = identify(db, secret)
    assert caller is not None
    assert (caller.key_id, caller.scopes, key.scopes) == (key.id, {Scope.READ}, {Scope.READ})
    assert [listed.scopes for listed in list_keys(db)] == [{Scope.READ}]


def test_unknown_tenants_and_keys_are_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        create_key(db, "tnt_none", "laptop")
    with pytest.raises(NotFound):
        revoke_key(db, "key_none")


def test_keys_are_listed_oldest_first_and_by_tenant(db: Database) -> None:
    shop, rival = ensure_tenant(db, "shop"), ensure_tenant(db, "rival")
    created = [create_key(db, tenant, str(n))[0].id for n, tenant in enumerate((shop, rival, shop))]
    assert [key.id for key in list_keys(db)] == created
    assert [key.name for key in list_keys(db, shop)] == ["0", "2"]


def test_last_use_is_written_at_most_once_a_minute(db: Database, clock: Clock) -> None:
    _, secret = create_key(db, ensure_tenant(db, "shop"), "laptop")
    first = clock.time
    seen = []
    for seconds in (0, 59, 1, 30):
        clock.advance(seconds)
        identify(db, secret)
        used = list_keys(db)[0].last_used_at
        assert used is not None
        seen.append((used - first).total_seconds())
    assert seen == [0, 0, 60, 60]

"""Tenants and their keys."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from storage.database import Database
from storage.errors import NotFound
from storage.ledger.tenants import create_key, ensure_tenant, list_keys, revoke_key, tenant_for_key
from storage.tables import api_keys
from tests.shop import Clock


def test_a_tenant_is_made_once(db: Database) -> None:
    assert ensure_tenant(db, "shop") == ensure_tenant(db, "shop")
    assert ensure_tenant(db, "shop") != ensure_tenant(db, "rival")


def test_a_key_opens_its_tenant(db: Database) -> None:
    shop, rival = ensure_tenant(db, "shop"), ensure_tenant(db, "rival")
    _, secret = create_key(db, shop, "laptop")
    _, other = create_key(db, rival, "laptop")
    assert tenant_for_key(db, secret) == shop
    assert tenant_for_key(db, other) == rival
    for unknown in ("", "cp_", secret[:-1], secret + "x", secret.upper()):
        assert tenant_for_key(db, unknown) is None


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
    assert tenant_for_key(db, secret) is None
    assert [listed.revoked_at for listed in list_keys(db)] == [revoked_at]


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
        tenant_for_key(db, secret)
        used = list_keys(db)[0].last_used_at
        assert used is not None
        seen.append((used - first).total_seconds())
    assert seen == [0, 0, 60, 60]

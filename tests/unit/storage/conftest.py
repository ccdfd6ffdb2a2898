"""A ledger with a clock that tests move, on both databases, and two shops that submit jobs to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.database import Database
from storage.ledger.tenants.tenants import ensure_tenant
from tests.shop import Clock, Shop


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def db(database_url: str, clock: Clock) -> Iterator[Database]:
    """A ledger of both databases on the test's clock."""
    db = Database.connect(database_url, clock=clock)
    yield db
    db.close()


@pytest.fixture
def shop(db: Database) -> Shop:
    return Shop(db, ensure_tenant(db, "shop"))


@pytest.fixture
def rival(db: Database) -> Shop:
    """Another tenant."""
    return Shop(db, ensure_tenant(db, "rival"))

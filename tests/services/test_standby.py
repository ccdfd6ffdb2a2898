"""A standby of Postgres: the service follows it when it becomes the primary, and takes no write for done before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.database import Database
from storage.errors import LedgerUnavailable
from storage.ledger.tenants.tenants import ensure_tenant, list_tenants
from storage.migrate import migrate
from tests.running import until
from tests.servers import PostgresServer, StandbyServer, start_server


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgresServer]:
    server = start_server(PostgresServer)
    server.make_template(migrate)
    yield server
    server.close()


@pytest.fixture
def standby(primary: PostgresServer) -> Iterator[StandbyServer]:
    server = start_server(lambda: StandbyServer(primary))
    yield server
    server.close()


def test_a_standby_reads_and_its_writes_are_an_outage(primary: PostgresServer, standby: StandbyServer) -> None:
    name = primary.new_database()
    db = Database.connect(primary.url(name))
    ensure_tenant(db, "shop")
    db.close()
    until(standby.has_caught_up, "the standby does not follow")
    db = Database.connect(standby.url(name))
    with pytest.raises(LedgerUnavailable, match="standby"):
        ensure_tenant(db, "other")
    assert [name for _, name in list_tenants(db)] == ["shop"]
    standby.promote()
    ensure_tenant(db, "other")
    assert len(list_tenants(db)) == 2
    db.close()


def test_the_service_follows_a_standby_that_becomes_the_primary(
    primary: PostgresServer, standby: StandbyServer
) -> None:
    name = primary.new_database()
    hosts = "&".join(f"host=127.0.0.1:{server.port}" for server in (primary, standby))
    url = f"postgresql://cleanplate:{primary.password}@/{name}?{hosts}&target_session_attrs=read-write"
    db = Database.connect(Settings(database_url=SecretStr(url)).sqlalchemy_url)
    tenant = ensure_tenant(db, "before")
    until(standby.has_caught_up, "the standby does not follow")
    primary.kill()
    with pytest.raises(LedgerUnavailable):
        ensure_tenant(db, "lost")
    standby.promote()

    def writes() -> bool:
        try:
            ensure_tenant(db, "after")
        except LedgerUnavailable:
            return False
        return True

    until(writes, "the service does not find the new primary")
    assert [name for _, name in list_tenants(db)] == ["after", "before"]
    assert ensure_tenant(db, "before") == tenant
    db.close()

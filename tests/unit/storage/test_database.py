"""The connection to the ledger: transactions, and what happens when the database fails."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, insert, select

from storage.database import Database
from storage.errors import LedgerUnavailable
from storage.ledger.tenants.tenants import ensure_tenant, list_keys
from storage.tables import new_id, tenants
from tests.running import until
from tests.servers import PostgresServer, free_port, start_server


def test_a_failed_block_writes_nothing(db: Database) -> None:
    with pytest.raises(RuntimeError, match="amid"), db.write() as connection:
        connection.execute(insert(tenants).values(id=new_id("tnt"), name="half", created_at=db.now()))
        raise RuntimeError("amid")
    with db.read() as connection:
        assert connection.execute(select(tenants)).all() == []


def test_reading_holds_no_transaction_open_on_postgres(postgres_url: str) -> None:
    db = Database.connect(postgres_url)
    for _ in range(2):  # a pooled connection, which writing used in between, reads without one too
        with db.write() as connection:
            connection.execute(select(tenants))
            assert _status(connection) == TransactionStatus.INTRANS
        with db.read() as connection:
            connection.execute(select(tenants))
            assert _status(connection) == TransactionStatus.IDLE
    db.close()


def _status(connection: Connection) -> TransactionStatus:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver.info.transaction_status


def test_ids_grow_with_time() -> None:
    ids = [new_id("img") for _ in range(5000)]
    assert ids == sorted(set(ids))


def test_a_database_that_answers_passes_the_check(database: Database) -> None:
    database.check()
    assert database.schema_is_current()


def test_a_server_that_is_not_there_is_unavailable_and_transient() -> None:
    db = Database.connect(f"postgresql://cleanplate:secret-word@127.0.0.1:{free_port()}/none")
    with pytest.raises(LedgerUnavailable) as caught:
        db.check()
    assert caught.value.transient
    assert caught.value.code == "ledger_unavailable"
    assert "secret-word" not in str(caught.value)


def answers(db: Database) -> bool:
    try:
        db.check()
    except LedgerUnavailable:
        return False
    return True


def test_a_server_that_comes_back_is_used_again() -> None:
    server = start_server(PostgresServer)
    try:
        db = Database.connect(server.url("postgres"))
        db.check()
        server.kill()
        # The server's process for this connection notices a moment later that its parent is gone.
        until(lambda: not answers(db), "the killed server still answers")
        server.start()
        db.check()
        db.close()
    finally:
        server.close()


def test_a_ledger_without_tables_is_unavailable_and_not_current(tmp_path: Path) -> None:
    db = Database.connect(f"sqlite:///{tmp_path / 'new' / 'ledger.sqlite3'}")
    assert not db.schema_is_current()
    with pytest.raises(LedgerUnavailable, match="no such table"):
        list_keys(db)
    db.close()


def test_an_sqlite_ledger_is_a_file() -> None:
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ValueError, match="SQLite file"):
            Database.connect(url)


def test_sqlite_writers_wait_for_each_other(sqlite_url: str) -> None:
    db = Database.connect(sqlite_url)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with db.write():
            inside.set()
            assert leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(30)
    # A reader is not disturbed by the writer; another writer waits and then succeeds.
    assert list_keys(db) == []
    writer = threading.Thread(target=ensure_tenant, args=(db, "shop"))
    writer.start()
    leave.set()
    holder.join(30)
    writer.join(30)
    with db.read() as connection:
        assert connection.scalars(select(tenants.c.name)).all() == ["shop"]
    db.close()

"""The migrations lead to the tables that the queries expect, and back, on both databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from storage.database import Database
from storage.errors import SchemaNewer
from storage.ledger.tenants.tenants import ensure_tenant
from storage.migrate import migrate
from storage.tables import metadata
from tests.running import REPOSITORY
from tests.servers import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.new_database(empty=True)
    yield server.url(name)
    server.drop_database(name)


def test_migrated_schema_is_exactly_the_tables(empty_url: str) -> None:
    migrate(empty_url)
    db = Database.connect(empty_url)
    with db.read() as connection:
        options: dict[str, Any] = {"compare_type": True, "compare_server_default": True}
        if not db.on_postgres:
            # SQLite does not tell which columns of an index descend; the columns are compared below.
            options["include_object"] = lambda _object, name, *_: name != "ix_images_queued"
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        indexes = {
            index["name"]: index["column_names"]
            for table in metadata.tables
            for index in inspect(connection).get_indexes(table)
        }
    db.close()
    for table in metadata.tables.values():
        for index in table.indexes:
            assert indexes[index.name] == [column.name for column in index.columns]


def test_partial_indexes_are_partial(empty_url: str) -> None:
    migrate(empty_url)
    db = Database.connect(empty_url)
    with db.read() as connection:
        found = {index["name"]: index for index in inspect(connection).get_indexes("images")}
    db.close()
    for name in ("ix_images_queued", "ix_images_published", "ix_images_leased", "ix_images_lease_token"):
        assert found[name]["dialect_options"].get(f"{db.engine.dialect.name}_where") is not None, name


def test_up_down_and_up_again(empty_url: str) -> None:
    db = Database.connect(empty_url)
    assert not db.schema_is_current()
    migrate(empty_url)
    assert db.schema_is_current()
    ensure_tenant(db, "shop")
    migrate(empty_url, "base")
    assert not db.schema_is_current()
    with db.read() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    migrate(empty_url)
    assert db.schema_is_current()
    db.close()


def test_repeating_changes_nothing(empty_url: str) -> None:
    migrate(empty_url)
    db = Database.connect(empty_url)
    tenant = ensure_tenant(db, "shop")
    migrate(empty_url)
    migrate(empty_url, "0001")
    assert ensure_tenant(db, "shop") == tenant
    db.close()


def test_several_migrators_at_once_are_safe(empty_url: str) -> None:
    program = "import sys; from storage.migrate import migrate; migrate(sys.argv[1])"

    def run(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, empty_url], capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 4
    db = Database.connect(empty_url)
    assert db.schema_is_current()
    db.close()


def test_migrations_take_nothing_away_that_the_version_before_uses(tmp_path: Path) -> None:
    """Programs of both versions work side by side while a new one is rolled out."""
    url = f"sqlite:///{tmp_path / 'stepwise.sqlite3'}"
    before: dict[tuple[str, str], Any] = {}
    revisions = sorted(path.name[:4] for path in (REPOSITORY / "migrations" / "versions").glob("[0-9]*.py"))
    assert len(revisions) > 10
    for revision in revisions:
        migrate(url, revision)
        db = Database.connect(url)
        shown = inspect(db.engine)
        after = {
            (table, column["name"]): column for table in shown.get_table_names() for column in shown.get_columns(table)
        }
        db.close()
        assert set(before) <= set(after), revision
        old_tables = {table for table, _ in before}
        for place, column in after.items():
            # A row that the old version writes has none of the new columns.
            needed = not column["nullable"] and column["default"] is None
            was = before.get(place)
            if place[0] in old_tables and needed:
                assert was is not None, f"{revision}: {place} has no default"
                assert not was["nullable"], f"{revision}: {place} was optional"
        before = after


def test_a_newer_versions_schema_is_good_enough_and_stays(empty_url: str) -> None:
    migrate(empty_url)
    db = Database.connect(empty_url)
    try:
        with db.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert db.schema_is_current()
        migrate(empty_url)
        with pytest.raises(SchemaNewer):
            migrate(empty_url, "0001")
        with db.read() as connection:
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    finally:
        db.close()

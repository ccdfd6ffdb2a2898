"""The migrations create exactly the tables of the queries, and remove them again, on both databases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from storage.database import Database
from storage.errors import SchemaNewer
from storage.ledger.tenants.tenants import ensure_tenant
from storage.migrate import migrate
from storage.tables import images, jobs, metadata
from tests.running import REPOSITORY, until
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
            # SQLite does not report descending columns of an index; the columns are compared below.
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
        indexes = {index["name"]: index for index in inspect(connection).get_indexes("images")}
    db.close()
    for name in ("ix_images_queued", "ix_images_published", "ix_images_leased", "ix_images_lease_token"):
        assert indexes[name]["dialect_options"].get(f"{db.engine.dialect.name}_where") is not None, name


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


def test_indexes_that_are_missing_or_were_left_unfinished_are_built(postgres_url: str) -> None:
    db = Database.connect(postgres_url)
    unfinished = text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_uploads_key'::regclass")
    valid = text(
        "SELECT count(*) FROM pg_index WHERE indisvalid"
        " AND indexrelid IN (to_regclass('ix_uploads_key'), to_regclass('ix_images_of_state'))"
    )
    with db.write() as connection:
        connection.execute(text("DROP INDEX ix_images_of_state"))
        connection.execute(unfinished)
    migrate(postgres_url)
    with db.read() as connection:
        assert connection.scalar(valid) == 2
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    db.close()


def test_a_migration_that_waits_for_a_table_stops_no_reader(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.migrate._LOCK_TIMEOUT_S", 0.1)
    monkeypatch.setattr("storage.migrate._PAUSE_S", 0.1)
    name = postgres_server.new_database(empty=True)
    url = postgres_server.url(name)
    migrate(url, "0017")
    db = Database.connect(url)
    tenant, now = ensure_tenant(db, "shop"), datetime(2026, 5, 1, tzinfo=UTC)
    job = {"id": "job_0", "tenant_id": tenant, "state": "queued", "options": {}, "total": 1, "created_at": now}
    with db.write() as connection:
        connection.execute(insert(jobs).values(job))
        connection.execute(insert(images).values(**_image(0, 0, tenant, now), mask=None, mask_key="", record={}))
    with ThreadPoolExecutor(1) as pool:
        with db.write() as connection, capture_logs() as logged:
            connection.execute(select(jobs.c.id))
            migrating = pool.submit(migrate, url)
            until(lambda: any(event["event"] == "migration.waits_for_lock" for event in logged), "it does not wait")
            with db.read() as reader:
                assert reader.scalar(select(jobs.c.state)) == "queued"
        migrating.result()
    assert db.schema_is_current()
    with db.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.scalar(select(images.c.state)) == "queued"
    db.close()
    postgres_server.drop_database(name)


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


def test_jobs_of_before_0013_get_the_upload_of_their_masks_file(empty_url: str) -> None:
    rows = json.loads((Path(__file__).parents[1] / "unit" / "storage" / "rows" / "masks.json").read_text())["jobs"]
    migrate(empty_url, "0012")
    db = Database.connect(empty_url)
    tenant, now = ensure_tenant(db, "shop"), datetime(2026, 5, 1, tzinfo=UTC)
    with db.write() as connection:
        for number, row in enumerate(rows):
            job = {"mask": row["job"]["mask"], "options": row["job"]["options"], "total": 1, "created_at": now}
            connection.execute(insert(jobs).values(id=f"job_{number}", tenant_id=tenant, state="queued", **job))
            image = {"mask": row["image"]["mask"], "mask_key": row["image"]["mask_key"], "record": {}}
            connection.execute(insert(images).values(**_image(number, 0, tenant, now), **image))
        # A job from before 0005: each image has the key of a mask file, but no mask.
        old = {"id": "job_old", "tenant_id": tenant, "state": "queued", "options": {}, "total": 2, "created_at": now}
        connection.execute(insert(jobs).values(**old))
        for position in range(2):
            key = f"t/{tenant}/uploads/upl_{position}"
            connection.execute(
                insert(images).values(**_image("old", position, tenant, now), mask=None, mask_key=key, record={})
            )
    before = _masks(db)
    migrate(empty_url, "0013")
    after = _masks(db)
    for number, row in enumerate(rows):
        mask, upload = before[f"job_{number}"], row["image"]["mask_key"].rpartition("/")[2]
        if row["name"].startswith("job: ") and upload:
            mask = {"upload_id": upload, **(mask or {})}
        assert after[f"job_{number}"] == mask, row["name"]
    assert after["job_old"] is None
    assert {name: mask for name, mask in after.items() if name.startswith("img")} == {
        name: mask for name, mask in before.items() if name.startswith("img")
    }
    with db.write() as connection:
        own = {"img_0_0": {"upload_id": "upl_1"}, "img_1_0": {"template": "tpl_1"}}
        for image_id, mask in own.items():
            connection.execute(update(images).where(images.c.id == image_id).values(mask=mask))
    migrate(empty_url, "0012")
    assert _masks(db) == {**before, "img_0_0": {}, "img_1_0": {"templates": ["tpl_1"]}}
    db.close()


def test_jobs_that_failed_before_0014_are_canceled_and_the_constraints_hold_for_all_rows(empty_url: str) -> None:
    migrate(empty_url, "0013")
    db = Database.connect(empty_url)
    tenant, now = ensure_tenant(db, "shop"), datetime(2026, 5, 1, tzinfo=UTC)
    with db.write() as connection:
        job = {"id": "job_0", "tenant_id": tenant, "state": "failed", "options": {}, "total": 1, "created_at": now}
        connection.execute(insert(jobs).values(job))
        image = _image(0, 0, tenant, now)
        connection.execute(insert(images).values(**image, mask=None, mask_key="", record={"method": "inpainting"}))
    migrate(empty_url)
    with db.read() as connection:
        assert connection.execute(select(jobs.c.state, jobs.c.finished_at)).one() == ("canceled", now)
        assert connection.execute(select(images.c.state, images.c.record)).one() == ("queued", {"method": "inpainting"})
        if db.on_postgres:
            not_valid = text("SELECT count(*) FROM pg_constraint WHERE NOT convalidated")
            assert connection.scalar(not_valid) == 0
    with pytest.raises(IntegrityError), db.write() as connection:
        connection.execute(update(jobs).values(state="failed"))
    db.close()


def _image(job: object, position: int, tenant: str, now: datetime) -> dict[str, Any]:
    names = {"id": f"img_{job}_{position}", "job_id": f"job_{job}", "tenant_id": tenant, "name": "a.jpg"}
    return {**names, "position": position, "state": "queued", "source_key": "", "available_at": now, "created_at": now}


def _masks(db: Database) -> dict[str, Any]:
    """The masks of all jobs and images, by id."""
    with db.read() as connection:
        return {
            row.id: row.mask for table in (jobs, images) for row in connection.execute(select(table.c.id, table.c.mask))
        }

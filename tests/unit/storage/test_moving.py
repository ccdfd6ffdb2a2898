"""Moves an embedded service's ledger and files to Postgres and S3 while images are under way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.database import Database
from storage.errors import LedgerNotEmpty
from storage.ledger.images.leases import lease_images
from storage.ledger.operations.audit import Verification, chain, chained_entries
from storage.ledger.tenants.tenants import create_key, ensure_tenant, identify
from storage.moving import copy_blobs, copy_ledger
from storage.reconciliation import missing_blobs, unnamed_blobs
from storage.tables import metadata
from tests.catalogue import Catalogue, catalogue_in
from tests.running import cleanplate


@pytest.fixture
def home(embedded_settings: Settings) -> Iterator[Catalogue]:
    with catalogue_in(embedded_settings) as catalogue:
        yield catalogue


@pytest.fixture
def target(server_settings: Settings) -> Iterator[Database]:
    database = Database.connect(server_settings.sqlalchemy_url)
    yield database
    database.close()


def rows(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in metadata.sorted_tables
        }


def test_everything_goes_along_and_the_service_goes_on(
    home: Catalogue, server_settings: Settings, target: Database
) -> None:
    _, secret = create_key(home.database, home.tenant_id, "import")
    job = home.submit([b"one", b"two", None], b"mask", webhook_url="https://receiver.example/")
    lease_images(home.database, home.ids(job)[:1], worker="w", lease_s=60)
    chain(home.database)
    blobs = open_blobs(server_settings)
    assert copy_blobs(home.blobs, blobs) == 3
    assert copy_ledger(home.database, target) == rows(home.database) == rows(target)
    caller = identify(target, secret)
    assert caller is not None
    assert caller.tenant_id == home.tenant_id
    moved = Catalogue(server_settings, target, blobs)
    assert moved.images(job) == home.images(job)
    assert moved.job(job) == home.job(job)
    source = moved.images(job)[0].source_key
    assert blobs.get(source) == b"one"
    assert blobs.stat(source).content_type == "image/png"
    assert list(unnamed_blobs(target, blobs)) == []
    # The picture that never arrived in either service.
    assert [missing.key for missing in missing_blobs(target, blobs)] == [moved.images(job)[2].source_key]
    # Numbers and the chain continue after the copied ones.
    moved.submit([b"three"], b"mask")
    chain(target)
    seen = Verification()
    for entry in chained_entries(target):
        seen.see(entry)
    assert not seen.flaws
    assert seen.entries == rows(home.database)["audit_log"] + 1


def test_a_ledger_in_use_is_left_alone(home: Catalogue, target: Database) -> None:
    ensure_tenant(target, "somebody")
    before = rows(target)
    with pytest.raises(LedgerNotEmpty):
        copy_ledger(home.database, target)
    assert rows(target) == before


def test_a_move_that_broke_off_may_be_repeated(home: Catalogue, server_settings: Settings, target: Database) -> None:
    home.submit([b"one"], b"mask")
    blobs = open_blobs(server_settings)
    copy_blobs(home.blobs, blobs)
    assert not any(rows(target).values())
    assert copy_blobs(home.blobs, blobs) == 2
    copy_ledger(home.database, target)
    assert rows(target) == rows(home.database)


def test_tables_of_many_rows_are_copied_whole(home: Catalogue, target: Database) -> None:
    home.submit([b"x"] * 600, b"mask")
    copy_ledger(home.database, target)
    assert rows(target)["images"] == 600


def test_the_command_moves_a_home_and_refuses_what_is_none(
    home: Catalogue, server_settings: Settings, target: Database, tmp_path: Path
) -> None:
    job = home.submit([b"one"], b"mask")
    settings = server_settings.environment()
    refused = cleanplate("migrate-home", str(tmp_path / "nothing"), settings=settings)
    assert refused.returncode == 2
    assert "ledger.sqlite3" in refused.stderr
    moved = cleanplate("migrate-home", str(home.settings.home), settings=settings)
    assert moved.returncode == 0, moved.stderr
    assert "2 files" in moved.stdout
    assert Catalogue(server_settings, target, open_blobs(server_settings)).job(job).total == 1
    again = cleanplate("migrate-home", str(home.settings.home), settings=settings)
    assert again.returncode == 2
    assert "tenants already" in again.stderr

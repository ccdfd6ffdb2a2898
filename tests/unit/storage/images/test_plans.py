"""Statements on Postgres read what is open and not what has ended, prepared for any value (generic plan) as well.

The ledger holds 40,000 images that have ended. Each call repeats until psycopg has prepared its statements and
Postgres may plan them without their values; the test then counts the blocks of tables and indexes that each statement
of one more call reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from cleanplate.base.settings import Settings
from storage.database import Database
from storage.ledger.images.dispatch import read_backlog
from storage.ledger.images.leases import lease_images
from storage.ledger.jobs.reading import get_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.tables import images
from tests.crowded import HOT, LARGE, RARE, REPEATS, Crowded, add_ended_jobs, add_redone, stop_autovacuum
from tests.servers import PostgresServer
from tests.shop import Shop

ENDED_JOBS, OF_LARGE = 60, 10_000
#: One full read of the images' table is above this: 40,000 rows are more than 1,300 blocks.
MOST_BLOCKS = 400
#: Without statistics the planner takes any index.
MOST_BLOCKS_UNANALYZED = 800
#: A statement that deletes or changes many rows writes to each of their indexes.
MOST_BLOCKS_OF = {"delete a job of 500 images": 1000}


@dataclass
class Filled:
    """A database with ended jobs and an open one; ``copy`` has the same rows and was never analyzed."""

    name: str
    copy: str
    tenant: str
    endpoint: str
    job: str


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer) -> Iterator[Filled]:
    name = postgres_server.new_database()
    db = Database.connect(postgres_server.url(name))
    shop = Shop(db, ensure_tenant(db, "shop"))
    endpoint, _ = create_endpoint(db, shop.tenant, "https://shop.example", ["*"])
    with psycopg.connect(postgres_server.url(name), autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        stop_autovacuum(connection)
        add_ended_jobs(connection, shop.tenant, endpoint.id, first=1, last=ENDED_JOBS)
        add_ended_jobs(connection, shop.tenant, endpoint.id, first=LARGE, last=LARGE, each=OF_LARGE)
        add_redone(connection, shop.tenant, endpoint.id, of_large=OF_LARGE)
        job = shop.submit(64, webhook=endpoint.id)
    db.close()
    copy = postgres_server.copy_database(name)
    with psycopg.connect(postgres_server.url(name), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    yield Filled(name, copy, shop.tenant, endpoint.id, job.id)
    for database in (name, copy):
        postgres_server.drop_database(database)


@pytest.fixture(scope="module", params=["auto", "force_generic_plan"])
def crowded(request: pytest.FixtureRequest, filled: Filled, postgres_server: PostgresServer) -> Iterator[Crowded]:
    first_deleted = 1 if request.param == "auto" else 1 + 2 * REPEATS
    with opened(postgres_server, filled.name, filled, request.param) as crowded:
        crowded.next_deleted = first_deleted
        yield crowded


@pytest.fixture(scope="module")
def unknown(filled: Filled, postgres_server: PostgresServer) -> Iterator[Crowded]:
    """A ledger of which Postgres has no statistics, as after a first submission."""
    with opened(postgres_server, filled.copy, filled, "auto") as crowded:
        yield crowded


@contextmanager
def opened(server: PostgresServer, name: str, filled: Filled, plans: str) -> Iterator[Crowded]:
    db = Database.connect(f"{server.url(name)}?options=-cplan_cache_mode%3D{plans}")
    try:
        with psycopg.connect(server.url(name), autocommit=True) as connection:
            yield Crowded(Shop(db, filled.tenant), filled.job, filled.endpoint, connection)
    finally:
        db.close()


@pytest.mark.parametrize("name", [*HOT, *RARE])
def test_a_call_reads_few_blocks_beside_many_images_that_have_ended(crowded: Crowded, name: str) -> None:
    call = (HOT | RARE)[name]
    scanned = crowded.rows_scanned()
    assert max(crowded.prepared_reads(lambda: call(crowded))) <= MOST_BLOCKS_OF.get(name, MOST_BLOCKS)
    assert crowded.rows_scanned() == scanned


@pytest.mark.parametrize("name", list(HOT))
def test_a_hot_call_reads_few_blocks_also_before_the_tables_are_analyzed(unknown: Crowded, name: str) -> None:
    assert max(unknown.prepared_reads(lambda: HOT[name](unknown))) <= MOST_BLOCKS_UNANALYZED


def test_a_jobs_status_costs_the_same_for_ten_images_as_for_many(crowded: Crowded) -> None:
    def cost(images: int) -> int:
        job = crowded.shop.submit(images)
        ids = crowded.shop.image_ids(job.id)[:5]
        assert len(lease_images(crowded.shop.db, ids, worker="w", lease_s=3600)[1]) == 5
        return sum(crowded.prepared_reads(lambda: get_job(crowded.shop.db, crowded.shop.tenant, job.id)))

    assert cost(1000) <= cost(10) + 2


def test_a_comparison_with_a_word_that_no_state_has_is_refused() -> None:
    with pytest.raises(ValueError, match="lost"):
        select(images.c.id).where(images.c.state == "lost")


def test_statements_behind_a_pooler_are_not_prepared(postgres_url: str) -> None:
    settings = Settings(database_url=SecretStr(postgres_url), database_pooler=True)
    counts = []
    for url in (settings.sqlalchemy_url, settings.model_copy(update={"database_pooler": False}).sqlalchemy_url):
        db = Database.connect(url)
        for _ in range(REPEATS):
            read_backlog(db)
        with db.read() as connection:
            counts.append(connection.scalar(text("SELECT count(*) > 0 FROM pg_prepared_statements")))
        db.close()
    assert counts == [False, True]

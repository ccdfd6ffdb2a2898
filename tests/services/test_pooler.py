"""The service behind PgBouncer in transaction mode, which hands each transaction another session of Postgres."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from pydantic import SecretStr

from api.app import create_app
from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.database import Database
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.migrate import migrate
from tests.faults.balance import imbalances
from tests.faults.soak import Processes, ended, submit
from tests.faults.test_soak import hasty
from tests.running import until
from tests.servers import PgBouncer, PostgresServer, start_server

READS, READERS, IMAGES = 600, 8, 2000


@pytest.fixture
def pooled(server_settings: Settings, own_postgres: PostgresServer) -> Iterator[Settings]:
    """Settings of a service whose programs all go through a pooler."""
    pooler = start_server(lambda: PgBouncer(own_postgres))
    url = SecretStr(pooler.url(own_postgres.new_database()))
    yield server_settings.model_copy(update={"database_url": url, "database_pooler": True})
    pooler.close()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    server = start_server(PostgresServer)
    server.make_template(migrate)
    yield server
    server.close()


def reader_of(settings: Settings) -> tuple[APIFlask, Callable[[FlaskClient, str], int]]:
    """The API, and a function that sends a GET of a tenant with a job and returns the status."""
    app = create_app(settings.model_copy(update={"rate_limit_per_minute": 1_000_000}))
    database = app.extensions["cleanplate"].database
    key = create_key(database, ensure_tenant(database, "soak"), "test")[1]
    headers = {"Authorization": f"Bearer {key}"}
    return app, lambda client, path: client.get(path, headers=headers).status_code


def test_many_reads_at_once_fail_nowhere(pooled: Settings) -> None:
    app, read = reader_of(pooled)
    stores = app.extensions["cleanplate"]
    submit(stores.database, stores.blobs, 20)
    paths = ["/v1/jobs", "/v1/jobs?state=queued", "/v1/usage", "/v1/webhooks", "/v1/templates"]

    def read_some(reader: int) -> Counter[int]:
        client = app.test_client()
        return Counter(read(client, paths[(reader + n) % len(paths)]) for n in range(READS // READERS))

    with ThreadPoolExecutor(READERS) as pool:
        statuses = sum(pool.map(read_some, range(READERS)), Counter[int]())
    stores.close()
    assert statuses == {200: READS}


@pytest.mark.timeout(600)
def test_a_job_loses_nothing_when_postgres_restarts_behind_the_pooler(
    pooled: Settings,
    own_postgres: PostgresServer,
    record_property: Callable[[str, object], None],
) -> None:
    settings = hasty(pooled)
    database, blobs = Database.connect(settings.sqlalchemy_url), open_blobs(settings)
    app, read = reader_of(settings)
    client = app.test_client()
    with ExitStack() as stack:
        settings.home.mkdir(exist_ok=True)
        processes = Processes(settings, stack)
        for _ in range(4):
            submit(database, blobs, IMAGES // 4)
        until(lambda: ended(database) > IMAGES // 10, "nothing ended")
        own_postgres.kill()
        assert read(client, "/v1/jobs") == 503
        own_postgres.start()
        back_at = time.monotonic()
        until(lambda: read(client, "/v1/jobs") == 200, "the API does not answer")
        record_property("api_answers_after_s", round(time.monotonic() - back_at, 2))

        until(
            lambda: processes.are_through(database),
            lambda: f"{ended(database)} of {IMAGES} images ended",
            within_s=400,
        )
    assert imbalances(database, blobs) == []
    assert ended(database) == IMAGES
    database.close()
    app.extensions["cleanplate"].close()

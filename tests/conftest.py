"""Fixtures for all tests: real servers, fresh databases, and settings of both ways to run the service.

Servers start at the first test that needs them and stop at the end of the run. Tests that take ``database`` or
``settings`` run twice: on SQLite with folders, and on Postgres with Redis and S3. Property tests draw the same examples
in every run, so that the result depends on the commit alone; ``--hypothesis-profile=searching`` draws new ones.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as property_settings
from playwright.sync_api import Browser
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.blobs import S3Blobs, open_blobs
from storage.database import Database
from storage.migrate import migrate
from tests.browser import launch_browser
from tests.logging import unchanged_logging
from tests.servers import PostgresServer, RedisServer, S3Server, start_server

# No time limit for an example: the machine may be busy, and pytest's limit covers the whole test.
property_settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
property_settings.register_profile("same", property_settings.get_profile("searching"), derandomize=True)
property_settings.load_profile("same")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for a process of tests: Playwright's loop bears no second one in its thread."""
    with launch_browser() as running_browser:
        yield running_browser


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Remove the CLEANPLATE_ variables of the caller's environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("CLEANPLATE_"):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _unchanged_logging() -> Iterator[None]:
    """A command that a test runs in this process sets the logging up."""
    with unchanged_logging():
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A Postgres server with a migrated template database."""
    server = start_server(PostgresServer)
    try:
        server.make_template(migrate)
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server. A test that kills it starts it again."""
    server = start_server(RedisServer)
    yield server
    server.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server that checks signatures."""
    server = start_server(S3Server)
    yield server
    server.close()


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite ledger for this test alone."""
    path = tmp_path / "ledger.sqlite3"
    shutil.copy(_sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated Postgres ledger for this test alone."""
    name = postgres_server.new_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated ledger, once on SQLite and once on Postgres."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A connected ledger, once on SQLite and once on Postgres, with the database's clock."""
    db = Database.connect(database_url)
    yield db
    db.close()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty logical Redis database."""
    return redis_server.new_database()


@pytest.fixture
def embedded_settings(tmp_path: Path, _sqlite_template: Path) -> Settings:
    """The embedded service: everything in one folder, the ledger migrated."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copy(_sqlite_template, home / "ledger.sqlite3")
    return Settings(home=home)


@pytest.fixture
def server_settings(tmp_path: Path, postgres_url: str, redis_url: str, s3_server: S3Server) -> Settings:
    """The service on Postgres, Redis and S3, with databases and a bucket for this test alone; the ledger migrated."""
    settings = Settings(
        home=tmp_path / "home",
        database_url=SecretStr(postgres_url),
        broker_url=SecretStr(redis_url),
        blobs_url=f"s3://test-{secrets.token_hex(8)}",
        s3_endpoint_url=s3_server.endpoint_url,
        s3_access_key_id=SecretStr(s3_server.access_key_id),
        s3_secret_access_key=SecretStr(s3_server.secret_access_key),
    )
    blobs = open_blobs(settings)
    assert isinstance(blobs, S3Blobs)
    blobs.ensure_bucket()
    return settings


@pytest.fixture(params=["embedded", "server"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """The settings of the service, once embedded and once on servers."""
    value = request.getfixturevalue(f"{request.param}_settings")
    assert isinstance(value, Settings)
    return value

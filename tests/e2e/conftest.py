"""The whole service as processes, in both ways: embedded by ``up``, and on Postgres, Redis and S3.

A start takes as long as many tests, so that the modules of this folder share one service of each way. A module that
stops it, changes its settings or looks at the whole of it, as an operator does, starts another.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from tests import patient
from tests.embedded import SMALL, Embedded, embedded
from tests.running import cleanplate, running, until
from tests.servers import PostgresServer, RedisServer, S3Server, free_port


@dataclass(frozen=True)
class Service:
    """The address and a key of a running service."""

    url: str
    key: str

    @property
    def for_client(self) -> dict[str, str]:
        """Environment variables for a user's commands."""
        return {"CLEANPLATE_URL": self.url, "CLEANPLATE_API_KEY": self.key}


@contextmanager
def on_servers(
    folder: Path, postgres: PostgresServer, redis: RedisServer, s3: S3Server, *, source_buckets: tuple[str, ...] = ()
) -> Iterator[Service]:
    """Run the service on these servers during the block."""
    database = postgres.new_database()
    port = free_port()
    settings = Settings(
        home=folder / "home",
        database_url=SecretStr(postgres.url(database)),
        broker_url=SecretStr(redis.new_database()),
        blobs_url=f"s3://e2e-{secrets.token_hex(8)}",
        s3_endpoint_url=s3.endpoint_url,
        s3_access_key_id=SecretStr(s3.access_key_id),
        s3_secret_access_key=SecretStr(s3.secret_access_key),
        source_buckets=source_buckets,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
    ).environment()
    settings |= SMALL
    migrated = cleanplate("migrate", settings=settings)
    assert migrated.returncode == 0, migrated.stderr
    created = cleanplate("keys", "create", "e2e", settings=settings)
    assert created.returncode == 0, created.stderr
    with ExitStack() as stack:
        programs = [
            stack.enter_context(running(program, settings=settings, log_path=folder / f"{program}.log"))
            for program in ("serve", "dispatch", "worker")
        ]
        url = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            for program in programs:
                assert program.process.poll() is None, program.log
            try:
                return patient.get(f"{url}/readyz").is_success
            except httpx.TransportError:
                return False

        until(ready, lambda: f"the API was not ready:\n{programs[0].log}")
        for program in ("serve", "dispatch", "worker"):
            until(
                lambda program=program: cleanplate("healthy", program, settings=settings).returncode == 0,
                f"{program} did not become healthy",
            )
        yield Service(url, created.stdout.strip())
    postgres.drop_database(database)


@pytest.fixture(scope="session")
def bucket() -> str:
    """The name of a shop's bucket, of which the service on servers may read one folder."""
    return f"shop-{secrets.token_hex(8)}"


@pytest.fixture(scope="package")
def _embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("embedded")) as up:
        yield up


@pytest.fixture(scope="package")
def shared_on_servers(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    redis_server: RedisServer,
    s3_server: S3Server,
    bucket: str,
) -> Iterator[Service]:
    """The shared service on servers, and its one tenant."""
    servers = (postgres_server, redis_server, s3_server)
    with on_servers(tmp_path_factory.mktemp("servers"), *servers, source_buckets=(f"{bucket}/spring",)) as service:
        yield service


@pytest.fixture(scope="module")
def up(_embedded: Embedded) -> Embedded:
    """The shared embedded service, with the key of a tenant that this module's tests have to themselves."""
    _embedded.change_tenant()
    return _embedded


@pytest.fixture(scope="module", params=["embedded", "servers"])
def service(request: pytest.FixtureRequest) -> Service:
    """A running service, once embedded and once on servers."""
    if request.param == "embedded":
        up: Embedded = request.getfixturevalue("up")
        return Service(up.url, up.key)
    shared: Service = request.getfixturevalue("shared_on_servers")
    return shared

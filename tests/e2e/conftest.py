"""Runs the whole service as processes, in both ways: embedded by ``up``, and on Postgres, Redis and S3."""

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
from tests.embedded import SMALL, embedded
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


@pytest.fixture(scope="module", params=["embedded", "servers"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service, once embedded and once on servers."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "embedded":
        with embedded(folder) as up:
            yield Service(up.url, up.key)
        return
    servers = (request.getfixturevalue(f"{name}_server") for name in ("postgres", "redis", "s3"))
    with on_servers(folder, *servers) as running_service:
        yield running_service

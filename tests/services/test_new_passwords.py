"""Rehearses new passwords of Postgres and Redis, as docs/maintenance.md has it: programs of before go on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
import redis
from psycopg import sql
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.database import Database
from tests.servers import PostgresServer, RedisServer, start_server
from workers.errors import ServerRefuses
from workers.shared.servers import require_ledger, require_queue

OLD, NEW = "old-password", "new-password"


@pytest.fixture
def redis_with_password() -> Iterator[RedisServer]:
    server = start_server(RedisServer)
    try:
        with redis.Redis.from_url(server.url()) as client:
            client.config_set("requirepass", OLD)
        yield server
    finally:
        server.close()


def test_redis_takes_both_passwords_until_the_old_one_is_removed(
    redis_with_password: RedisServer, embedded_settings: Settings
) -> None:
    def settings(password: str) -> Settings:
        url = f"redis://:{password}@127.0.0.1:{redis_with_password.port}/0"
        return embedded_settings.model_copy(update={"broker_url": SecretStr(url)})

    with redis.Redis(port=redis_with_password.port, password=OLD) as of_before:
        of_before.execute_command("ACL", "SETUSER", "default", f">{NEW}")
        for password in (OLD, NEW):
            require_queue(settings(password), wait_s=0)
        of_before.execute_command("ACL", "SETUSER", "default", f"<{OLD}")
        with pytest.raises(ServerRefuses, match=r"CLEANPLATE_BROKER_URL: 127\.0\.0\.1 refuses"):
            require_queue(settings(OLD), wait_s=10_000)
        require_queue(settings(NEW), wait_s=0)
        # Its connection is from before.
        assert of_before.ping()


def test_a_program_goes_on_after_postgres_has_another_password(
    postgres_server: PostgresServer, postgres_url: str, embedded_settings: Settings
) -> None:
    role = f"rotating_{secrets.token_hex(4)}"
    _, place = postgres_url.split("@", 1)

    def administer(statement: str) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(role=sql.Identifier(role)))  # type: ignore[arg-type]

    def settings(password: str) -> Settings:
        url = f"postgresql://{role}:{password}@{place}"
        return embedded_settings.model_copy(update={"database_url": SecretStr(url)})

    administer(f"CREATE ROLE {{role}} LOGIN IN ROLE cleanplate PASSWORD '{OLD}'")
    try:
        of_before = Database.connect(settings(OLD).sqlalchemy_url)
        of_before.check()
        administer(f"ALTER ROLE {{role}} PASSWORD '{NEW}'")
        of_before.check()
        with pytest.raises(ServerRefuses, match=r"CLEANPLATE_DATABASE_URL: .*authentication failed"):
            require_ledger(settings(OLD), wait_s=10_000)
        require_ledger(settings(NEW), wait_s=0)
        of_before.close()
    finally:
        administer("DROP ROLE {role}")

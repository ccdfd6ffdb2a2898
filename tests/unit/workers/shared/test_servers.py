"""A program does not start without the servers that it needs, and names the setting to change in one line."""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from tests.running import cleanplate
from tests.servers import RedisServer, free_port
from workers.errors import ServerRefuses
from workers.shared.servers import check_servers_of_api, require_blobs, require_ledger, require_queue


def requirements(settings: Settings, *, wait_s: float = 0) -> None:
    for require in (require_ledger, require_blobs, require_queue):
        require(settings, wait_s=wait_s)


def test_servers_with_all_that_is_needed_let_a_program_start(settings: Settings) -> None:
    requirements(settings)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"blobs_url": "s3://not-there"}, r"BLOBS_URL: .*NoSuchBucket.*s3://not-there: the bucket does not exist"),
        ({"s3_secret_access_key": SecretStr("wrong")}, r"BLOBS_URL: .*check CLEANPLATE_S3_SECRET_ACCESS_KEY"),
        ({"s3_access_key_id": SecretStr("wrong")}, r"BLOBS_URL: .*check CLEANPLATE_S3_ACCESS_KEY_ID"),
        ({"s3_endpoint_url": "http://127.0.0.1:9"}, r"BLOBS_URL: the object store cannot be used: "),
        ({"broker_url": SecretStr("redis://127.0.0.1:9/0")}, r"BROKER_URL: the queue cannot be used: .*refused"),
        (
            {"database_url": SecretStr("postgresql://u:secret@127.0.0.1:9/x")},
            r"DATABASE_URL: the ledger cannot",
        ),
    ],
)
def test_a_server_that_refuses_is_named_with_its_setting(
    server_settings: Settings, change: dict[str, object], line: str
) -> None:
    with pytest.raises(ServerRefuses, match=f"CLEANPLATE_{line}") as refused:
        requirements(server_settings.model_copy(update=change))
    assert "secret" not in str(refused.value)


def test_wrong_passwords_are_not_waited_for(server_settings: Settings, redis_server: RedisServer) -> None:
    database = server_settings.database_url.get_secret_value()
    account, _, place = database.rpartition("@")
    for url in (f"{account}-wrong@{place}", f"{database}-absent"):
        with pytest.raises(ServerRefuses, match="CLEANPLATE_DATABASE_URL: "):
            require_ledger(server_settings.model_copy(update={"database_url": SecretStr(url)}), wait_s=10_000)
    broker = f"redis://:wrong@127.0.0.1:{redis_server.port}/0"
    with pytest.raises(ServerRefuses, match=r"CLEANPLATE_BROKER_URL: 127\.0\.0\.1 refuses: "):
        require_queue(server_settings.model_copy(update={"broker_url": SecretStr(broker)}), wait_s=10_000)


def test_the_api_starts_without_a_server_that_does_not_answer(server_settings: Settings) -> None:
    nobody = f"postgresql://cleanplate@127.0.0.1:{free_port()}/cleanplate"
    check_servers_of_api(server_settings.model_copy(update={"database_url": SecretStr(nobody)}))
    with pytest.raises(ServerRefuses, match="the bucket does not exist"):
        check_servers_of_api(server_settings.model_copy(update={"blobs_url": "s3://nobody-made-this-bucket"}))


def test_a_server_that_starts_later_is_waited_for(embedded_settings: Settings) -> None:
    redis = RedisServer()
    settings = embedded_settings.model_copy(update={"broker_url": SecretStr(redis.url())})
    waits: list[float] = []

    def start_instead_of_sleeping(seconds: float) -> None:
        waits.append(seconds)
        redis.start()

    try:
        require_queue(settings, wait_s=10_000, sleep=start_instead_of_sleeping)
    finally:
        redis.close()
    assert len(waits) == 1


@pytest.mark.parametrize("program", ["dispatch", "serve", "worker"])
def test_a_program_before_migrate_says_what_to_do_and_ends(tmp_path: Path, program: str) -> None:
    ended = cleanplate(program, settings={"CLEANPLATE_HOME": str(tmp_path / "home"), "CLEANPLATE_LOG_JSON": "false"})
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert line.startswith("cleanplate: The ledger lacks tables of this version: run `cleanplate migrate` once")


@pytest.mark.parametrize(("revision", "starts"), [("9999", True), ("0013", False)])
def test_a_schema_may_be_newer_than_a_program_and_not_older(sqlite_url: str, revision: str, starts: bool) -> None:
    settings = Settings(database_url=SecretStr(sqlite_url))
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as ledger:
        ledger.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        ledger.commit()
    with nullcontext() if starts else pytest.raises(ServerRefuses, match="cleanplate migrate"):
        require_ledger(settings)

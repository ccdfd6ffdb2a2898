"""One dispatcher leads at a time, and another follows when it goes."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
from pydantic import SecretStr
from sqlalchemy import update

from cleanplate.base.settings import Settings
from storage.database import Database
from storage.leader import EXTEND_S, LEASE_S, is_led, leadership
from storage.tables import leaders
from tests.running import clean_environment
from tests.servers import PostgresServer, pooler_before

LEADER = """
import sys, time
from cleanplate.base.settings import load_settings
from storage.database import Database
from storage.leader import leadership
settings = load_settings()
with leadership(Database.connect(settings.sqlalchemy_url), settings) as place:
    print("leads" if place.held() else "waits", flush=True)
    time.sleep(600)
"""
DEADLINE_S = 30


def test_one_leads_and_the_next_follows(settings: Settings) -> None:
    db = Database.connect(settings.sqlalchemy_url)
    with leadership(db, settings) as second:
        with leadership(db, settings) as first:
            assert first.held()
            assert first.held()
            assert not second.held()
            assert not second.held()
        assert second.held()
    db.close()


def test_a_follower_knows_how_long_nobody_led(postgres_url: str) -> None:
    settings, db = Settings(database_url=SecretStr(postgres_url)), Database.connect(postgres_url)
    with leadership(db, settings) as second:
        with leadership(db, settings) as first:
            assert first.held()
            assert first.unled_s == math.inf
            with db.write() as connection:
                connection.execute(update(leaders).values(expires_at=db.after(-60)))
            assert second.held()
            assert 60 + LEASE_S <= second.unled_s < 60 + LEASE_S + DEADLINE_S
        assert second.held()
    with leadership(db, settings) as third:
        assert third.held()
        assert LEASE_S <= third.unled_s < LEASE_S + DEADLINE_S
    db.close()


def test_a_leader_that_is_killed_is_followed(settings: Settings) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER], env=clean_environment(settings.environment()), stdout=subprocess.PIPE, text=True
    )
    db = Database.connect(settings.sqlalchemy_url)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "leads\n"
        with leadership(db, settings) as place:
            assert not place.held()
            process.kill()
            process.wait(DEADLINE_S)
            deadline = time.monotonic() + DEADLINE_S
            while not place.held():
                assert time.monotonic() < deadline, "nobody followed the killed leader"
                time.sleep(0.05)
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)
        db.close()


def test_six_candidates_behind_a_pooler_have_one_leader(postgres_server: PostgresServer, postgres_url: str) -> None:
    with pooler_before(postgres_server, postgres_url) as url, ExitStack() as stack:
        settings = Settings(database_url=SecretStr(url), database_pooler=True)
        candidates = []
        for _ in range(6):
            db = Database.connect(settings.sqlalchemy_url)
            stack.callback(db.close)
            candidates.append(stack.enter_context(leadership(db, settings)))
        with ThreadPoolExecutor(len(candidates)) as pool:
            for _ in range(20):
                assert sum(pool.map(lambda candidate: candidate.held(), candidates)) == 1


class Lapse:
    """Two clocks: Postgres' of the lease, which a test moves by its row, and the leader's own."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_leader_that_was_stopped_for_longer_than_its_lease_stands_by(postgres_url: str) -> None:
    settings, clock = Settings(database_url=SecretStr(postgres_url)), Lapse()
    first, second = Database.connect(settings.sqlalchemy_url), Database.connect(settings.sqlalchemy_url)
    with leadership(first, settings, clock) as stopped, leadership(second, settings) as follower:
        assert stopped.held()
        assert not follower.held()
        with first.write() as connection:
            connection.execute(update(leaders).values(expires_at=first.now()))
        clock.now += LEASE_S
        assert follower.held()
        assert not stopped.held()
        assert is_led(first, settings)
    assert not is_led(first, settings)
    first.close()
    second.close()


def test_a_leader_whose_connections_are_cut_leads_on(postgres_url: str) -> None:
    settings, clock = Settings(database_url=SecretStr(postgres_url)), Lapse()
    db = Database.connect(settings.sqlalchemy_url)
    with leadership(db, settings, clock) as leader:
        assert leader.held()
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        clock.now += EXTEND_S
        assert leader.held()
    db.close()


def test_a_leader_without_a_ledger_leads_no_longer_than_its_lease(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    settings, clock = Settings(database_url=SecretStr(postgres_url)), Lapse()
    db = Database.connect(settings.sqlalchemy_url)
    with leadership(db, settings, clock) as leader:
        assert leader.held()
        db.engine.dispose()
        name = postgres_url.rpartition("/")[2]
        with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            clock.now += EXTEND_S
            assert leader.held()
            clock.now += LEASE_S
            assert not leader.held()
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert leader.held()
    db.close()

"""One dispatcher leads at a time, and another follows when it goes."""

from __future__ import annotations

import subprocess
import sys
import time

import psycopg
import pytest

from cleanplate.base.settings import InvalidSettings, Settings
from storage.database import Database
from storage.leader import leadership
from tests.servers import environment

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


def test_a_leader_that_is_killed_is_followed(settings: Settings) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER], env=environment(settings), stdout=subprocess.PIPE, text=True
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


def test_a_lost_connection_is_a_lost_leadership(server_settings: Settings, postgres_url: str) -> None:
    db = Database.connect(postgres_url)
    with leadership(db, server_settings) as place:
        assert place.held()
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(
                # The second argument is the longest wait for the end of the session, in milliseconds.
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_locks WHERE locktype = 'advisory' AND database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        assert not place.held()
        assert place.held()
    db.close()


def test_nobody_leads_by_a_session_that_a_pooler_shares(server_settings: Settings) -> None:
    settings = server_settings.model_copy(update={"database_pooler": True})
    db = Database.connect(settings.sqlalchemy_url)
    with pytest.raises(InvalidSettings, match="CLEANPLATE_DATABASE_POOLER"), leadership(db, settings):
        pass
    db.close()

"""Servers that fail during the work, and messages that come twice: all accounts balance at the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from sqlalchemy import select

from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.database import Database
from storage.records import ImageState, Priority
from storage.tables import images
from tests.faults.balance import imbalances
from tests.faults.soak import Processes, ended, submit
from tests.faults.test_soak import hasty
from tests.running import until
from tests.servers import PostgresServer, RedisServer
from workers.shared.queue import make_celery, publish_shard

Fault = Callable[[Processes, Database], None]


def run_through(settings: Settings, fault: Fault, count: int = 200) -> None:
    """Run ``count`` images, let ``fault`` happen meanwhile, and check the accounts."""
    settings = hasty(settings)
    database, blobs = Database.connect(settings.sqlalchemy_url), open_blobs(settings)

    with ExitStack() as stack:
        settings.home.mkdir(exist_ok=True)
        processes = Processes(settings, stack)
        submit(database, blobs, count)
        until(lambda: ended(database), "nothing ended")
        fault(processes, database)

        until(lambda: processes.are_through(database), lambda: f"{ended(database)} of {count} images ended")
    assert imbalances(database, blobs) == []
    database.close()


def test_redis_that_dies_and_comes_back_empty(server_settings: Settings, redis_server: RedisServer) -> None:
    def fault(processes: Processes, _database: Database) -> None:
        redis_server.kill()
        time.sleep(4)  # longer than the leases, heartbeats and pauses of these settings
        redis_server.start()

    run_through(server_settings, fault)


def test_postgres_that_restarts(server_settings: Settings, postgres_server: PostgresServer) -> None:
    def fault(processes: Processes, _database: Database) -> None:
        postgres_server.kill()
        time.sleep(4)
        postgres_server.start()

    run_through(server_settings, fault)


def test_workers_that_were_stopped_beyond_their_leases(server_settings: Settings) -> None:
    def fault(processes: Processes, _database: Database) -> None:
        stopped = processes.workers[:2]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    run_through(server_settings, fault)


def test_messages_that_are_delivered_twice(server_settings: Settings) -> None:
    def fault(_processes: Processes, database: Database) -> None:
        celery = make_celery(server_settings)
        with database.read() as connection:
            waiting = list(connection.scalars(select(images.c.id).where(images.c.state == ImageState.QUEUED)))
        for start in range(0, len(waiting), 10):
            for _ in range(2):
                publish_shard(celery, waiting[start : start + 10], Priority.BULK)
        celery.close()

    run_through(server_settings, fault)


@pytest.mark.slow
def test_redis_that_is_away_for_a_minute(server_settings: Settings, redis_server: RedisServer) -> None:
    def fault(processes: Processes, _database: Database) -> None:
        redis_server.kill()
        time.sleep(60)
        redis_server.start()

    run_through(server_settings, fault)

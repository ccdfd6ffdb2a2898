"""``kill -9`` of each process and of the ledger, a broker that loses everything: every image still ends, once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from storage.ledger.jobs.changes import cancel_job
from storage.records import ImageState, Priority, Template, TemplateKind, TemplateState
from tests.catalogue import png
from tests.faults.conftest import Service
from tests.faults.hold import Hold
from tests.marked import marked_pictures
from tests.running import children, kill, processes_with, until
from tests.servers import PostgresServer, RedisServer
from tests.unit.workers.device.templates.test_templates import now, wanted


def kill_worker_child(service: Service) -> None:
    [celery] = children(service.worker.process.pid)
    [child] = children(celery)
    kill(child)


@contextmanager
def begun_estimate(service: Service, hold: Hold) -> Iterator[Template]:
    """A template whose estimate has begun, and goes on after the block."""
    with hold.holding("all"):
        files = [png(marked) for marked, _ in marked_pictures(30)]
        template = wanted(service.catalogue, TemplateKind.ESTIMATE, files)
        until(lambda: now(service.catalogue, template).progress is not None, lambda: service.worker.log[-6000:])
        yield template


def test_killed_worker_child_costs_no_image(on_servers: Service, hold: Hold) -> None:
    with on_servers.midway(hold, 2) as job:
        kill_worker_child(on_servers)
    on_servers.assert_done_once(job)
    assert ("lost", "worker_lost") in on_servers.attempts(job)


def test_killed_worker_child_costs_no_image_of_the_embedded_service(embedded: Service, hold: Hold) -> None:
    with embedded.midway(hold, 2) as job:
        kill_worker_child(embedded)
    embedded.assert_done_once(job)


def test_killed_dispatcher_costs_no_image(on_servers: Service, hold: Hold) -> None:
    with on_servers.midway(hold, 3) as job:
        kill(on_servers.dispatcher.process.pid)
    on_servers.start_dispatcher()
    on_servers.assert_done_once(job)


def test_flushed_redis_costs_no_image(on_servers: Service, redis_server: RedisServer) -> None:
    [celery] = until(lambda: children(on_servers.worker.process.pid), "the worker has no process")
    dispatcher = on_servers.dispatcher.process.pid
    # A worker at work takes the next shard from the queue ahead of time: stopped, it takes one at most.
    os.kill(celery, signal.SIGSTOP)
    try:
        job = on_servers.submit(4)
        with redis.Redis.from_url(on_servers.settings.broker_url.get_secret_value()) as client:
            until(lambda: client.llen(Priority.BULK), "no shard waited in the queue")
            # It publishes the other shard at any time.
            os.kill(dispatcher, signal.SIGSTOP)
            client.ping()  # what it sent before has arrived
            redis_server.flush()
            assert not client.llen(Priority.BULK)
    finally:
        for pid in (dispatcher, celery):
            os.kill(pid, signal.SIGCONT)
    on_servers.assert_done_once(job)


def test_killed_postgres_costs_no_image(on_servers: Service, hold: Hold, postgres_server: PostgresServer) -> None:
    with on_servers.midway(hold, 3) as job:
        postgres_server.kill()
    postgres_server.start()
    on_servers.assert_done_once(job)


def test_killed_supervisor_costs_no_image_and_leaves_no_process(on_servers: Service, hold: Hold) -> None:
    with on_servers.midway(hold, 3) as job:
        [celery] = children(on_servers.worker.process.pid)
        orphans = {celery, *children(celery)}
        kill(on_servers.worker.process.pid)
    on_servers.start_worker()
    on_servers.assert_done_once(job)
    home = f"CLEANPLATE_HOME={on_servers.settings.home}"
    until(lambda: not orphans & set(processes_with(home)), "the killed supervisor's processes go on")


def test_an_outage_of_the_ledger_beyond_the_lease_costs_no_attempt(
    on_servers: Service, hold: Hold, postgres_server: PostgresServer
) -> None:
    with on_servers.midway(hold, 3) as job:
        postgres_server.kill()
    time.sleep(2 * on_servers.settings.lease_s)
    postgres_server.start()
    on_servers.assert_done_once(job)
    assert set(on_servers.attempts(job)) == {("succeeded", None)}


def test_an_outage_of_the_ledger_beyond_the_lease_costs_no_estimate(
    on_servers: Service, hold: Hold, postgres_server: PostgresServer
) -> None:
    catalogue = on_servers.catalogue
    with begun_estimate(on_servers, hold) as template:
        postgres_server.kill()
    time.sleep(2 * on_servers.settings.lease_s)
    postgres_server.start()
    until(lambda: now(catalogue, template).state is TemplateState.NEEDS_REVIEW, lambda: on_servers.worker.log[-6000:])
    assert now(catalogue, template).attempt == 1


def test_a_worker_killed_while_it_estimates_loses_nothing(embedded: Service, hold: Hold) -> None:
    with begun_estimate(embedded, hold) as template:
        kill_worker_child(embedded)
    catalogue = embedded.catalogue
    until(lambda: now(catalogue, template).state is TemplateState.NEEDS_REVIEW, lambda: embedded.worker.log[-6000:])
    assert (now(catalogue, template).error_code, now(catalogue, template).attempt) == (None, 2)


def test_a_supervisor_killed_within_an_outage_of_the_ledger_costs_no_image(
    on_servers: Service, hold: Hold, postgres_server: PostgresServer
) -> None:
    with on_servers.midway(hold, 3) as job:
        postgres_server.kill()
        kill(on_servers.worker.process.pid)
    time.sleep(2 * on_servers.settings.lease_s)
    postgres_server.start()
    on_servers.start_worker()
    on_servers.assert_done_once(job)


def test_stopped_worker_gives_back_images_that_it_has_not_begun(on_servers: Service, hold: Hold) -> None:
    # More than are with the engine at once, of several shards.
    with on_servers.midway(hold, 8) as job:
        on_servers.worker.process.terminate()
        until(lambda: "worker.draining" in on_servers.worker.log, lambda: on_servers.worker.log[-6000:])
    assert on_servers.worker.stop() == 0, on_servers.worker.log
    images = on_servers.catalogue.images(job)
    assert {image.state for image in images} == {ImageState.SUCCEEDED, ImageState.QUEUED}
    assert all(image.attempt == 0 for image in images if image.state is ImageState.QUEUED)
    cancel_job(on_servers.catalogue.database, on_servers.catalogue.tenant_id, job.id)

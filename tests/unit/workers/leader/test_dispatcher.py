"""The leader's ticks: publishing, lost messages, an absent broker, reaping, and the election of the leader."""

from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import redis
import structlog
from kombu import Consumer
from kombu.exceptions import OperationalError
from pydantic import SecretStr
from sqlalchemy import select, update

from cleanplate.base.settings import Settings
from storage.database import Database
from storage.leader import leadership
from storage.ledger.images.leases import lease_images
from storage.ledger.jobs.pauses import pause_job
from storage.ledger.retention.deletion import delete_job
from storage.ledger.templates.leases import extend_template, lease_template
from storage.ledger.templates.templates import create_template
from storage.records import Counts, EstimateSpec, JobState, NewTemplate, PausedBy, Priority
from storage.tables import images
from tests.catalogue import bar_mask, catalogue_in, picture, png
from tests.logging import restored_logging
from tests.servers import RedisServer, free_port
from tests.unit.workers.conftest import WorkerOn
from workers.device.images.pipeline import run_shard
from workers.leader.dispatcher import HEARTBEATS_HEARD, LOST_S, Dispatcher
from workers.shared.queue import QUEUES, make_celery, prepare_queue, publish_shard

SOURCE, MASK = png(picture()), png(bar_mask())


def messages(settings: Settings, queue: Priority = Priority.BULK) -> list[list[str]]:
    """Image ids of the messages in a queue."""
    if settings.embedded_broker:
        raw = [file.read_bytes() for file in (settings.home / "queue" / "messages").glob(f"*.{queue}.msg")]
    else:
        with redis.Redis.from_url(settings.broker_url.get_secret_value()) as client:
            raw = client.lrange(queue, 0, -1)
    return [json.loads(base64.b64decode(json.loads(message)["body"]))[0][0] for message in raw]


def dispatcher_of(settings: Settings, database: Database) -> Dispatcher:
    prepare_queue(settings)
    return Dispatcher(database, make_celery(settings), settings)


def test_tick_publishes_shards_up_to_the_depth(settings: Settings) -> None:
    settings = settings.model_copy(update={"shard_size": 2, "queue_depth": 2})
    with catalogue_in(settings) as catalogue:
        job = catalogue.submit([SOURCE] * 5, MASK)
        dispatcher = dispatcher_of(settings, catalogue.database)
        dispatcher.tick()
        dispatcher.tick()
        published = messages(settings)
        assert sorted(len(ids) for ids in published) == [2, 2]
        assert {image_id for ids in published for image_id in ids} <= set(catalogue.ids(job))


def test_job_is_done_by_ticks_and_shards(settings: Settings, worker_on: WorkerOn) -> None:
    with catalogue_in(settings) as catalogue:
        job = catalogue.submit([SOURCE] * 2, MASK)
        dispatcher = dispatcher_of(settings, catalogue.database)
        dispatcher.tick()
        for ids in messages(settings):
            run_shard(ids, worker_on(settings))
        dispatcher.tick()
        done = catalogue.job(job)
        assert (done.state, done.counts) == (JobState.COMPLETED, Counts(succeeded=2))


def test_a_search_for_an_image_in_the_logs_finds_its_story(
    embedded_settings: Settings, worker_on: WorkerOn, capsys: pytest.CaptureFixture[str]
) -> None:
    with restored_logging(embedded_settings), catalogue_in(embedded_settings) as catalogue:
        job = catalogue.submit([SOURCE, SOURCE[:-100]], MASK)
        whole, broken = catalogue.ids(job)
        run_shard([whole, broken], worker_on(embedded_settings))
        delete_job(catalogue.database, catalogue.tenant_id, job.id, actor="key:key_1")
        logged = capsys.readouterr().err.splitlines()
    lines = [json.loads(line) for line in logged if whole in line]
    assert [line["event"] for line in lines] == ["images.submitted", "images.leased", "image.succeeded"]
    assert {line["job"] for line in lines} == {job.id}
    assert [line.get("worker") for line in lines] == [None, "here:1:cpu", "here:1:cpu"]
    assert lines[2]["attempt"] == 1
    failed = [json.loads(line) for line in logged if broken in line and "image.failed" in line]
    assert [(line["worker"], line["code"]) for line in failed] == [("here:1:cpu", "image_truncated")]
    deleted = json.loads(logged[-1])
    assert (deleted["event"], deleted["job"], deleted["actor"]) == ("job.deleted", job.id, "key:key_1")


def test_message_that_was_lost_is_published_again(server_settings: Settings, redis_server: RedisServer) -> None:
    with catalogue_in(server_settings) as catalogue:
        job = catalogue.submit([SOURCE], MASK)
        dispatcher_of(server_settings, catalogue.database).tick()
        redis_server.flush()
        assert messages(server_settings) == []
        timeout = timedelta(seconds=server_settings.publish_timeout_s + 1)
        later = Database.connect(server_settings.sqlalchemy_url, clock=lambda: datetime.now(UTC) + timeout)
        dispatcher_of(server_settings, later).tick()
        later.close()
        assert messages(server_settings) == [catalogue.ids(job)]


def age_publications(database: Database, seconds: float) -> None:
    """Let all images count as published that much earlier."""
    with database.write() as connection:
        rows = connection.execute(select(images.c.id, images.c.published_at).where(images.c.published_at.is_not(None)))
        for image_id, published_at in rows.all():
            moved = published_at - timedelta(seconds=seconds)
            connection.execute(update(images).where(images.c.id == image_id).values(published_at=moved))


def lose_messages(settings: Settings, redis_server: RedisServer) -> None:
    if not settings.embedded_broker:
        redis_server.flush()
        return
    for file in (settings.home / "queue" / "messages").iterdir():
        file.unlink()


def test_lost_messages_are_repeated_as_soon_as_the_queue_is_empty(
    settings: Settings, redis_server: RedisServer
) -> None:
    settings = settings.model_copy(update={"shard_size": 2})
    now = 0.0
    with catalogue_in(settings) as catalogue:
        job = catalogue.submit([SOURCE] * 5, MASK)
        prepare_queue(settings)
        dispatcher = Dispatcher(catalogue.database, make_celery(settings), settings, clock=lambda: now)
        dispatcher.tick()
        dispatcher.tick()
        lose_messages(settings, redis_server)
        age_publications(catalogue.database, LOST_S + 1)
        now += LOST_S
        dispatcher.tick()
        assert sorted(image_id for ids in messages(settings) for image_id in ids) == sorted(catalogue.ids(job))


def test_messages_that_wait_for_busy_workers_are_not_repeated(settings: Settings) -> None:
    settings = settings.model_copy(update={"shard_size": 2})
    now = 0.0
    with catalogue_in(settings) as catalogue:
        catalogue.submit([SOURCE] * 5, MASK)
        prepare_queue(settings)
        dispatcher = Dispatcher(catalogue.database, make_celery(settings), settings, clock=lambda: now)
        dispatcher.tick()
        published = messages(settings)
        age_publications(catalogue.database, settings.publish_timeout_s - 10)
        for _ in range(5):
            now += LOST_S
            dispatcher.tick()
        assert messages(settings) == published


def test_broker_that_is_away_gets_the_shard_when_it_is_back(
    server_settings: Settings, redis_server: RedisServer
) -> None:
    with catalogue_in(server_settings) as catalogue:
        job = catalogue.submit([SOURCE], MASK)
        dispatcher = dispatcher_of(server_settings, catalogue.database)
        redis_server.kill()
        try:
            for _ in range(2):
                with pytest.raises(OperationalError):
                    dispatcher.tick()
        finally:
            redis_server.start()
        dispatcher.tick()
        assert messages(server_settings) == [catalogue.ids(job)]


def test_books_are_kept_while_the_broker_is_away(server_settings: Settings, worker_on: WorkerOn) -> None:
    away = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    settings = server_settings.model_copy(update={"broker_url": away, "shard_size": 1})
    with catalogue_in(settings) as catalogue:
        job = catalogue.submit([SOURCE], MASK)
        dispatcher = dispatcher_of(settings, catalogue.database)
        with pytest.raises(OperationalError):
            dispatcher.tick()
        run_shard(catalogue.ids(job), worker_on(settings))
        with pytest.raises(OperationalError):
            dispatcher.tick()
        assert catalogue.job(job).state is JobState.COMPLETED


def test_shard_that_was_not_sent_in_time_is_left_to_the_ledger(server_settings: Settings) -> None:
    away = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    settings = server_settings.model_copy(update={"broker_url": away})
    now = 0.0
    with catalogue_in(settings) as catalogue:
        catalogue.submit([SOURCE], MASK)
        dispatcher = Dispatcher(catalogue.database, make_celery(settings), settings, clock=lambda: now)
        with pytest.raises(OperationalError):
            dispatcher.tick()
        now += settings.publish_timeout_s
        # Nothing is left to be sent, and the ledger does not hand it out again yet.
        dispatcher.tick()


def test_second_dispatcher_stands_by_until_the_first_is_gone(settings: Settings) -> None:
    first, second = Database.connect(settings.sqlalchemy_url), Database.connect(settings.sqlalchemy_url)
    with leadership(second, settings) as follower:
        with leadership(first, settings) as leader:
            assert leader.held()
            assert not follower.held()
        assert follower.held()
    first.close()
    second.close()


def test_message_of_the_embedded_queue_is_never_seen_half_written(embedded_settings: Settings) -> None:
    prepare_queue(embedded_settings)
    celery = make_celery(embedded_settings)
    stopped = threading.Event()
    seen = []

    def look() -> None:
        while not stopped.is_set():
            seen.extend(messages(embedded_settings))

    looker = threading.Thread(target=look)
    looker.start()
    for number in range(200):
        publish_shard(celery, [f"img_{number}"] * 500, Priority.BULK)
    stopped.set()
    looker.join()
    celery.close()
    assert len(messages(embedded_settings)) == 200
    assert all(len(ids) == 500 for ids in seen)


def test_leader_whose_session_ended_leads_on(server_settings: Settings) -> None:
    database = Database.connect(server_settings.sqlalchemy_url)
    with leadership(database, server_settings) as leader:
        assert leader.held()
        with psycopg.connect(server_settings.database_url.get_secret_value(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert leader.held()
    database.close()


def test_workers_take_interactive_shards_before_bulk(settings: Settings) -> None:
    prepare_queue(settings)
    celery = make_celery(settings)
    for number in range(3):
        publish_shard(celery, [f"bulk_{number}"], Priority.BULK)
    for number in range(3):
        publish_shard(celery, [f"interactive_{number}"], Priority.INTERACTIVE)
    seen: list[str] = []

    def see(body: Any, message: Any) -> None:
        seen.append(body[0][0][0])
        message.ack()

    celery.amqp.queues.select(QUEUES)
    with celery.connection() as connection:
        channel = connection.channel()
        channel.basic_qos(0, 1, False)
        queues = list(celery.amqp.queues.consume_from.values())
        with Consumer(channel, queues, callbacks=[see], accept=["json"]):
            while len(seen) < 6:
                connection.drain_events(timeout=10)
    celery.close()
    assert seen == [*(f"interactive_{number}" for number in range(3)), *(f"bulk_{number}" for number in range(3))]


def test_interactive_job_travels_in_its_queue(settings: Settings) -> None:
    with catalogue_in(settings) as catalogue:
        job = catalogue.submit([SOURCE], MASK, priority=Priority.INTERACTIVE)
        dispatcher_of(settings, catalogue.database).tick()
        assert messages(settings) == []
        assert messages(settings, Priority.INTERACTIVE) == [catalogue.ids(job)]


def test_late_and_paused_images_are_seen_to_by_ticks(settings: Settings, worker_on: WorkerOn) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=3600)
    with catalogue_in(settings) as catalogue:
        job = catalogue.submit([SOURCE], MASK, deadline=soon)
        held = catalogue.submit([SOURCE], MASK)
        pause_job(catalogue.database, catalogue.tenant_id, held.id, PausedBy.OPERATOR)
        later = Database.connect(settings.sqlalchemy_url, clock=lambda: soon + timedelta(seconds=1))
        dispatcher_of(settings, later).tick()
        later.close()
        assert messages(settings) == []
        assert catalogue.job(job).state is JobState.COMPLETED
        assert catalogue.images(job)[0].error_code == "deadline_passed"
        assert catalogue.job(held).counts == Counts(queued=1)


def test_leases_are_left_alone_until_living_workers_were_heard_again(embedded_settings: Settings) -> None:
    now = 0.0
    with catalogue_in(embedded_settings) as catalogue:
        job = catalogue.submit([SOURCE], MASK)
        prepare_queue(embedded_settings)
        dispatcher = Dispatcher(
            catalogue.database, make_celery(embedded_settings), embedded_settings, clock=lambda: now
        )

        def reaped_after(ticks: int) -> bool:
            nonlocal now
            for _ in range(ticks):
                dispatcher.tick()
                now += embedded_settings.dispatch_interval_s
            return catalogue.job(job).counts.running == 0

        heard = int(HEARTBEATS_HEARD * embedded_settings.heartbeat_s / embedded_settings.dispatch_interval_s)
        for _ in range(2):
            lease_images(catalogue.database, catalogue.ids(job), worker="dead", lease_s=-1)
            assert not reaped_after(heard)
            assert reaped_after(1)
            now += 60  # the ledger, or everything, was away


@pytest.mark.parametrize(("leases", "reaped"), [(0.5, True), (1.0, False)])
def test_a_leader_reaps_at_once_where_the_one_before_led_until_shortly_before(
    embedded_settings: Settings, leases: float, *, reaped: bool
) -> None:
    with catalogue_in(embedded_settings) as catalogue:
        job = catalogue.submit([SOURCE], MASK)
        lease_images(catalogue.database, catalogue.ids(job), worker="dead", lease_s=-1)
        prepare_queue(embedded_settings)
        dispatcher = dispatcher_of(embedded_settings, catalogue.database)
        dispatcher.begin(unled_s=leases * embedded_settings.lease_s)
        dispatcher.tick()
        assert (catalogue.job(job).counts.running == 0) is reaped


def test_a_template_is_left_to_its_worker_until_living_workers_were_heard_again(embedded_settings: Settings) -> None:
    now = 0.0
    with catalogue_in(embedded_settings) as catalogue:
        new = NewTemplate(name="mark", spec=EstimateSpec())
        template = create_template(catalogue.database, catalogue.tenant_id, new)
        prepare_queue(embedded_settings)
        dispatcher = Dispatcher(
            catalogue.database, make_celery(embedded_settings), embedded_settings, clock=lambda: now
        )
        dispatcher.tick()
        now += 60  # the ledger was away, for longer than the lease
        token, leased = lease_template(catalogue.database, template.id, lease_s=-1)
        assert leased is not None
        dispatcher.tick()
        # The worker's first heartbeat after the outage finds its lease.
        assert extend_template(catalogue.database, token, lease_s=60, progress=None)


def test_the_log_names_every_image_that_leaves_its_way(embedded_settings: Settings) -> None:
    now = 0.0
    with catalogue_in(embedded_settings) as catalogue:
        prepare_queue(embedded_settings)
        lost, late, paused = (
            catalogue.submit([SOURCE] * 3, MASK, **fields)
            for fields in ({}, {"deadline": datetime.now(UTC) - timedelta(hours=1)}, {})
        )
        lease_images(catalogue.database, catalogue.ids(lost), worker="dead", lease_s=-1)
        lease_images(catalogue.database, catalogue.ids(paused), worker="alive", lease_s=60)
        pause_job(catalogue.database, catalogue.tenant_id, paused.id, PausedBy.OPERATOR)
        dispatcher = Dispatcher(catalogue.database, make_celery(embedded_settings), embedded_settings, lambda: now)
        with structlog.testing.capture_logs() as lines:
            for _ in range(2 + HEARTBEATS_HEARD):
                dispatcher.tick()
                now += embedded_settings.heartbeat_s
        events = {line["event"]: line for line in lines if "images" in line and line["event"].startswith("images.")}
        for event, job, reason in [
            ("images.requeued", lost, "worker_lost"),
            ("images.failed", late, "deadline_passed"),
            ("images.recalled", paused, None),
        ]:
            assert (events[event]["job"], events[event].get("reason")) == (job.id, reason)
            assert events[event]["images"] == sorted(catalogue.ids(job))

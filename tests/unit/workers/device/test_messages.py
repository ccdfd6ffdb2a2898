"""A worker's child takes further messages by itself, and acknowledges each when its work has ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.records import Priority
from tests.servers import free_port
from workers.device.messages import Messages
from workers.shared.queue import (
    QUEUES,
    SHARD_TASK,
    TEMPLATE_TASK,
    make_celery,
    prepare_queue,
    publish_shard,
    publish_template,
    waiting_messages,
)


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    """The app of a worker, embedded and on servers."""
    prepare_queue(settings)
    app = make_celery(settings)
    app.amqp.queues.select(QUEUES)
    yield app
    app.close()


@pytest.fixture
def messages(app: Celery) -> Iterator[Messages]:
    messages = Messages(app)
    yield messages
    messages.close()


def test_messages_are_taken_in_the_order_of_the_queues(app: Celery, messages: Messages) -> None:
    publish_shard(app, ["bulk"], Priority.BULK)
    publish_template(app, "template", Priority.INTERACTIVE)
    publish_shard(app, ["interactive"], Priority.INTERACTIVE)
    taken = [messages.take() for _ in range(4)]
    assert [message and (message.task, message.argument) for message in taken] == [
        (TEMPLATE_TASK, "template"),
        (SHARD_TASK, ["interactive"]),
        (SHARD_TASK, ["bulk"]),
        None,
    ]


def test_a_message_that_is_put_back_is_taken_again(app: Celery, messages: Messages) -> None:
    publish_shard(app, ["image"], Priority.BULK)
    first = messages.take()
    assert first is not None
    assert waiting_messages(app) == 0
    first.put_back()
    assert waiting_messages(app) == 1
    again = messages.take()
    assert again is not None
    assert again.argument == ["image"]
    again.acknowledge()
    assert waiting_messages(app) == 0


def test_a_message_stays_with_redis_until_it_is_acknowledged(server_settings: Settings) -> None:
    app = make_celery(server_settings)
    messages = Messages(app)
    for name in ("first", "second"):
        publish_shard(app, [name], Priority.BULK)
    with app.connection_for_read() as connection:
        redis = connection.default_channel.client
        first, second = messages.take(), messages.take()
        assert first is not None
        assert second is not None
        assert redis.hlen("unacked") == 2
        first.acknowledge()
        assert redis.hlen("unacked") == 1
        # The broker sends it again when its time is over, and not before: the images are leased until then.
        messages.close()
        assert redis.hlen("unacked") == 1
    assert waiting_messages(app) == 0
    app.close()


def test_foreign_messages_are_thrown_away(app: Celery, messages: Messages) -> None:
    app.send_task("somebody_elses", args=[["image"]], queue=Priority.BULK.value)
    app.send_task(SHARD_TASK, args=[], queue=Priority.BULK.value)
    assert (messages.take(), messages.take()) == (None, None)
    assert waiting_messages(app) == 0


def test_a_broker_that_is_away_has_no_messages(embedded_settings: Settings) -> None:
    away = embedded_settings.model_copy(update={"broker_url": SecretStr(f"redis://127.0.0.1:{free_port()}/0")})
    messages = Messages(make_celery(away))
    assert messages.take() is None
    messages.close()

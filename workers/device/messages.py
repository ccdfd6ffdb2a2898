"""Messages that a worker's child takes itself: the shard after the current one, before that one has ended.

Celery's own process hands its child one message, and the next when that one is acknowledged; in between the device
would have nothing to do. A message that is taken here is acknowledged by its taker when its work has ended, as Celery
does it, and comes again where the process dies before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import KombuError
from kombu.message import Message

from workers.shared.queue import SHARD_TASK, TEMPLATE_TASK, connect_to_take

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Taken:
    """A message that is not acknowledged yet."""

    task: str
    argument: Any
    acknowledge: Callable[[], None]
    put_back: Callable[[], None]


class Messages:
    """Takes messages from the queues that the app consumes, the first queue first. One thread uses it."""

    def __init__(self, app: Celery | None = None) -> None:
        """``app``: ``None``: there are no messages."""
        self._app = app

    def take(self) -> Taken | None:
        """The next message; ``None``: there is none now, or the broker does not answer."""
        if self._app is None:
            return None
        with self._through_outages():
            channel = self._connection.default_channel
            # Closing must not send messages again: the broker does that, where their time is over.
            channel.qos.restore_at_shutdown = False
            for queue in self._app.amqp.queues.consume_from.values():
                message = queue.bind(channel).get(accept=["json"])
                if message is not None:
                    return self._taken(message)
        return None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if "_connection" in vars(self):
            self._connection.release()  # type: ignore[no-untyped-call]

    @functools.cached_property
    def _connection(self) -> Connection:
        if self._app is None:
            raise RuntimeError("there is no app whose queues could be read")
        return connect_to_take(self._app)

    def _taken(self, message: Message) -> Taken | None:
        """The message; ``None``: it is none of this service's, and is thrown away, as Celery does it."""
        try:
            task, [[argument], *_] = message.headers["task"], message.payload
        except (KombuError, LookupError, TypeError, ValueError):
            log.exception("message.unreadable")
            message.reject()  # type: ignore[no-untyped-call]
            return None
        if task not in {SHARD_TASK, TEMPLATE_TASK}:
            log.error("message.unknown_task", task=task)
            message.reject()  # type: ignore[no-untyped-call]
            return None

        def acknowledge() -> None:
            with self._through_outages():
                message.ack()  # type: ignore[no-untyped-call]

        def put_back() -> None:
            with self._through_outages():
                message.requeue()  # type: ignore[no-untyped-call]

        return Taken(task, argument, acknowledge, put_back)

    @contextmanager
    def _through_outages(self) -> Iterator[None]:
        """Log an outage of the broker; it sends again what it does not hear to be acknowledged."""
        errors = (KombuError, OSError, *self._connection.connection_errors, *self._connection.channel_errors)
        try:
            yield
        except errors as error:
            log.warning("queue.unavailable", error=str(error))

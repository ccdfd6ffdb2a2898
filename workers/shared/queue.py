"""The queue: a Celery app over Redis, or over a folder for the embedded service.

The broker may lose or repeat any message at any time. The ledger decides which work exists, leases decide who does it.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from celery import Celery
from celery.loaders.app import AppLoader
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError

from cleanplate.base.files import make_home_folder
from cleanplate.base.settings import Settings
from storage.records import Priority

#: Queue names, one for each priority, in the order in which a worker reads them.
QUEUES = tuple(priority.value for priority in Priority)
SHARD_TASK, TEMPLATE_TASK = "inpaint_shard", "make_template"

#: Seconds in which a stopping worker must end its current images.
DRAIN_S = 60
#: Seconds that Redis has to answer a consumer, which waits for messages, and anybody else.
_WAITS_S = 30
_ANSWERS_S = 2
#: Share of the hard time limit after which a shard is asked to end.
SOFT_SHARE = 0.9
#: Variables by which Celery's command line and app would follow the Celery of another project.
_FOREIGN_VARIABLES = frozenset({"APP", "BROKER_URL", "CONFIG_MODULE", "LOADER", "RESULT_BACKEND"})


class _InstalledModules(AppLoader):  # type: ignore[misc]
    """Imports the service's own modules as Python does; Celery's loader looks into the current folder first."""

    def import_from_cwd(self, module: str, imp: object = None, package: str | None = None) -> ModuleType:
        return importlib.import_module(module, package)


def make_celery(settings: Settings, *, consumes: bool = True) -> Celery:
    """Make a Celery app from these settings alone: publishes shards in the dispatcher, consumes them in a worker.

    Without ``consumes`` it waits less for a silent Redis: no call of it waits for messages.

    Removes the variables of other Celery projects from this process's environment: Celery reads them before its
    configuration.
    """
    for name in [name for name in os.environ if name.startswith("CELERY_") or name in _FOREIGN_VARIABLES]:
        del os.environ[name]
    app = Celery(
        "cleanplate",
        set_as_current=False,
        include=["workers.device.tasks"],
        loader=_InstalledModules,
        # The one fix-up, for Django, puts the current folder into sys.path where DJANGO_SETTINGS_MODULE is set.
        fixups=[],
    )
    app.conf.update(
        **_broker(settings, _WAITS_S if consumes else _ANSWERS_S),
        # The default exchange routes by the queue's name: the broker keeps no binding that it could lose.
        task_queues=[Queue(name, Exchange(""), routing_key=name) for name in QUEUES],  # type: ignore[no-untyped-call]
        task_default_queue=Priority.BULK.value,
        task_create_missing_queues=False,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # A message leaves the broker when its shard has ended. A repeated message finds its images leased or ended.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=settings.task_time_limit_s,
        task_soft_time_limit=settings.task_time_limit_s * SOFT_SHARE,
        task_send_sent_event=False,
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_enable_remote_control=not settings.embedded_broker,
        worker_soft_shutdown_timeout=DRAIN_S,
        # A child is up when it has loaded the network, which takes a while on a cold disk.
        worker_proc_alive_timeout=300,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    return app


def _broker(settings: Settings, answer_s: float) -> dict[str, Any]:
    if settings.embedded_broker:
        messages, control = _folders(settings.home)
        return {
            "broker_url": "filesystem://localhost",
            "broker_transport": "workers.shared.folder_queue:Transport",
            "broker_transport_options": {
                "data_folder_in": str(messages),
                "data_folder_out": str(messages),
                "control_folder": str(control),
                "polling_interval": 0.2,
            },
        }
    return {
        "broker_url": settings.broker_url.get_secret_value(),
        "broker_transport_options": {
            # The first queue is emptied before the second.
            "queue_order_strategy": "priority",
            # Longer than any shard takes: otherwise Redis hands the message out a second time.
            "visibility_timeout": settings.task_time_limit_s + 2 * DRAIN_S,
            "unacked_restore_interval": 15,
            "unacked_restore_throttle": 1,
            "socket_timeout": answer_s,
            "socket_connect_timeout": min(10, answer_s),
            "socket_keepalive": True,
            "health_check_interval": 25,
            # Of one publish: the consumer and the dispatcher have loops of their own.
            "max_retries": 1,
        },
    }


def _folders(home: Path) -> tuple[Path, Path]:
    """The folders of the messages and of the transport's own tables."""
    return home / "queue" / "messages", home / "queue" / "control"


def prepare_queue(settings: Settings) -> None:
    """Make the folders of the embedded queue, for this user alone. Repeatable."""
    if settings.embedded_broker:
        for folder in _folders(settings.home):
            make_home_folder(folder)


def publish_shard(app: Celery, image_ids: list[str], queue: Priority) -> None:
    """Send one shard to the queue, in one try.

    Raises:
        kombu.exceptions.OperationalError: the broker is unavailable.
    """
    app.send_task(SHARD_TASK, args=[image_ids], queue=queue.value, retry=False, ignore_result=True)


def connect_to_take(app: Celery) -> Connection:
    """A connection for taking messages that are there, without a wait for others."""
    options = {"socket_timeout": _ANSWERS_S, "socket_connect_timeout": _ANSWERS_S, "interval_start": 0}
    connection: Connection = app.connection_for_read(transport_options=options)
    return connection


def waiting_messages(app: Celery) -> int:
    """Number of messages in all queues that no worker has taken.

    Raises:
        kombu.exceptions.OperationalError: the broker is unavailable.
    """
    with app.connection_for_write() as connection:
        try:
            channel = connection.default_channel
            return sum(int(channel.queue_declare(queue=name).message_count) for name in QUEUES)
        except connection.connection_errors + connection.channel_errors as error:
            raise OperationalError(str(error)) from error


def publish_template(app: Celery, template_id: str, queue: Priority) -> None:
    """Send a template that is to be made to the queue. Raises as :func:`publish_shard`."""
    app.send_task(TEMPLATE_TASK, args=[template_id], queue=queue.value, retry=False, ignore_result=True)

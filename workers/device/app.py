"""``workers.device.app:app``, the Celery app of a worker process, built from the environment.

Only the pool's child imports torch: a parent that has touched CUDA breaks its forked children.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import structlog
from celery import signals
from celery.worker import state

from cleanplate.base.settings import load_settings
from cleanplate.telemetry.logs import configure
from workers.device import resources
from workers.device.drain import Drain
from workers.shared.heartbeats import FILE_VARIABLE, write_failure
from workers.shared.queue import make_celery, prepare_queue

__all__ = ["app", "make_celery"]

log = structlog.get_logger(__name__)

settings = load_settings()
app = make_celery(settings)
drain = Drain()


def _set_up_logging(**_: Any) -> None:
    configure(settings)
    # Their info lines repeat whole messages; the pipeline logs the end of each image.
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _prepare(**_: Any) -> None:
    prepare_queue(settings)


def _begin_to_drain(**_: Any) -> None:
    drain.begin()
    if not state.reserved_requests:
        # No shard is held, and Celery would wait some seconds for its threads and for an idle child.
        # A message that arrives at this moment is published again.
        os._exit(0)


def _open_resources(**_: Any) -> None:
    try:
        resources.open_for_process(settings, drain, app)
    except Exception as error:
        # Celery would keep a child that can do nothing. Its parent ends instead, and the supervisor starts both anew.
        log.exception("worker.cannot_start")
        if path := os.environ.get(FILE_VARIABLE):
            write_failure(Path(path), error)
        resources.request_new_process("cannot_start")
        os._exit(1)


def _close_resources(**_: Any) -> None:
    resources.close_for_process()


signals.setup_logging.connect(_set_up_logging, weak=False)
signals.worker_init.connect(_prepare, weak=False)
signals.worker_shutting_down.connect(_begin_to_drain, weak=False)
signals.worker_process_init.connect(_open_resources, weak=False)
signals.worker_process_shutdown.connect(_close_resources, weak=False)

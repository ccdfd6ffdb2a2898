"""The Celery tasks: run a shard, make a template.

A message is only a hint; a task processes the images that it manages to lease.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from celery import shared_task

from cleanplate.telemetry import meters
from workers.device import resources
from workers.device.images.pipeline import run_shard
from workers.device.templates.pipeline import make_template
from workers.shared.queue import SHARD_TASK, TEMPLATE_TASK

if TYPE_CHECKING:
    from model.engine.engine import Engine


def _inpaint_shard(image_ids: list[str]) -> None:
    own = resources.own_resources()
    with _measured(own.inpainter.engine):
        device_works = run_shard(image_ids, own)
    if not device_works:
        resources.request_new_process("device_lost")


@contextmanager
def _measured(engine: Engine) -> Iterator[None]:
    """Count the device's work during the block in the metrics."""
    started_at, before = time.monotonic(), engine.load
    try:
        yield
    finally:
        seconds, after = time.monotonic() - started_at, engine.load
        idle = min(max(after.idle_s - before.idle_s, 0.0), seconds)
        meters.DEVICE_SECONDS.labels("idle").inc(idle)
        meters.DEVICE_SECONDS.labels("busy").inc(seconds - idle)
        if passes := after.passes - before.passes:
            meters.BATCH_TILES.observe((after.tiles - before.tiles) / passes)
        meters.SHARDS_DONE.inc()


def _make_template(template_id: str) -> None:
    own = resources.own_resources()
    with _measured(own.inpainter.engine):
        make_template(template_id, own)


inpaint_shard = shared_task(name=SHARD_TASK)(_inpaint_shard)
make_template_task = shared_task(name=TEMPLATE_TASK)(_make_template)

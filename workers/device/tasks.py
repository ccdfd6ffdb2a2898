"""The Celery tasks: a shard, and a template to be made.

What a message says is a wish; what this process may do is what it can lease.
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
from workers.shared.queue import MAKING_TASK, TASK

if TYPE_CHECKING:
    from model.engine.engine import Engine


def _inpaint_shard(image_ids: list[str]) -> None:
    held = resources.held()
    with _told(held.inpainter.engine):
        goes_on = run_shard(image_ids, held)
    if not goes_on:
        resources.ask_for_a_new_process("device_lost")


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    """Tells the metrics what the device has done during a shard."""
    begun, before = time.monotonic(), engine.load
    try:
        yield
    finally:
        seconds, after = time.monotonic() - begun, engine.load
        idle = min(max(after.idle_s - before.idle_s, 0.0), seconds)
        meters.DEVICE_SECONDS.labels("idle").inc(idle)
        meters.DEVICE_SECONDS.labels("busy").inc(seconds - idle)
        if passes := after.passes - before.passes:
            meters.BATCH_TILES.observe((after.tiles - before.tiles) / passes)
        meters.SHARDS_DONE.inc()


def _make_template(template_id: str) -> None:
    held = resources.held()
    with _told(held.inpainter.engine):
        make_template(template_id, held)


inpaint_shard = shared_task(name=TASK)(_inpaint_shard)
make_template_task = shared_task(name=MAKING_TASK)(_make_template)

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
from workers.device.images.pipeline import Shard, run_shard
from workers.device.messages import Taken
from workers.device.resources import Resources
from workers.device.templates.pipeline import make_template
from workers.shared.queue import SHARD_TASK, TEMPLATE_TASK

if TYPE_CHECKING:
    from model.engine.engine import Engine


#: Share of a task's time limit in which it takes further messages: each shard keeps nearly the whole limit.
_TAKES_SHARE = 0.1


class _Following:
    """The messages after a task's own, which the task takes while its shards are on their way."""

    def __init__(self, own: Resources) -> None:
        self._own = own
        self._until = time.monotonic() + own.settings.task_time_limit_s * _TAKES_SHARE
        #: A message that asks for a template: the last one that is taken, worked on when the shards have ended.
        self.template: Taken | None = None

    def next_shard(self) -> Shard | None:
        """The shard of the next message; ``None``: there is none now, or no further message may be taken."""
        if self.template is not None or time.monotonic() > self._until:
            return None
        taken = self._own.messages.take()
        if taken is None:
            return None
        if taken.task == TEMPLATE_TASK:
            self.template = taken
            return None
        return Shard(taken.argument, taken.acknowledge)


def _inpaint_shard(image_ids: list[str]) -> None:
    own = resources.own_resources()
    following = _Following(own)
    device_works = False
    with _measured(own.inpainter.engine):
        try:
            device_works = run_shard(image_ids, own, following.next_shard)
        finally:
            if following.template is not None and not device_works:
                following.template.put_back()
        if following.template is not None and device_works:
            make_template(following.template.argument, own)
            following.template.acknowledge()
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


def _make_template(template_id: str) -> None:
    own = resources.own_resources()
    with _measured(own.inpainter.engine):
        make_template(template_id, own)


inpaint_shard = shared_task(name=SHARD_TASK)(_inpaint_shard)
make_template_task = shared_task(name=TEMPLATE_TASK)(_make_template)

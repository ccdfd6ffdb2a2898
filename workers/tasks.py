"""The one Celery task: a shard. What a message says is a wish; what this process may do is what it can lease."""

from __future__ import annotations

from celery import shared_task

from workers import resources
from workers.pipeline import run_shard
from workers.queue import TASK


def _inpaint_shard(image_ids: list[str]) -> None:
    if not run_shard(image_ids, resources.held()):
        resources.ask_for_a_new_process("device_lost")


inpaint_shard = shared_task(name=TASK)(_inpaint_shard)

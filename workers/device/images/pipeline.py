"""Shards on their way through one process: leased, sent through the steps (steps.py) by the shard executor, ended.

They are one stream: the next shard is leased while pictures of the one before are still decoded, filled and written,
so that the device does not wait between two shards. Each shard keeps a lease of its own. Several pictures are with the
engine at once, which batches their tiles. Images that the process does not begin are given back.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from structlog.contextvars import bound_contextvars

from cleanplate.telemetry import meters
from storage.ledger.images.leases import lease_images, release_images
from storage.ledger.story import log_images
from workers.device.images.finisher import Finisher
from workers.device.images.shard_executor import ShardExecutor, StreamState
from workers.device.images.stages import MOST_SHARDS
from workers.device.images.steps import Steps
from workers.device.lease import LeaseHeartbeat, give_back, lease_on_images, take_lease
from workers.device.resources import Resources

log = structlog.get_logger(__name__)

#: Seconds between two looks for a further shard where there was none.
_LOOK_S = 0.25


def _nothing() -> None: ...


@dataclass(frozen=True)
class Shard:
    """The images of one message."""

    image_ids: list[str]
    #: Called when each of its images has come to an end here or was given back: acknowledges the message.
    on_end: Callable[[], None] = _nothing


#: Returns the next shard, ``None`` where there is none now.
NextShard = Callable[[], Shard | None]


def run_shard(image_ids: list[str], resources: Resources, next_shard: NextShard = lambda: None) -> bool:
    """Lease the images of ``image_ids`` that are still free, and bring each to its end; so with the shards after them.

    ``next_shard`` is asked, by the calling thread, as soon as the device could run out of pictures.

    Returns False when the device failed for good and this process can do nothing more.
    """
    return _Stream(resources, next_shard).run(Shard(image_ids))


class _Stream:
    def __init__(self, resources: Resources, next_shard: NextShard) -> None:
        self._resources = resources
        self._next_shard = next_shard
        self._state = StreamState(resources.stages.budget)
        self._under_way: dict[Future[None], Shard] = {}
        #: Of the shards that are leased.
        self._executors: list[ShardExecutor] = []
        #: Shards that are not leased yet.
        self._leasing = 0
        self._looks_at = 0.0

    def run(self, first: Shard) -> bool:
        """Run ``first`` and the shards after it; raises the first error of a shard when all have ended."""
        errors: list[BaseException] = []
        try:
            self._begin(first)
            while self._under_way:
                with self._state.changed:
                    self._state.changed.wait_for(lambda: self._ended() or self._is_hungry(), timeout=_LOOK_S)
                errors += self._end()
                if self._is_hungry():
                    self._look()
        except SoftTimeLimitExceeded:
            for executor in list(self._executors):
                executor.fail_images_on_device()
            self._state.stop()
            wait(self._under_way)
            errors += self._end()
        if errors:
            raise errors[0]
        return not self._state.device_lost

    def _is_hungry(self) -> bool:
        """Whether the device could run out of pictures, and another shard may begin."""
        return (
            self._leasing == 0
            and len(self._under_way) < MOST_SHARDS
            and self._state.ahead < 2 * self._resources.inpainter.pictures_at_once
            and time.monotonic() >= self._looks_at
            and not self._is_stopping()
        )

    def _is_stopping(self) -> bool:
        return self._state.stopped or self._resources.drain.begun

    def _look(self) -> None:
        shard = self._next_shard()
        if shard is None:
            self._looks_at = time.monotonic() + _LOOK_S
        else:
            self._begin(shard)

    def _begin(self, shard: Shard) -> None:
        with self._state.changed:
            self._leasing += 1
        future = self._resources.stages.shards.submit(self._work, shard.image_ids)
        self._under_way[future] = shard
        future.add_done_callback(lambda _: self._notify())

    def _notify(self) -> None:
        with self._state.changed:
            self._state.changed.notify_all()

    def _ended(self) -> list[Future[None]]:
        return [future for future in self._under_way if future.done()]

    def _end(self) -> list[BaseException]:
        """Let go of the shards that have ended; their errors."""
        errors = []
        for future in self._ended():
            self._under_way.pop(future).on_end()
            if (error := future.exception()) is not None:
                log.error("shard.failed", exc_info=error)
                errors.append(error)
        return errors

    def _work(self, image_ids: list[str]) -> None:
        """Bring one shard to its end."""
        settings, database = self._resources.settings, self._resources.database
        take = functools.partial(
            lease_images, database, image_ids, worker=self._resources.worker, lease_s=settings.lease_s
        )
        try:
            taken = take_lease(take, self._is_stopping, images=image_ids)
            if taken is None:
                return
            taken_at, (token, images) = taken
            if not images:
                log.info("shard.nothing_to_lease", images=image_ids)
                return
            leased_ids = [image.id for image in images]
            lease = lease_on_images(database, token, leased_ids, lease_s=settings.lease_s, taken_at=taken_at)
            finisher = Finisher(database, lease, max_attempts=settings.max_attempts)
            executor = ShardExecutor(self._resources, lease, finisher, images, self._state)
            self._executors.append(executor)
        finally:
            with self._state.changed:
                self._leasing -= 1
                self._state.changed.notify_all()
        facts = {"job": images[0].job_id, "worker": self._resources.worker, "lease_s": settings.lease_s}
        log_images(log.info, "images.leased", leased_ids, **facts)
        with bound_contextvars(job=images[0].job_id), LeaseHeartbeat(lease, settings.heartbeat_s):
            with finisher:
                executor.run(Steps(self._resources, lease, executor).fetch)
            self._executors.remove(executor)
            if unfinished := executor.unfinished:
                log.info("shard.interrupted")
                give_back(lease, unfinished, lambda: release_images(database, token, unfinished))
        meters.SHARDS_DONE.inc()

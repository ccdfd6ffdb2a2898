"""Runs a shard's pictures through their steps: the threads of each step, and the ways in which an image leaves.

Each step has its own threads, so that one slow picture does not delay others. Every image leaves in one of four ways:
with an outcome handed to the finisher; dropped, because its lease is lost; given back unharmed; or reaped, when this
process dies.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from celery.exceptions import SoftTimeLimitExceeded
from structlog.contextvars import bound_contextvars

from cleanplate.base.image_records import ImageRecord
from model.errors import DeviceLost
from storage.records import ImageState, LeasedImage, Outcome
from workers.device.images.byte_budget import ByteBudget
from workers.device.images.finisher import Finisher
from workers.device.images.image_context import ImageContext
from workers.device.images.outcomes import failure, time_limit_exceeded
from workers.device.lease import Lease
from workers.device.resources import Resources
from workers.errors import Interrupted, LeaseLost
from workers.shared.queue import SOFT_SHARE

#: Threads that wait for the blob store; several may be stuck with slow answers while the others go on.
FETCH_THREADS = 8
#: Threads that decode, and as many that encode and store: these compute.
CODEC_THREADS = max(2, min(8, os.cpu_count() or 1))
#: Bytes of the pictures between fetching and storing.
BYTES_IN_FLIGHT = 1 << 30

Step = Callable[[], None]


class ShardExecutor:
    """Runs one shard. The steps call every method but :meth:`run`, from any thread."""

    def __init__(
        self, resources: Resources, lease: Lease[tuple[int, int]], finisher: Finisher, images: list[LeasedImage]
    ) -> None:
        self._resources = resources
        self._lease = lease
        self._finisher = finisher
        self._images = images
        self._budget = ByteBudget(BYTES_IN_FLIGHT)
        #: Guards the attributes below, and notifies of changes.
        self._changed = threading.Condition()
        #: Ids without an outcome and not known to be lost: they are given back at an early end.
        self._open = {image.id for image in images}
        #: Number of images that have not left yet.
        self._in_flight = len(images)
        #: Images with the engine, each with the time since when.
        self._on_device: dict[str, tuple[LeasedImage, float]] = {}
        self._stopped = False
        self.device_lost = False

    @property
    def unfinished(self) -> list[str]:
        """Ids of the images that have come to no end here."""
        return sorted(self._open)

    def run(self, first: Callable[[ImageContext], None]) -> None:
        """Run all images from their first step on, until the last has left."""
        with ExitStack() as pools:
            # Closed in the reverse order, each when no step can submit to it any more.
            self._store_pool = pools.enter_context(ThreadPoolExecutor(CODEC_THREADS, "store"))
            pictures_at_once = self._resources.inpainter.pictures_at_once
            self._fill_pool = pools.enter_context(ThreadPoolExecutor(pictures_at_once, "fill"))
            self._decode_pool = pools.enter_context(ThreadPoolExecutor(CODEC_THREADS, "decode"))
            fetch_pool = pools.enter_context(ThreadPoolExecutor(FETCH_THREADS, "fetch"))
            pools.callback(self._stop)
            try:
                for image in self._images:
                    context = ImageContext(image)
                    fetch_pool.submit(self._run_step, context, functools.partial(first, context))
                with self._changed:
                    self._changed.wait_for(lambda: self._in_flight == 0)
            except SoftTimeLimitExceeded:
                self._fail_images_on_device()

    def submit_decode(self, context: ImageContext, step: Step, nbytes: int) -> None:
        """Submit to the decoders, as soon as there is room for ``nbytes`` more. Raises Interrupted."""
        self._budget.take(nbytes)
        context.nbytes = nbytes
        self._decode_pool.submit(self._run_step, context, step)

    def submit_fill(self, context: ImageContext, step: Step) -> None:
        """Submit to the threads that wait for the engine."""
        self._fill_pool.submit(self._run_step, context, step)

    def submit_store(self, context: ImageContext, step: Step) -> None:
        """Submit the last step. It runs even after a stop, because the device's work is done."""
        self._store_pool.submit(self._run_last_step, context, step)

    def check_not_stopping(self) -> None:
        """Raise Interrupted where no new work may begin."""
        if self._resources.drain.begun:
            raise Interrupted

    def check_may_go_on(self, image_id: str) -> None:
        """Raise LeaseLost or Interrupted where the work on an image must end."""
        self._lease.check(image_id)
        if self._stopped or self._resources.drain.overdue:
            raise Interrupted

    @contextmanager
    def on_device(self, image: LeasedImage) -> Iterator[None]:
        """Mark the image as on the device: if the soft time limit fires, this image fails."""
        with self._changed:
            self._on_device[image.id] = image, time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._on_device[image.id]

    def end(self, image: LeasedImage, outcome: Outcome) -> None:
        """Hand the image's outcome to the finisher, unless the image has one."""
        with self._changed:
            if image.id not in self._open:
                return
            self._open.discard(image.id)
        self._finisher.add(image, outcome)
        self._resources.activity.count_image()

    def _run_step(self, context: ImageContext, step: Step) -> None:
        """Run one step of one image in a thread. An error ends this image and no other."""
        image = context.image
        with bound_contextvars(image=image.id, job=image.job_id):
            try:
                if self._stopped:
                    raise Interrupted
                self._lease.check(image.id)
                step()
            except Interrupted:
                self._leave(context, "given_back")
            except LeaseLost:
                self._drop(context)
            except Exception as error:
                if isinstance(error, DeviceLost):
                    # Nothing can be filled here any more; images that have not begun keep their attempt.
                    self.device_lost = True
                    self._stop()
                self._fail(context, error)

    def _run_last_step(self, context: ImageContext, step: Step) -> None:
        image = context.image
        with bound_contextvars(image=image.id, job=image.job_id):
            try:
                self._lease.check(image.id)
                step()
            except LeaseLost:
                self._drop(context)
            except Exception as error:
                self._fail(context, error)
            else:
                self._leave(context, ImageState.SUCCEEDED)

    def _drop(self, context: ImageContext) -> None:
        with self._changed:
            self._open.discard(context.image.id)
        self._leave(context, "lease_lost")

    def _fail(self, context: ImageContext, error: Exception) -> None:
        outcome = failure(context.image, error, ImageRecord(worker=self._resources.worker, sha256=context.sha256))
        self.end(context.image, outcome)
        self._leave(context, outcome.error_code or outcome.state)

    def _leave(self, context: ImageContext, outcome: str) -> None:
        context.span.tell(outcome=outcome)
        context.span.end()
        self._budget.give(context.nbytes)
        if self._resources.drain.begun:
            # Pictures that wait for room must not begin any more.
            self._budget.close()
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def _stop(self) -> None:
        """Begin nothing new, and end the pictures with the engine at their next tile."""
        self._stopped = True
        self._budget.close()

    def _fail_images_on_device(self) -> None:
        """At the soft time limit, fail the images that took most of it; images that came late are given back."""
        with self._changed:
            on_device = list(self._on_device.values())
        for image, since in on_device:
            seconds = time.monotonic() - since
            if seconds > self._resources.settings.task_time_limit_s * SOFT_SHARE / 2:
                self.end(image, time_limit_exceeded(image, seconds, ImageRecord(worker=self._resources.worker)))

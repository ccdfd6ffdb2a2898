"""Runs a shard's pictures through their steps, and knows the ways in which an image leaves.

Steps run in the process's threads (stages.py), which the shards under way share. Every image leaves in one of four
ways: with an outcome handed to the finisher; dropped, because its lease is lost; given back unharmed; or reaped, when
this process dies.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

Step = Callable[[], None]


class StreamState:
    """What the shards under way share: the reasons to end early, and the pictures that the device still waits for."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        #: Guards the attributes below and those of the shards, and notifies of changes.
        self.changed = threading.Condition()
        #: Begin nothing new, and end the pictures with the engine at their next tile.
        self.stopped = False
        self.device_lost = False
        #: Leased images that have not come through the device.
        self.ahead = 0

    def stop(self) -> None:
        """Stop all shards; pictures that wait for room are given back at once."""
        self.stopped = True
        self._budget.wake()


class ShardExecutor:
    """Runs one shard. The steps call every method but :meth:`run`, from any thread."""

    def __init__(
        self,
        resources: Resources,
        lease: Lease[tuple[int, int]],
        finisher: Finisher,
        images: list[LeasedImage],
        stream: StreamState,
    ) -> None:
        self._resources = resources
        self._stages = resources.stages
        self._lease = lease
        self._finisher = finisher
        self._images = images
        self._stream = stream
        self._changed = stream.changed
        #: Ids without an outcome and not known to be lost: they are given back at an early end.
        self._open = {image.id for image in images}
        #: Number of images that have not left yet.
        self._in_flight = len(images)
        #: Ids that have not come through the device.
        self._ahead = {image.id for image in images}
        #: Images with the engine, each with the time since when.
        self._on_device: dict[str, tuple[LeasedImage, float]] = {}
        with self._changed:
            stream.ahead += len(images)

    @property
    def unfinished(self) -> list[str]:
        """Ids of the images that have come to no end here."""
        return sorted(self._open)

    def run(self, first: Callable[[ImageContext], None]) -> None:
        """Run all images from their first step on, until the last has left."""
        for image in self._images:
            context = ImageContext(image)
            self._stages.fetch.submit(self._run_step, context, functools.partial(first, context))
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight == 0)

    def submit_decode(self, context: ImageContext, step: Step, nbytes: int) -> None:
        """Submit to the decoders, as soon as there is room for ``nbytes`` more. Raises Interrupted."""
        self._stages.budget.take(nbytes, lambda: self._stream.stopped or self._resources.drain.begun)
        context.nbytes = nbytes
        self._stages.decode.submit(self._run_step, context, step)

    def submit_fill(self, context: ImageContext, step: Step) -> None:
        """Submit to the threads that wait for the engine."""
        self._stages.fill.submit(self._run_step, context, step)

    def submit_encode(self, context: ImageContext, step: Step) -> None:
        """Submit to the encoders. From here on a picture goes on even after a stop: the device's work is done."""
        self._come_through(context)
        self._stages.encode.submit(self._run_late_step, context, step)

    def submit_store(self, context: ImageContext, step: Step) -> None:
        """Submit the last step."""
        self._come_through(context)
        self._stages.store.submit(self._run_last_step, context, step)

    def check_not_stopping(self) -> None:
        """Raise Interrupted where no new work may begin."""
        if self._resources.drain.begun:
            raise Interrupted

    def check_may_go_on(self, image_id: str) -> None:
        """Raise LeaseLost or Interrupted where the work on an image must end."""
        self._lease.check(image_id)
        if self._stream.stopped or self._resources.drain.overdue:
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
                if self._stream.stopped:
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
                    self._stream.device_lost = True
                    self._stream.stop()
                self._fail(context, error)

    def _run_late_step(self, context: ImageContext, step: Step) -> bool:
        """Run a step after the device; whether it went well."""
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
                return True
            return False

    def _run_last_step(self, context: ImageContext, step: Step) -> None:
        if self._run_late_step(context, step):
            self._leave(context, ImageState.SUCCEEDED)

    def _drop(self, context: ImageContext) -> None:
        with self._changed:
            self._open.discard(context.image.id)
        self._leave(context, "lease_lost")

    def _fail(self, context: ImageContext, error: Exception) -> None:
        outcome = failure(context.image, error, ImageRecord(worker=self._resources.worker, sha256=context.sha256))
        self.end(context.image, outcome)
        self._leave(context, outcome.error_code or outcome.state)

    def _come_through(self, context: ImageContext) -> None:
        """Note that the device waits for this image no longer."""
        with self._changed:
            if context.image.id in self._ahead:
                self._ahead.discard(context.image.id)
                self._stream.ahead -= 1
                self._changed.notify_all()

    def _leave(self, context: ImageContext, outcome: str) -> None:
        context.span.tell(outcome=outcome)
        context.span.end()
        # Of those that wait for room, this wakes the ones that must not begin any more as well.
        self._stages.budget.give(context.nbytes)
        self._come_through(context)
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def fail_images_on_device(self) -> None:
        """At the soft time limit, fail the images that took most of it; images that came late are given back."""
        with self._changed:
            on_device = list(self._on_device.values())
        for image, since in on_device:
            seconds = time.monotonic() - since
            if seconds > self._resources.settings.task_time_limit_s * SOFT_SHARE / 2:
                self.end(image, time_limit_exceeded(image, seconds, ImageRecord(worker=self._resources.worker)))

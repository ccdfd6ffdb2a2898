"""The line that a shard's pictures stand in: the threads of its steps, who is still in it, and the ways to leave it.

Each step has threads of its own, so that one slow picture holds up no other. Every image leaves in one of four ways:
with an outcome given to the finisher, with its lease lost (dropped), given back unharmed, or, when this process dies,
reaped.
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

from model.errors import DeviceLost
from storage.records import ImageState, LeasedImage, Outcome
from workers.device.images.byte_budget import ByteBudget
from workers.device.images.finisher import Finisher
from workers.device.images.image_context import ImageContext
from workers.device.images.outcomes import failure, out_of_time
from workers.device.lease import Lease
from workers.device.resources import Resources
from workers.errors import Interrupted, LeaseLost
from workers.shared.queue import SOFT_SHARE

#: Threads that wait for the blob store; several may be stuck with slow answers while the others go on.
FETCHES = 8
#: Threads that decode, and as many that encode and store: pure computing.
CODERS = max(2, min(8, os.cpu_count() or 1))
#: Bytes of the pictures between fetching and storing.
BYTES_IN_FLIGHT = 1 << 30

Step = Callable[[], None]


class ShardExecutor:
    """One shard's. All but :meth:`run` is called by the steps, in whatever thread."""

    def __init__(self, resources: Resources, lease: Lease, finisher: Finisher, images: list[LeasedImage]) -> None:
        self._resources = resources
        self._lease = lease
        self._finisher = finisher
        self._images = images
        self._worker = {"worker": resources.worker}
        self._budget = ByteBudget(BYTES_IN_FLIGHT)
        #: Guards what follows, and says when it changes.
        self._changed = threading.Condition()
        #: Ids without an outcome yet and not known to be lost: what is given back at an early end.
        self._open = {image.id for image in images}
        #: Images that are still to leave, in whatever way.
        self._moving = len(images)
        #: Since when an image is with the engine.
        self._on_device: dict[str, tuple[LeasedImage, float]] = {}
        self._stopped = False
        self.device_lost = False

    @property
    def left_over(self) -> list[str]:
        """Ids of the images that came to no end here."""
        return sorted(self._open)

    def run(self, first: Callable[[ImageContext], None]) -> None:
        """Send all images through from their first step on, each handing on to the next, until the last has left."""
        with ExitStack() as threads:
            # Ended in the reverse order, each when nobody can hand anything to it any more.
            self._stores = threads.enter_context(ThreadPoolExecutor(CODERS, "store"))
            at_once = self._resources.inpainter.pictures_at_once
            self._fills = threads.enter_context(ThreadPoolExecutor(at_once, "fill"))
            self._decodes = threads.enter_context(ThreadPoolExecutor(CODERS, "decode"))
            fetches = threads.enter_context(ThreadPoolExecutor(FETCHES, "fetch"))
            threads.callback(self._stop)
            try:
                for image in self._images:
                    context = ImageContext(image)
                    fetches.submit(self._take, context, functools.partial(first, context))
                with self._changed:
                    self._changed.wait_for(lambda: self._moving == 0)
            except SoftTimeLimitExceeded:
                self._blame_device()

    def to_decode(self, context: ImageContext, step: Step, nbytes: int) -> None:
        """Hand on to the coders, as soon as there is room for ``nbytes`` more. Raises Interrupted."""
        self._budget.take(nbytes)
        context.nbytes = nbytes
        self._decodes.submit(self._take, context, step)

    def to_fill(self, context: ImageContext, step: Step) -> None:
        self._fills.submit(self._take, context, step)

    def to_store(self, context: ImageContext, step: Step) -> None:
        """The last step; it is taken even when the line was stopped, because the device's work is done."""
        self._stores.submit(self._take_last, context, step)

    def begin(self) -> None:
        """Raises Interrupted where nothing new is to be begun."""
        if self._resources.drain.begun:
            raise Interrupted

    def go_on(self, image_id: str) -> None:
        """Raises LeaseLost or Interrupted where the work on an image is not to go on."""
        self._lease.check(image_id)
        if self._stopped or self._resources.drain.overdue:
            raise Interrupted

    @contextmanager
    def with_engine(self, image: LeasedImage) -> Iterator[None]:
        """While the engine has the image, it is to blame for what the device does not do in time."""
        with self._changed:
            self._on_device[image.id] = image, time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._on_device[image.id]

    def end(self, image: LeasedImage, outcome: Outcome) -> None:
        """This is the image's outcome, unless it has one."""
        with self._changed:
            if image.id not in self._open:
                return
            self._open.discard(image.id)
        self._finisher.add(image, outcome)
        self._resources.activity.image_ended()

    def _take(self, context: ImageContext, step: Step) -> None:
        """One step of one image in a thread. What it raises ends this image and nothing else."""
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
                    # Nothing can be filled here any more; those that were not begun are spared the attempt.
                    self.device_lost = True
                    self._stop()
                self._fail(context, error)

    def _take_last(self, context: ImageContext, step: Step) -> None:
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
        outcome = failure(context.image, error, {**self._worker, "sha256": context.sha256})
        self.end(context.image, outcome)
        self._leave(context, outcome.error_code or outcome.state)

    def _leave(self, context: ImageContext, outcome: str) -> None:
        context.span.tell(outcome=outcome)
        context.span.end()
        self._budget.give(context.nbytes)
        if self._resources.drain.begun:
            # Whoever waits for room is not to begin any more.
            self._budget.close()
        with self._changed:
            self._moving -= 1
            self._changed.notify_all()

    def _stop(self) -> None:
        """What has not been begun is not begun any more, and what is with the engine ends at its next tile."""
        self._stopped = True
        self._budget.close()

    def _blame_device(self) -> None:
        """At the soft time limit: an image that took most of it fails; one that only came late is given back."""
        with self._changed:
            held = list(self._on_device.values())
        for image, since in held:
            seconds = time.monotonic() - since
            if seconds > self._resources.settings.task_time_limit_s * SOFT_SHARE / 2:
                self.end(image, out_of_time(image, seconds, self._worker))

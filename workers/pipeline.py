"""A shard on its way through one process: fetched and decoded ahead, filled on the device, encoded and stored behind.

Each step has threads of its own, so that one slow picture holds up no other, and several pictures are with the engine
at once, which batches their tiles. Every image ends in one of four ways: an outcome given to the finisher, a lost lease
(dropped), given back unharmed, or, when this process dies, reaped.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import structlog
from celery.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray
from structlog.contextvars import bound_contextvars

from model.errors import DeviceLost
from model.imaging import Limits, probe
from model.imaging.memory import bounded
from model.preview import Preview, preview
from model.repair import Repaired, fill_parts, read, write
from model.text.files import find as find_text
from model.text.wanted import Wanted
from model.watermark.template import Template
from storage.blobs.keys import preview_key, result_key
from storage.errors import LedgerUnavailable
from storage.ledger.leases import lease_images, release_images
from storage.options import JobOptions
from storage.records import ImageState, LeasedImage, Outcome
from workers.budget import ByteBudget
from workers.errors import Interrupted, LeaseLost
from workers.fetching import boxes_file, placement_of
from workers.finishing import Finisher
from workers.lease import Heartbeat, Lease
from workers.outcomes import failure, out_of_time
from workers.passage import Passage, label_of, sha256, success
from workers.queue import SOFT_SHARE
from workers.resources import Resources
from workers.shared_files import SharedFiles
from workers.text_marks import AsItCame, about, skipped, wanted_of
from workers.unblending import Filling, Templates, Unblended, ended, unblended

log = structlog.get_logger(__name__)

#: Threads that wait for the blob store; several may be stuck with slow answers while the others go on.
FETCHES = 8
#: Threads that decode, and as many that encode and store: pure computing.
CODERS = max(2, min(8, os.cpu_count() or 1))
#: Bytes of the pictures between fetching and storing.
BYTES_IN_FLIGHT = 1 << 30
#: Longest wait between two tries to lease while the ledger is away, in seconds.
LEASE_RETRY_S = 10.0


def run_shard(image_ids: list[str], resources: Resources) -> bool:
    """Lease what can still be leased of ``image_ids`` and bring each to its end.

    False: the device failed for good, and this process cannot do anything more.
    """
    taken_at, token, images = _lease(image_ids, resources)
    if not images:
        log.info("shard.empty", images=image_ids)
        return True
    settings = resources.settings
    lease = Lease(
        resources.database,
        token,
        [image.id for image in images],
        lease_s=settings.lease_s,
        taken_at=taken_at,
    )
    shard = _Shard(resources, lease, images)
    with bound_contextvars(job=images[0].job_id):
        shard.run()
    return not shard.device_lost


def _lease(image_ids: list[str], resources: Resources) -> tuple[float, str, list[LeasedImage]]:
    """Waits for a ledger that is away: without it there is nothing else to do. The queue repeats what is given up."""
    pause = 0.5
    while True:
        taken_at = time.monotonic()
        try:
            token, images = lease_images(
                resources.database, image_ids, worker=resources.worker, lease_s=resources.settings.lease_s
            )
            return taken_at, token, images
        except LedgerUnavailable as error:
            log.warning("lease.waits", code=error.code, error=str(error), images=image_ids)
            if resources.drain.begun:
                return taken_at, "", []
            time.sleep(pause)
            pause = min(pause * 2, LEASE_RETRY_S)


class _Shard:
    def __init__(self, resources: Resources, lease: Lease, images: list[LeasedImage]) -> None:
        settings = resources.settings
        self._resources = resources
        self._lease = lease
        self._images = images
        self._limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        self._budget = ByteBudget(BYTES_IN_FLIGHT)
        self._finisher = Finisher(resources.database, lease, max_attempts=settings.max_attempts)
        self._masks = SharedFiles(resources.fetcher.blob)
        self._templates = Templates(resources.fetcher.blob)
        #: Guards what follows, and says when it changes.
        self._changed = threading.Condition()
        #: Ids without an outcome yet and not known to be lost: what is given back at an early end.
        self._open = {image.id for image in images}
        #: Images that are still to leave the line, in whatever way.
        self._moving = len(images)
        #: Since when an image is with the engine.
        self._on_device: dict[str, tuple[LeasedImage, float]] = {}
        self._stopped = False
        self.device_lost = False

    def run(self) -> None:
        with Heartbeat(self._lease, self._resources.settings.heartbeat_s):
            with self._finisher:
                self._work()
            if self._open:
                log.info("shard.interrupted", job=self._images[0].job_id)
                self._give_back()

    def _work(self) -> None:
        """Send all images through, each step handing on to the next; leaves when the last has left."""
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
                    passage = Passage(image)
                    fetches.submit(self._step, passage, functools.partial(self._fetch, passage))
                with self._changed:
                    self._changed.wait_for(lambda: self._moving == 0)
            except SoftTimeLimitExceeded:
                self._blame_device()

    def _stop(self) -> None:
        """What has not been begun is not begun any more, and what is with the engine ends at its next tile."""
        self._stopped = True
        self._budget.close()

    def _step(self, passage: Passage, step: Callable[[], None]) -> None:
        """One step of one image in a thread. What it raises ends this image and nothing else."""
        image = passage.image
        with bound_contextvars(image=image.id, job=image.job_id):
            self._take(passage, step)

    def _take(self, passage: Passage, step: Callable[[], None]) -> None:
        image = passage.image
        try:
            if self._stopped:
                raise Interrupted
            self._lease.check(image.id)
            step()
        except Interrupted:
            self._leave(passage, "given_back")
        except LeaseLost:
            with self._changed:
                self._open.discard(image.id)
            self._leave(passage, "lease_lost")
        except Exception as error:
            if isinstance(error, DeviceLost):
                # Nothing can be filled here any more; those that were not begun are spared the attempt.
                self.device_lost = True
                self._stop()
            outcome = failure(image, error)
            self._end(image, outcome)
            self._leave(passage, outcome.error_code or outcome.state)

    def _leave(self, passage: Passage, outcome: str) -> None:
        passage.span.tell(outcome=outcome)
        passage.span.end()
        self._budget.give(passage.nbytes)
        if self._resources.drain.begun:
            # Whoever waits for room is not to begin any more.
            self._budget.close()
        with self._changed:
            self._moving -= 1
            self._changed.notify_all()

    def _fetch(self, passage: Passage) -> None:
        if self._resources.drain.begun:
            raise Interrupted
        image = passage.image
        with self._resources.activity.step(), passage.timed("fetch"):
            source = self._resources.fetcher.source(image)
            if image.templates:
                following = functools.partial(self._unblend, passage, source, self._templates.of(image))
            elif (wanted := wanted_of(image)) is not None:
                following = functools.partial(self._find_text, passage, source, wanted)
            else:
                mask = self._masks.get(image.mask_key) if image.mask_key else boxes_file(image)
                following = functools.partial(self._decode, passage, source, mask)
        nbytes = len(source) + probe(source, self._limits).memory
        self._budget.take(nbytes)
        passage.nbytes = nbytes
        self._decodes.submit(self._step, passage, following)

    def _decode(self, passage: Passage, source: bytes, mask: bytes) -> None:
        options = JobOptions.model_validate(passage.image.options)
        networks = self._resources.networks
        activity = self._resources.activity
        with activity.step(), passage.timed("decode"), bounded(passage.nbytes), networks.use(options) as inpainter:
            passage.task = read(
                source,
                mask,
                limits=self._limits,
                dilation_px=options.dilation_px,
                feather_px=options.feather_px,
                mask_inverted=options.mask_inverted,
                placement=placement_of(passage.image),
                costs=inpainter.costs,
            )
            passage.sha256 = {"source": sha256(source), "mask": sha256(mask)}
        self._fills.submit(self._step, passage, functools.partial(self._fill, passage))

    def _find_text(self, passage: Passage, source: bytes, wanted: Wanted) -> None:
        """Decoding, with a mask that is found in the picture; without a mark it goes out as it came."""
        options = JobOptions.model_validate(passage.image.options)
        resources = self._resources
        with passage.timed("decode"), bounded(passage.nbytes), resources.networks.use(options) as inpainter:
            found = find_text(
                source,
                wanted,
                resources.text_reader,
                limits=self._limits,
                dilation_px=options.dilation_px,
                feather_px=options.feather_px,
                costs=inpainter.costs,
                step=resources.activity.step,
                on_page=functools.partial(self._go_on, passage.image.id),
            )
        passage.about = about(found)
        passage.sha256 = {"source": sha256(source)}
        passage.task = found.task
        if found.task is None:
            self._stores.submit(self._step_out, passage, functools.partial(self._hand_back, passage, source))
        else:
            self._fills.submit(self._step, passage, functools.partial(self._fill, passage))

    def _hand_back(self, passage: Passage, source: bytes) -> None:
        """The source itself is the result, bit for bit."""
        facts = probe(source, self._limits)
        key = self._put(passage, AsItCame(source, facts.content_type, facts.extension), None)
        self._end(passage.image, skipped(passage, source, key, self._limits, self._resources.worker))

    def _go_on(self, image_id: str) -> None:
        """Raises LeaseLost or Interrupted where the work on an image is not to go on."""
        self._lease.check(image_id)
        if self._stopped or self._resources.drain.overdue:
            raise Interrupted

    def _unblend(self, passage: Passage, source: bytes, templates: list[Template]) -> None:
        """Decoding, un-blending and encoding in one step; the network is asked in it where it is needed."""
        image = passage.image
        if self._resources.drain.begun:
            raise Interrupted
        activity, networks = self._resources.activity, self._resources.networks
        options = JobOptions.model_validate(image.options)
        passage.sha256 = {"source": sha256(source)}
        with activity.step(), passage.timed("unblend"), bounded(passage.nbytes), networks.use(options) as inpainter:
            fill = Filling(inpainter, passage, functools.partial(self._on_fill, image.id))
            result = unblended(passage, source, templates, fill, self._limits)
        self._stores.submit(self._step_out, passage, functools.partial(self._store_unblended, passage, result))

    def _store_unblended(self, passage: Passage, result: Unblended) -> None:
        key = self._put(passage, result, result.small)
        self._end(passage.image, ended(passage, result, key, self._resources.worker))

    def _fill(self, passage: Passage) -> None:
        image, task = passage.image, passage.planned
        if self._resources.drain.begun:
            raise Interrupted
        self._lease.progress(image.id, 0, task.tiles_total)
        with self._changed:
            self._on_device[image.id] = image, time.monotonic()
        try:
            options = JobOptions.model_validate(image.options)
            with passage.timed("network"), self._resources.networks.use(options) as inpainter:
                passage.network = inpainter
                run = functools.partial(inpainter.run, on_note=passage.notes.add)
                pixels = fill_parts(task, run, lambda done: self._on_tile(passage, done))
        finally:
            with self._changed:
                del self._on_device[image.id]
        self._stores.submit(self._step_out, passage, functools.partial(self._store, passage, pixels))

    def _on_tile(self, passage: Passage, done: int) -> None:
        self._on_fill(passage.image.id, done, passage.planned.tiles_total)

    def _on_fill(self, image_id: str, done: int, total: int) -> None:
        self._lease.progress(image_id, done, total)
        self._go_on(image_id)

    def _step_out(self, passage: Passage, store: Callable[[], None]) -> None:
        """The last step; it is taken even when the shard was stopped, because the device's work is done."""
        image, ended = passage.image, ImageState.SUCCEEDED.value
        with bound_contextvars(image=image.id, job=image.job_id):
            try:
                self._lease.check(image.id)
                store()
            except LeaseLost:
                ended = "lease_lost"
                with self._changed:
                    self._open.discard(image.id)
            except Exception as error:
                outcome = failure(image, error)
                ended = outcome.error_code or outcome.state
                self._end(image, outcome)
            finally:
                self._leave(passage, ended)

    def _store(self, passage: Passage, pixels: list[NDArray[np.uint8]]) -> None:
        image = passage.image
        options = JobOptions.model_validate(image.options)
        label = label_of(passage) if options.label else None
        activity = self._resources.activity
        with activity.step(), passage.timed("encode"), bounded(passage.nbytes):
            repaired = write(passage.planned, pixels, output=options.output, label=label)
            small = preview(passage.planned, pixels)
        key = self._put(passage, repaired, small)
        self._end(image, success(passage, repaired, small, key, self._resources.worker))

    def _put(self, passage: Passage, result: Repaired | Unblended | AsItCame, small: Preview | None) -> str:
        """Stores a result and its small picture; the result's key."""
        image = passage.image
        self._lease.check(image.id)
        names = (image.tenant_id, image.job_id, image.id)
        key, blobs = result_key(*names, result.extension), self._resources.blobs
        with self._resources.activity.step(), passage.timed("store"):
            if small is not None:
                blobs.put(preview_key(*names), small.data, content_type=small.content_type)
            blobs.put(key, result.data, content_type=result.content_type)
        return key

    def _end(self, image: LeasedImage, outcome: Outcome) -> None:
        with self._changed:
            if image.id not in self._open:
                return
            self._open.discard(image.id)
        self._finisher.add(image, outcome)
        self._resources.activity.image_ended()

    def _blame_device(self) -> None:
        """At the soft time limit: an image that took most of it fails; one that only came late is given back."""
        with self._changed:
            held = list(self._on_device.values())
        for image, since in held:
            seconds = time.monotonic() - since
            if seconds > self._resources.settings.task_time_limit_s * SOFT_SHARE / 2:
                self._end(image, out_of_time(image, seconds))

    def _give_back(self) -> None:
        """Images that this process did not come to; their attempt does not count."""
        if self._lease.expired:
            return
        self._lease.end(self._open)
        try:
            release_images(self._resources.database, self._lease.token, sorted(self._open))
            log.info("images.released", job=self._images[0].job_id, images=sorted(self._open))
        except LedgerUnavailable as error:
            # Their lease runs out, which costs them an attempt.
            names = {"job": self._images[0].job_id, "images": sorted(self._open)}
            log.warning("images.not_released", code=error.code, error=str(error), **names)

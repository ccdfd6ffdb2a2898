"""A shard on its way through one process: threads read ahead, the device runs, threads store behind.

The device runs in the task's own thread, where Celery raises its soft time limit. Every image ends in one of four ways:
an outcome given to the finisher, a lost lease (dropped), given back unharmed, or, when this process dies, reaped.
"""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import structlog
from celery.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray

from model.imaging import Limits, probe
from model.imaging.memory import bounded
from model.provenance import Label
from model.repair import Task, fill_parts, read, write
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
from workers.queue import SOFT_SHARE
from workers.resources import Resources

if TYPE_CHECKING:
    from model.inpainter import LaMaInpainter

log = structlog.get_logger(__name__)

#: Threads that fetch and decode, and as many that encode and store.
THREADS = min(4, os.cpu_count() or 1)
#: Bytes of the pictures between fetching and storing.
BYTES_IN_FLIGHT = 1 << 30
#: Longest wait between two tries to lease while the ledger is away, in seconds.
LEASE_RETRY_S = 10.0


def run_shard(image_ids: list[str], resources: Resources) -> None:
    """Lease what can still be leased of ``image_ids`` and bring each to its end."""
    taken_at, token, images = _lease(image_ids, resources)
    if not images:
        log.info("shard.empty", images=len(image_ids))
        return
    settings = resources.settings
    lease = Lease(
        resources.database,
        token,
        [image.id for image in images],
        lease_s=settings.lease_s,
        taken_at=taken_at,
    )
    _Shard(resources, lease, images).run()


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
            log.warning("lease.waits", code=error.code, error=str(error))
            if resources.drain.begun:
                return taken_at, "", []
            time.sleep(pause)
            pause = min(pause * 2, LEASE_RETRY_S)


@dataclass
class _Ready:
    """A picture that waits for the device, or for being stored."""

    image: LeasedImage
    task: Task
    #: Of the budget, to be given back.
    nbytes: int
    seconds: dict[str, float]
    #: SHA-256 of the files, for the audit log.
    sha256: dict[str, str]
    #: What filled its hole; ``None`` until then. By now it may be closed.
    network: LaMaInpainter | None = None
    #: What the engine had to do differently on the device.
    notes: set[str] = field(default_factory=set)


class _Shard:
    def __init__(self, resources: Resources, lease: Lease, images: list[LeasedImage]) -> None:
        settings = resources.settings
        self._resources = resources
        self._lease = lease
        self._images = images
        #: Ids without an outcome yet and not known to be lost: what is given back at an early end.
        self._open = {image.id for image in images}
        self._limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        self._budget = ByteBudget(BYTES_IN_FLIGHT)
        self._finisher = Finisher(resources.database, lease, max_attempts=settings.max_attempts)
        # Most shards share one mask; two, so that threads at a change of masks do not fetch in turns.
        self._mask = functools.lru_cache(maxsize=2)(resources.fetcher.blob)
        self._device_since: tuple[LeasedImage, float] | None = None

    def run(self) -> None:
        with Heartbeat(self._lease, self._resources.settings.heartbeat_s):
            with self._finisher:
                try:
                    self._work()
                except Interrupted:
                    log.info("shard.interrupted", job=self._images[0].job_id)
                except SoftTimeLimitExceeded:
                    self._blame_device()
            self._give_back()

    def _work(self) -> None:
        with ThreadPoolExecutor(THREADS, "store") as stores, self._reading() as reads:
            pending = {reads.submit(self._read, image): image for image in self._images}
            for future in as_completed(pending):
                # Taken out of the dictionary, so that a picture's memory is free once it is stored.
                image = pending.pop(future)
                if self._resources.drain.begun:
                    raise Interrupted
                ready = self._taken(image, future)
                if ready is not None:
                    self._on_device(ready, stores)

    @contextmanager
    def _reading(self) -> Iterator[ThreadPoolExecutor]:
        reads = ThreadPoolExecutor(THREADS, "read")
        try:
            yield reads
        finally:
            self._budget.close()
            reads.shutdown(wait=True, cancel_futures=True)

    def _taken(self, image: LeasedImage, future: Future[_Ready]) -> _Ready | None:
        """What was read, if it is still to be worked on."""
        try:
            ready = future.result()
        except (Interrupted, SoftTimeLimitExceeded):
            raise
        except LeaseLost:
            self._open.discard(image.id)
        except Exception as error:
            self._end(image, failure(image, error))
        else:
            return ready
        return None

    def _read(self, image: LeasedImage) -> _Ready:
        """In a thread: the image's bytes become a task for the device."""
        self._lease.check(image.id)
        begun = time.monotonic()
        source = self._resources.fetcher.source(image)
        mask = self._mask(image.mask_key) if image.mask_key else boxes_file(image)
        fetched = time.monotonic()
        facts = probe(source, self._limits)
        nbytes = len(source) + facts.memory
        self._budget.take(nbytes)
        waited = time.monotonic()
        try:
            options = JobOptions.model_validate(image.options)
            with bounded(nbytes), self._resources.networks.use(options) as inpainter:
                task = read(
                    source,
                    mask,
                    limits=self._limits,
                    dilation_px=options.dilation_px,
                    feather_px=options.feather_px,
                    mask_inverted=options.mask_inverted,
                    placement=placement_of(image),
                    costs=inpainter.costs,
                )
        except BaseException:
            self._budget.give(nbytes)
            raise
        seconds = {"fetch": fetched - begun, "decode": time.monotonic() - waited}
        return _Ready(image, task, nbytes, seconds, {"source": _sha256(source), "mask": _sha256(mask)})

    def _on_device(self, ready: _Ready, stores: ThreadPoolExecutor) -> None:
        image = ready.image
        handed_on = False
        begun = time.monotonic()
        self._device_since = image, begun
        try:
            self._lease.check(image.id)
            self._lease.progress(image.id, 0, ready.task.tiles_total)
            with self._resources.networks.use(JobOptions.model_validate(image.options)) as inpainter:
                ready.network = inpainter
                run = functools.partial(inpainter.run, on_note=ready.notes.add)
                pixels = fill_parts(ready.task, run, lambda done: self._on_tile(ready, done))
            ready.seconds["network"] = time.monotonic() - begun
            stores.submit(self._store, ready, pixels)
            handed_on = True
        except (Interrupted, SoftTimeLimitExceeded):
            raise
        except LeaseLost:
            self._open.discard(image.id)
        except Exception as error:
            self._end(image, failure(image, error))
        finally:
            if not handed_on:
                self._budget.give(ready.nbytes)
        self._device_since = None

    def _on_tile(self, ready: _Ready, done: int) -> None:
        self._lease.progress(ready.image.id, done, ready.task.tiles_total)
        self._lease.check(ready.image.id)
        if self._resources.drain.overdue:
            raise Interrupted

    def _store(self, ready: _Ready, pixels: list[NDArray[np.uint8]]) -> None:
        """In a thread: the result becomes a file in the blob store, then an outcome."""
        image = ready.image
        try:
            begun = time.monotonic()
            options = JobOptions.model_validate(image.options)
            network = ready.network or self._resources.inpainter
            method = f"FFC inpainting ({network.architecture})"
            label = Label(image.job_id, method, datetime.now(UTC)) if options.label else None
            with bounded(ready.nbytes):
                repaired = write(ready.task, pixels, output=options.output, label=label)
            encoded = time.monotonic()
            self._lease.check(image.id)
            key = f"t/{image.tenant_id}/jobs/{image.job_id}/results/{image.id}{repaired.extension}"
            self._resources.blobs.put(key, repaired.data, content_type=repaired.content_type)
            ready.seconds |= {"encode": encoded - begun, "store": time.monotonic() - encoded}
            outcome = Outcome(
                image_id=image.id,
                state=ImageState.SUCCEEDED,
                result_key=key,
                content_type=repaired.content_type,
                width=ready.task.width,
                height=ready.task.height,
                tiles_done=ready.task.tiles_total,
                record={
                    "method": method,
                    **repaired.record,
                    "worker": self._resources.worker,
                    "device": network.device,
                    "precision": network.precision,
                    "device_notes": sorted(ready.notes),
                    "sha256": {**ready.sha256, "result": _sha256(repaired.data)},
                    "seconds": {stage: round(seconds, 4) for stage, seconds in ready.seconds.items()},
                },
            )
            self._end(image, outcome)
        except LeaseLost:
            self._open.discard(image.id)
        except Exception as error:
            self._end(image, failure(image, error))
        finally:
            self._budget.give(ready.nbytes)

    def _end(self, image: LeasedImage, outcome: Outcome) -> None:
        self._open.discard(image.id)
        self._finisher.add(image, outcome)

    def _blame_device(self) -> None:
        """At the soft time limit: an image that took most of it fails; one that only came late is given back."""
        if self._device_since is None:
            return
        image, since = self._device_since
        seconds = time.monotonic() - since
        if image.id in self._open and seconds > self._resources.settings.task_time_limit_s * SOFT_SHARE / 2:
            self._end(image, out_of_time(image, seconds))

    def _give_back(self) -> None:
        """Images that this process did not come to; their attempt does not count."""
        if not self._open or self._lease.expired:
            return
        try:
            release_images(self._resources.database, self._lease.token, sorted(self._open))
            log.info("images.released", job=self._images[0].job_id, images=len(self._open))
        except LedgerUnavailable as error:
            # Their lease runs out, which costs them an attempt.
            log.warning("images.not_released", code=error.code, error=str(error), images=len(self._open))


def _sha256(file: bytes) -> str:
    return hashlib.sha256(file).hexdigest()

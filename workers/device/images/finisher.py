"""Writes the outcomes of images into the ledger: those of two seconds, or until the shard's end, in one transaction.

An outcome that the ledger refuses takes no other image with it. While the ledger is unavailable, the finisher tries
again for as long as the lease lasts.
"""

from __future__ import annotations

import queue
import threading
import time
from types import TracebackType

import structlog

from cleanplate.telemetry import meters
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.records import LeasedImage, Outcome
from workers.device.lease import Lease, write_while_held

log = structlog.get_logger(__name__)

#: Longest time in seconds for which an outcome waits for others. A transaction costs the same for one image as for
#: thirty, so the images of a slow device share it; the last outcome of a shard does not wait.
GATHER_S = 2.0

#: Images with their outcomes, by id.
Batch = dict[str, tuple[LeasedImage, Outcome]]


class Finisher:
    """A thread that finishes images under one lease. Leaving the ``with`` block waits for all outcomes added before."""

    def __init__(self, database: Database, lease: Lease[tuple[int, int]], *, max_attempts: int) -> None:
        self._database = database
        self._lease = lease
        self._max_attempts = max_attempts
        self._added: queue.SimpleQueue[tuple[LeasedImage, Outcome] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="finisher", daemon=True)

    def __enter__(self) -> Finisher:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._added.put(None)
        self._thread.join()

    def add(self, image: LeasedImage, outcome: Outcome) -> None:
        """Queue an outcome, from any thread. An outcome added after the end is dropped, and its lease expires."""
        self._added.put((image, outcome))

    def _run(self) -> None:
        open_end = True
        while open_end:
            batch, open_end = self._gather()
            if batch:
                self._finish(batch)

    def _gather(self) -> tuple[Batch, bool]:
        """Wait for the outcomes of one transaction; returns them by image, and whether more may come."""
        batch: Batch = {}
        until: float | None = None
        while True:
            try:
                item = self._added.get(timeout=None if until is None else max(until - time.monotonic(), 0))
            except queue.Empty:
                return batch, True
            if item is None:
                return batch, False
            batch[item[0].id] = item
            until = until or time.monotonic() + GATHER_S

    def _finish(self, batch: Batch) -> None:
        try:
            counted = self._write(batch)
        except Exception:
            log.exception("images.not_finished", **_log_fields(batch))
            if len(batch) > 1:
                for image_id, item in batch.items():
                    self._finish({image_id: item})
            return
        self._lease.drop(batch)
        for image, outcome in batch.values():
            _report(image, outcome, counted=image.id in counted)

    def _write(self, batch: Batch) -> set[str]:
        """Write the outcomes; returns the ids of the images whose lease still held."""
        outcomes = [outcome for _, outcome in batch.values()]

        def finish() -> set[str]:
            return finish_images(self._database, self._lease.token, outcomes, max_attempts=self._max_attempts)

        return write_while_held(self._lease, finish, **_log_fields(batch)) or set()


def _log_fields(batch: Batch) -> dict[str, list[str]]:
    """Ids of the batch's jobs and images, for a line of the log."""
    return {"jobs": sorted({image.job_id for image, _ in batch.values()}), "images": sorted(batch)}


def _report(image: LeasedImage, outcome: Outcome, *, counted: bool) -> None:
    """Log one image's end and count it in the metrics."""
    names = {
        "image": image.id,
        "job": image.job_id,
        "tenant": image.tenant_id,
        "attempt": image.attempt,
        "worker": outcome.record.worker,
    }
    if not counted:
        meters.LEASES_LOST.inc()
        log.warning("lease.lost", **names)
        return
    for stage, spent in (outcome.record.seconds or {}).items():
        meters.STAGE_SECONDS.labels(stage).observe(spent)
    if outcome.retry:
        meters.IMAGES_RETRIED.labels(outcome.error_code).inc()
    else:
        meters.IMAGES_ENDED.labels(outcome.state.value, outcome.error_code or "").inc()
    if outcome.error_code is not None:
        log.warning(f"image.{outcome.state}", **names, code=outcome.error_code, retry=outcome.retry)
    else:
        seconds = sum((outcome.record.seconds or {}).values())
        log.info(f"image.{outcome.state}", **names, seconds=round(seconds, 3))

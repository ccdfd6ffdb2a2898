"""Deletes what has expired: jobs by their retention, deliveries of none, unused uploads, blobs that nothing names.

Beside the dispatcher, because a large job's blobs take minutes. Every step may be repeated and may run twice at once.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType

import structlog

from storage.blobs.base import Blobs
from storage.database import Database
from storage.errors import NotFound, StorageError
from storage.ledger.jobs.lifecycle import (
    blobs_deleted,
    claim_blob_deletions,
    delete_job,
    drop_expired_uploads,
    drop_old_deliveries,
    expired_jobs,
)

log = structlog.get_logger(__name__)

#: Seconds between two looks.
LOOK_S = 30.0
#: Seconds after which blobs whose deletion broke off are another's to delete.
CLAIM_S = 600.0
#: Seconds that a stop waits for a sweep under way, which another continues.
STOP_S = 2.0


def sweep(database: Database, blobs: Blobs, *, deliveries_kept_s: float | None) -> None:
    """One look at everything that can expire.

    ``deliveries_kept_s``: for how long deliveries that belong to no job are kept; ``None``: for good.

    Raises:
        StorageError: ledger or blob store are away, or refuse; what was not deleted is deleted later.
    """
    for tenant_id, job_id in expired_jobs(database):
        with suppress(NotFound):  # somebody else was quicker
            delete_job(database, tenant_id, job_id)
            log.info("job.expired", job=job_id)
    dropped = drop_expired_uploads(database)
    if dropped:
        log.info("uploads.expired", uploads=dropped)
    forgotten = 0 if deliveries_kept_s is None else drop_old_deliveries(database, deliveries_kept_s)
    if forgotten:
        log.info("deliveries.expired", deliveries=forgotten)
    while claimed := claim_blob_deletions(database, claim_s=CLAIM_S):
        for number, (key, in_parts) in claimed.items():
            if in_parts:
                # Before the blob: its parts may be joined at this moment.
                blobs.drop_parts(key)
            for found in [stat.key for stat in blobs.list(key)] if key.endswith("/") else [key]:
                blobs.delete(found)
            blobs_deleted(database, [number])


class Sweeper:
    """A thread that sweeps now and then until its ``with`` block ends."""

    def __init__(self, database: Database, blobs: Blobs, *, deliveries_kept_s: float | None) -> None:
        self._database = database
        self._blobs = blobs
        self._deliveries_kept_s = deliveries_kept_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def __enter__(self) -> Sweeper:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                sweep(self._database, self._blobs, deliveries_kept_s=self._deliveries_kept_s)
            except StorageError as error:
                log.warning("sweep.waits", code=error.code, error=str(error))
            except Exception:
                log.exception("sweep.failed")
            self._stopped.wait(LOOK_S)

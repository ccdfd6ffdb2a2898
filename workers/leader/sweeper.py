"""Deletes expired jobs, templates of ended repairs, unused uploads, old deliveries, and blobs that no row names.

Beside that it cancels repairs that found no mark, and keeps the ends of the audit log's chains outside of the ledger.

It runs beside the dispatcher, because a large job's blobs take minutes. Every step may be repeated and may run twice at
once.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType

import structlog

from storage.audit_heads import Heads, write_heads
from storage.blobs.base import Blobs
from storage.database import Database
from storage.errors import NotFound, StorageError
from storage.ledger.operations import audit
from storage.ledger.retention.blobs import claim_blob_deletions, forget_blob_deletions
from storage.ledger.retention.deletion import delete_job
from storage.ledger.retention.expiry import drop_expired_uploads, drop_old_deliveries, expired_jobs
from storage.ledger.templates.of_repairs import cancel_repairs_without_mark, drop_templates_of_ended_repairs

log = structlog.get_logger(__name__)

#: Seconds between two sweeps.
SWEEP_S = 30.0
_HEADS_EVERY = timedelta(hours=1)
#: Seconds after which another sweeper takes over deletions that broke off.
CLAIM_S = 600.0
#: Seconds for which a stop waits for a running sweep; another sweeper continues it.
STOP_S = 2.0


def sweep(database: Database, blobs: Blobs, *, deliveries_kept_s: float | None) -> None:
    """Delete everything that has expired and the templates of ended repairs; cancel repairs that found no mark.

    ``deliveries_kept_s``: retention of deliveries that belong to no job; ``None``: forever.

    Raises:
        StorageError: the ledger or the blob store is unavailable or refuses; a later sweep deletes the rest.
    """
    for tenant_id, job_id in expired_jobs(database):
        with suppress(NotFound):  # another sweeper was quicker
            delete_job(database, tenant_id, job_id)
            log.info("job.expired", job=job_id)
    if repairs := cancel_repairs_without_mark(database):
        log.info("repairs.without_mark_canceled", repairs=repairs)
    if templates := drop_templates_of_ended_repairs(database):
        log.info("templates.of_repairs_deleted", templates=templates)
    expired_uploads = drop_expired_uploads(database)
    if expired_uploads:
        log.info("uploads.expired", uploads=expired_uploads)
    old_deliveries = 0 if deliveries_kept_s is None else drop_old_deliveries(database, deliveries_kept_s)
    if old_deliveries:
        log.info("deliveries.expired", deliveries=old_deliveries)
    while claimed := claim_blob_deletions(database, claim_s=CLAIM_S):
        for number, (key, in_parts) in claimed.items():
            if in_parts:
                # Parts go before the blob: they may be joined at this moment.
                blobs.drop_parts(key)
            for blob_key in [stat.key for stat in blobs.list(key)] if key.endswith("/") else [key]:
                blobs.delete(blob_key)
            forget_blob_deletions(database, [number])


class HeadKeeper:
    """Keeps the ends of the audit log's chains in the blob store, every hour, and reports a chain that lost one."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._kept_at: datetime | None = None
        self._kept: Heads = {}

    def keep(self, now: datetime) -> None:
        """Write the ends if an hour has passed and they are others.

        Raises:
            StorageError: the ledger or the blob store is unavailable.
        """
        if self._kept_at is not None and now < self._kept_at + _HEADS_EVERY:
            return
        for tenant_id in audit.lost_heads(self._database, self._kept):
            log.critical("audit.broken", tenant=tenant_id, sequence=self._kept[tenant_id][0])
        heads = audit.heads(self._database)
        if heads != self._kept:
            write_heads(self._blobs, heads, now)
        self._kept_at, self._kept = now, heads


class Sweeper:
    """A thread that sweeps every ``SWEEP_S`` seconds until its ``with`` block ends."""

    def __init__(self, database: Database, blobs: Blobs, *, deliveries_kept_s: float | None) -> None:
        self._database = database
        self._blobs = blobs
        self._deliveries_kept_s = deliveries_kept_s
        self._head_keeper = HeadKeeper(database, blobs)
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
                self._head_keeper.keep(datetime.now(UTC))
            except StorageError as error:
                log.warning("sweeper.waits", code=error.code, error=str(error))
            except Exception:
                log.exception("sweeper.failed")
            self._stopped.wait(SWEEP_S)

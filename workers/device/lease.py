"""The lease of one shard, as its worker sees it: extended by a heartbeat, checked before and during all work.

The ledger's token decides in the end. What is known here saves work on images that another may hold by now. While the
ledger is away nobody can take an image over, so the work goes on, and the first heartbeat after it tells what is held.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol

import structlog

from storage.database import Database
from storage.errors import LedgerUnavailable, StorageError
from storage.ledger.images.leases import heartbeat
from workers.errors import LeaseLost

log = structlog.get_logger(__name__)

#: Longest outage of the ledger through which work is held, in seconds.
OUTAGE_S = 600.0


class Lease:
    """One token over the images of a shard. All methods may be called from any thread."""

    def __init__(
        self,
        database: Database,
        token: str,
        image_ids: Iterable[str],
        *,
        lease_s: float,
        taken_at: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``taken_at``: what ``clock`` said before the ledger was asked, so that the lease never seems longer."""
        self.token = token
        self._database = database
        self._lease_s = lease_s
        self._clock = clock
        self._lock = threading.Lock()
        self._held = set(image_ids)
        self._expires = taken_at + lease_s
        #: Whether the last heartbeat found no ledger.
        self._away = False
        #: image id -> (tiles done, tiles in all), of those that have been begun.
        self._progress: dict[str, tuple[int, int]] = {}

    @property
    def expired(self) -> bool:
        """Whether no heartbeat got through in time, although there was a ledger to hear it."""
        return self._clock() >= self._expires + (OUTAGE_S if self._away else 0.0)

    def check(self, image_id: str) -> None:
        """Go on only if this passes.

        Raises:
            LeaseLost: another may hold the image by now, or it was canceled.
        """
        with self._lock:
            if image_id in self._held and not self.expired:
                return
        raise LeaseLost(image_id)

    def progress(self, image_id: str, tiles_done: int, tiles_total: int) -> None:
        """To be told with the next heartbeat."""
        with self._lock:
            self._progress[image_id] = (tiles_done, tiles_total)

    def end(self, image_ids: Iterable[str]) -> None:
        """These need no lease any more."""
        with self._lock:
            for image_id in image_ids:
                self._held.discard(image_id)
                self._progress.pop(image_id, None)

    def extend(self) -> None:
        """One heartbeat: extends the lease of all images held, tells their progress, learns which are lost.

        Raises:
            LedgerUnavailable: nothing is known; try again soon.
        """
        asked_at = self._clock()
        with self._lock:
            asked, progress = set(self._held), dict(self._progress)
        if not asked:
            return
        try:
            held = heartbeat(self._database, self.token, lease_s=self._lease_s, progress=progress)
        except LedgerUnavailable:
            self._away = True
            raise
        with self._lock:
            self._away = False
            # What has ended meanwhile is in neither set; what this heartbeat did not ask about stays.
            lost = (asked - held) & self._held
            self._held -= lost
            self._expires = max(self._expires, asked_at + self._lease_s)
            for image_id in lost:
                self._progress.pop(image_id, None)
        for image_id in sorted(lost):
            log.warning("image.lease_lost", image=image_id)


class Extended(Protocol):
    """A lease."""

    def extend(self) -> None: ...


class Heartbeat:
    """Extends a lease every ``interval_s`` in a thread of its own, as long as the ``with`` block runs."""

    def __init__(self, lease: Extended, interval_s: float) -> None:
        self._lease = lease
        self._interval_s = interval_s
        self._stopped = threading.Event()
        # Its lines tell of the job that the holder's do.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        pause = self._interval_s
        while not self._stopped.wait(pause):
            try:
                self._lease.extend()
                pause = self._interval_s
            except StorageError as error:
                # Sooner than usual: several tries fit into what is left of the lease.
                pause = self._interval_s / 4
                log.warning("heartbeat.failed", code=error.code, error=str(error))
            except Exception:
                pause = self._interval_s / 4
                log.exception("heartbeat.failed")

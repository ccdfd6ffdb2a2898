"""A worker's lease on the images of a shard or on a template: extended by a heartbeat, checked before and during work.

The token in the ledger decides in the end. The copy here saves work on images that another worker may hold by now.
While the ledger is unavailable nobody can take the work over, so the work goes on; the first heartbeat after the outage
tells which ids are still held.
"""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar

import structlog

from cleanplate.base.templates import TemplateProgress
from storage.database import Database
from storage.errors import LedgerUnavailable, StorageError
from storage.ledger.images.leases import heartbeat
from storage.ledger.templates.leases import extend_template
from workers.errors import LeaseLost

log = structlog.get_logger(__name__)

Progress = TypeVar("Progress")
Answer = TypeVar("Answer")

#: Longest outage of the ledger through which work is held, in seconds.
OUTAGE_S = 600.0
#: Seconds between two tries to write an outcome while the ledger is unavailable.
RETRY_S = 1.0
#: First and longest pause between two tries to lease while the ledger is unavailable, in seconds.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0


class Lease(Generic[Progress]):
    """One token over the ids of images, or over one template's. All methods may be called from any thread."""

    def __init__(
        self,
        kind: str,
        token: str,
        ids: Iterable[str],
        extend: Callable[[Mapping[str, Progress]], set[str]],
        *,
        lease_s: float,
        taken_at: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hold ``ids`` from ``taken_at``: the clock's time before the ledger was asked, so that no lease seems longer.

        ``kind``: ``image`` or ``template``, for the log.
        ``extend``: extends the lease in the ledger, writes the progress by id, and returns the ids still held.
        """
        self.token = token
        self.kind = kind
        self._extend = extend
        self._lease_s = lease_s
        self._clock = clock
        self._lock = threading.Lock()
        self._held = set(ids)
        self._expires = taken_at + lease_s
        #: Whether the last heartbeat found no ledger.
        self._ledger_away = False
        #: By id, of the work that has begun.
        self._progress: dict[str, Progress] = {}

    @property
    def expired(self) -> bool:
        """Whether no heartbeat got through in time although the ledger was available."""
        return self._clock() >= self._expires + (OUTAGE_S if self._ledger_away else 0.0)

    def check(self, held_id: str) -> None:
        """Return only while this worker may work on the image or the template.

        Raises:
            LeaseLost: another worker may hold it by now, or it was canceled.
        """
        with self._lock:
            if held_id in self._held and not self.expired:
                return
        raise LeaseLost(held_id)

    def note_progress(self, held_id: str, progress: Progress) -> None:
        """Keep the progress for the next heartbeat."""
        with self._lock:
            self._progress[held_id] = progress

    def drop(self, ids: Iterable[str]) -> None:
        """Stop extending the lease of ``ids``: their work has ended."""
        with self._lock:
            for held_id in ids:
                self._held.discard(held_id)
                self._progress.pop(held_id, None)

    def extend(self) -> None:
        """Send one heartbeat: extend the lease of all ids held, write their progress, learn which are lost.

        Raises:
            LedgerUnavailable: the state of the lease is unknown; try again soon.
        """
        asked_at = self._clock()
        with self._lock:
            asked, progress = set(self._held), dict(self._progress)
        if not asked:
            return
        try:
            held = self._extend(progress)
        except LedgerUnavailable:
            self._ledger_away = True
            raise
        with self._lock:
            self._ledger_away = False
            # Ids whose work has ended meanwhile are in neither set.
            lost = (asked - held) & self._held
            self._held -= lost
            self._expires = max(self._expires, asked_at + self._lease_s)
            for held_id in lost:
                self._progress.pop(held_id, None)
        for held_id in sorted(lost):
            log.warning("lease.lost", **{self.kind: held_id})


def lease_on_images(
    database: Database,
    token: str,
    image_ids: Iterable[str],
    *,
    lease_s: float,
    taken_at: float,
    clock: Callable[[], float] = time.monotonic,
) -> Lease[tuple[int, int]]:
    """The lease of a shard; its progress is ``(tiles done, tiles in all)``."""

    def extend(progress: Mapping[str, tuple[int, int]]) -> set[str]:
        return heartbeat(database, token, lease_s=lease_s, progress=dict(progress))

    return Lease("image", token, image_ids, extend, lease_s=lease_s, taken_at=taken_at, clock=clock)


def lease_on_template(
    database: Database,
    token: str,
    template_id: str,
    *,
    lease_s: float,
    taken_at: float,
    clock: Callable[[], float] = time.monotonic,
) -> Lease[TemplateProgress]:
    """The lease of a template."""

    def extend(progress: Mapping[str, TemplateProgress]) -> set[str]:
        held = extend_template(database, token, lease_s=lease_s, progress=progress.get(template_id))
        return {template_id} if held else set()

    return Lease("template", token, [template_id], extend, lease_s=lease_s, taken_at=taken_at, clock=clock)


def take_lease(
    take: Callable[[], Answer], is_stopping: Callable[[], bool], **facts: object
) -> tuple[float, Answer] | None:
    """Ask the ledger for a lease until it answers: without the ledger this worker has nothing else to do.

    Returns the time before the answer was asked for and the answer; ``None`` when the worker stops first. The queue
    repeats a message that is given up. ``facts`` go to the log.
    """
    pause = FIRST_PAUSE_S
    while True:
        asked_at = time.monotonic()
        try:
            return asked_at, take()
        except LedgerUnavailable as error:
            log.warning("lease.ledger_unavailable", code=error.code, error=str(error), **facts)
            if is_stopping():
                return None
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


def write_while_held(lease: Lease[Any], write: Callable[[], Answer], **facts: object) -> Answer | None:
    """Try ``write`` until the ledger answers; ``None`` when the lease expires first. ``facts`` go to the log."""
    while not lease.expired:
        try:
            return write()
        except LedgerUnavailable as error:
            log.warning("outcome.ledger_unavailable", code=error.code, error=str(error), **facts)
            time.sleep(RETRY_S)
    return None


def give_back(lease: Lease[Any], ids: list[str], release: Callable[[], None]) -> None:
    """Return work that this process does not end; its attempt does not count. One try: the process is stopping."""
    if lease.expired:
        return
    lease.drop(ids)
    facts = {f"{lease.kind}s": ids}
    try:
        release()
        log.info("lease.released", **facts)
    except LedgerUnavailable as error:
        # The lease expires, which costs an attempt.
        log.warning("lease.not_released", code=error.code, error=str(error), **facts)


class LeaseHeartbeat:
    """Extends a lease every ``interval_s`` in a separate thread during the ``with`` block."""

    def __init__(self, lease: Lease[Any], interval_s: float) -> None:
        self._lease = lease
        self._interval_s = interval_s
        self._stopped = threading.Event()
        # The thread's log lines carry the same job and image as the holder's.
        run = functools.partial(contextvars.copy_context().run, self._run)
        self._thread = threading.Thread(target=run, name="lease-heartbeat", daemon=True)

    def __enter__(self) -> LeaseHeartbeat:
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
                # Several tries fit into the rest of the lease.
                pause = self._interval_s / 4
                log.warning("lease_heartbeat.failed", code=error.code, error=str(error))
            except Exception:
                pause = self._interval_s / 4
                log.exception("lease_heartbeat.failed")

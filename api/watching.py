"""Watches jobs for streams and long polls: one thread in each process asks the ledger once a second, for all of them.

A subscriber hears of a job when its state differs from the one it knows; several changes between two looks are one item
of news. Each look also ends the subscriptions whose key or session has ended. The thread runs while there are
subscriptions.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api import answers
from storage import records
from storage.errors import StorageError
from storage.ledger.jobs.watching import Look
from storage.ledger.lifecycle.transitions import OPEN_JOB

#: Seconds between two looks; the longest while the ledger is away.
LOOK_S = 1.0
LONGEST_PAUSE_S = 10.0
#: Seconds for which a new job of a tenant is reported even if it has ended already.
LATELY_S = 60.0

_log = structlog.get_logger(__name__)

Looker = Callable[[set[tuple[str, str]], set[str], datetime], Look]
#: Those of the given callers whose key and session still hold.
Validator = Callable[[set[records.Caller]], set[records.Caller]]


@dataclass(frozen=True)
class News:
    """A job as it was at one moment. ``version`` is a hash of its state without rate and time left."""

    job_id: str
    version: str
    body: str
    ended: bool
    at: datetime

    @classmethod
    def of(cls, job: records.Job, at: datetime) -> News:
        answer = answers.Job.of(job)
        return cls(job.id, version_of(answer), answer.model_dump_json(), job.state not in OPEN_JOB, at)


def version_of(job: answers.Job) -> str:
    """A hash of a job's state, without the values that change by the passing of time alone."""
    lasting = job.model_dump_json(exclude={"images_per_second", "eta_s"})
    return hashlib.sha256(lasting.encode()).hexdigest()[:32]


class Subscription:
    """The news that one subscriber has not taken yet. ``seen``: the versions that it knows, by job id."""

    def __init__(self, caller: records.Caller, job_id: str | None, seen: dict[str, str]) -> None:
        self.caller = caller
        self.tenant_id = caller.tenant_id
        #: ``None``: all jobs of the tenant.
        self.job_id = job_id
        self._seen = seen
        self._unheard: dict[str, News] = {}
        self._changed = threading.Condition()
        #: The job is no longer there.
        self.gone = False
        #: This process stops; the client may reconnect to another.
        self.stopped = False
        #: The caller's key or session has ended.
        self.revoked = False

    def offer(self, news: News) -> None:
        """Keeps news that the subscriber does not know yet."""
        with self._changed:
            if self._seen.get(news.job_id) == news.version:
                self._unheard.pop(news.job_id, None)
                return
            self._unheard[news.job_id] = news
            self._changed.notify()

    def end_as_gone(self) -> None:
        """Ends the subscription: the job was deleted."""
        with self._changed:
            self.gone = True
            self._changed.notify()

    def end_as_stopped(self) -> None:
        """Ends the subscription: the process stops."""
        with self._changed:
            self.stopped = True
            self._changed.notify()

    def end_as_revoked(self) -> None:
        """Ends the subscription: the caller's key or session has ended. News not taken yet is dropped."""
        with self._changed:
            self.revoked = True
            self._unheard.clear()
            self._changed.notify()

    def take(self, within_s: float) -> list[News]:
        """Takes the news, waiting up to ``within_s``; empty without news, or at the end of the subscription."""
        with self._changed:
            self._changed.wait_for(lambda: self._unheard or self.gone or self.stopped or self.revoked, within_s)
            taken = list(self._unheard.values())
            self._unheard.clear()
            self._seen.update({news.job_id: news.version for news in taken})
            return taken


class Watcher:
    """Asks the ledger for all subscribed jobs. A forked process has its own subscriptions and thread."""

    def __init__(self, look: Looker, select_valid: Validator, *, look_s: float = LOOK_S) -> None:
        self._look = look
        self._select_valid = select_valid
        self._look_s = look_s
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._thread: threading.Thread | None = None
        self._owner = os.getpid()
        self._stopped = threading.Event()

    def subscribe(self, caller: records.Caller, job_id: str | None, seen: dict[str, str]) -> Subscription:
        """Subscribes to one job, or to all jobs of the caller's tenant, until :meth:`unsubscribe`."""
        subscription = Subscription(caller, job_id, dict(seen))
        with self._lock:
            if self._owner != os.getpid():
                self._owner, self._thread, self._subscriptions = os.getpid(), None, set()
            self._subscriptions.add(subscription)
            if self._stopped.is_set():
                subscription.end_as_stopped()
            elif self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
                self._thread.start()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """May be repeated."""
        with self._lock:
            self._subscriptions.discard(subscription)

    @property
    def subscribers(self) -> int:
        """The number of subscriptions."""
        with self._lock:
            return len(self._subscriptions)

    def stop(self) -> None:
        """Ends all subscriptions, later ones too. Takes no lock: a signal handler may call it."""
        self._stopped.set()

    def _run(self) -> None:
        known: dict[tuple[str, str], News] = {}
        pause = self._look_s
        while not self._stopped.wait(pause):
            with self._lock:
                if not self._subscriptions:
                    self._thread = None
                    return
                subscriptions = list(self._subscriptions)
            try:
                known = self._tell(self._end_revoked(subscriptions), known)
                pause = self._look_s
            except StorageError as error:
                _log.warning("watcher.waits", code=error.code, error=str(error))
                pause = min(pause * 2, LONGEST_PAUSE_S)
            except Exception:
                _log.exception("watcher.failed")
                pause = min(pause * 2, LONGEST_PAUSE_S)
        with self._lock:
            for subscription in self._subscriptions:
                subscription.end_as_stopped()

    def _end_revoked(self, subscriptions: list[Subscription]) -> list[Subscription]:
        """Ends the subscriptions of callers whose key or session has ended; returns the others."""
        valid = self._select_valid({each.caller for each in subscriptions})
        for each in subscriptions:
            if each.caller not in valid:
                each.end_as_revoked()
        return [each for each in subscriptions if each.caller in valid]

    def _tell(
        self, subscriptions: list[Subscription], known: dict[tuple[str, str], News]
    ) -> dict[tuple[str, str], News]:
        """Looks once and offers the news; returns the jobs as they are now."""
        tenants = {each.tenant_id for each in subscriptions if each.job_id is None}
        named = {(each.tenant_id, each.job_id) for each in subscriptions if each.job_id is not None}
        begun = datetime.fromtimestamp(time.time() - LATELY_S, UTC)
        look = self._look(named | {job for job in known if job[0] in tenants and not known[job].ended}, tenants, begun)
        news = {(job.tenant_id, job.id): News.of(job, look.at) for job in look.jobs}
        of_tenant: dict[str, list[News]] = {tenant_id: [] for tenant_id in tenants}
        for (tenant_id, _), piece in news.items():
            if tenant_id in of_tenant:
                of_tenant[tenant_id].append(piece)
        for each in subscriptions:
            if each.job_id is None:
                for piece in of_tenant[each.tenant_id]:
                    each.offer(piece)
            elif (each.tenant_id, each.job_id) in news:
                each.offer(news[each.tenant_id, each.job_id])
            else:
                each.end_as_gone()
        return news

"""One dispatcher at a time: a lease in the ledger by Postgres' clock, or a lock file with SQLite.

A lease needs no session of its own, so that it holds behind a pooler too. A leader calls ``held()`` before each round
of work. Two leaders at once are safe: leadership saves work, and correctness does not rest on it.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from cleanplate.base.files import make_home_folder
from cleanplate.base.settings import Settings
from storage.database import Database
from storage.errors import LedgerUnavailable
from storage.tables import leaders

_ROLE = "dispatcher"
#: Seconds after which a silent leader is followed, and after which a leader extends its lease.
LEASE_S = 6.0
EXTEND_S = 1.5


class Leadership(Protocol):
    """The right to lead, which one process holds."""

    #: Seconds for which perhaps nobody led when this process became the leader; infinite if that is not known.
    unled_s: float

    def held(self) -> bool:
        """Whether this process leads; tries to become the leader if it does not."""


@contextmanager
def leadership(db: Database, settings: Settings, clock: Callable[[], float] = time.monotonic) -> Iterator[Leadership]:
    """A candidate for leadership, until the end of the block. A failure of the database means that it does not lead."""
    candidate = _Lease(db, clock) if db.on_postgres else _LockFile(settings)
    try:
        yield candidate
    finally:
        candidate.give_up()


def is_led(db: Database, settings: Settings) -> bool:
    """Whether some process leads now. Raises LedgerUnavailable."""
    if db.on_postgres:
        with db.read() as connection:
            return bool(
                connection.scalar(select(exists().where(leaders.c.role == _ROLE, leaders.c.expires_at > db.now())))
            )
    with leadership(db, settings) as candidate:
        # This process could take the lock, so nobody had it; the block's end frees it at once.
        return not candidate.held()


class _Lease:
    unled_s = math.inf

    def __init__(self, db: Database, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._token = secrets.token_urlsafe(24)
        #: Times of this machine at which the lease is extended, and at which it ends if it is not.
        self._extend_at = self._ends_at = clock()

    def held(self) -> bool:
        now = self._clock()
        if now < self._extend_at:
            return True
        try:
            leads = self._extend()
        except LedgerUnavailable:
            # The lease holds as long as nobody else can have it.
            return now < self._ends_at
        # Counted from before the statement, so that this process stops before another may begin.
        self._extend_at, self._ends_at = (now + EXTEND_S, now + LEASE_S) if leads else (now, now)
        return leads

    def _extend(self) -> bool:
        """Take the lease, or extend it; whether this process has it."""
        values = {"token": self._token, "expires_at": self._db.after(LEASE_S)}
        with self._db.write() as connection:
            before = connection.execute(
                select(leaders.c.token, leaders.c.expires_at, self._db.now().label("now")).where(
                    leaders.c.role == _ROLE
                )
            ).first()
            taken = connection.scalar(
                insert(leaders)
                .values(role=_ROLE, **values)
                .on_conflict_do_update(
                    index_elements=[leaders.c.role],
                    set_=values,
                    where=or_(leaders.c.token == self._token, leaders.c.expires_at <= self._db.now()),
                )
                .returning(leaders.c.token)
            )
            if taken != self._token:
                return False
            if before is None:
                self.unled_s = math.inf
            elif before.token != self._token:
                self.unled_s = (before.now - before.expires_at).total_seconds() + LEASE_S
            return True

    def give_up(self) -> None:
        self._extend_at = self._ends_at = self._clock()
        mine = (leaders.c.role == _ROLE, leaders.c.token == self._token)
        with suppress(LedgerUnavailable), self._db.write() as connection:  # the lease ends by itself
            connection.execute(update(leaders).where(*mine).values(expires_at=self._db.now()))


class _LockFile:
    unled_s = math.inf

    def __init__(self, settings: Settings) -> None:
        make_home_folder(settings.home)
        self._lock = FileLock(settings.home / "dispatcher.lock", thread_local=False)

    def held(self) -> bool:
        if not self._lock.is_locked:
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                return False
        return True

    def give_up(self) -> None:
        self._lock.release()

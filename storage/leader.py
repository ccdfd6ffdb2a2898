"""One dispatcher at a time: a Postgres advisory lock on a separate connection, or a lock file with SQLite.

The system releases both when their holder dies. A leader calls ``held()`` before each round of work. Two leaders at
once are safe: leadership saves work, and correctness does not rest on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from cleanplate.base.files import make_home_folder
from cleanplate.base.settings import InvalidSettings, Settings
from storage.database import Database

#: Any number that no other advisory lock in the database uses.
_ADVISORY_LOCK = 0x636C706C61746502


#: Session settings by which Postgres ends the session, and with it the lock, of a leader that hangs or is gone. A
#: leader sends a statement at least every 5 s; another one follows within 10 s.
_SESSION = {
    "idle_session_timeout": "8s",
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "2",
}


class Leadership(Protocol):
    """The right to lead, which one process holds."""

    def held(self) -> bool:
        """Whether this process leads; tries to become the leader if it does not."""


@contextmanager
def leadership(db: Database, settings: Settings) -> Iterator[Leadership]:
    """A candidate for leadership, until the end of the block. A failure of the database means that it does not lead.

    Raises:
        InvalidSettings: a pooler stands before Postgres; its clients share sessions, and so would all of them lead.
    """
    if db.on_postgres and settings.database_pooler:
        raise InvalidSettings(
            "CLEANPLATE_DATABASE_POOLER: must be off for the dispatcher, which leads by a lock of its session. "
            "Give it the address of Postgres itself in CLEANPLATE_DATABASE_URL."
        )
    candidate = _AdvisoryLock(db) if db.on_postgres else _LockFile(settings)
    try:
        yield candidate
    finally:
        candidate.give_up()


class _AdvisoryLock:
    def __init__(self, db: Database) -> None:
        self._engine = db.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None
        self._leads = False

    def held(self) -> bool:
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
                # Detached, so that closing it ends the session instead of returning it to the pool with the lock.
                self._connection.detach()
                for setting, value in _SESSION.items():
                    self._connection.execute(select(func.set_config(setting, value, False)))
            if self._leads:
                # The lock lives as long as its session: a session that answers still holds it.
                self._connection.execute(select(1))
            else:
                self._leads = bool(self._connection.scalar(select(func.pg_try_advisory_lock(_ADVISORY_LOCK))))
        except SQLAlchemyError:
            self.give_up()
        return self._leads

    def give_up(self) -> None:
        connection, self._connection, led, self._leads = self._connection, None, self._leads, False
        if connection is None:
            return
        with suppress(SQLAlchemyError):  # a broken session no longer holds the lock
            if led:
                # Unlocks explicitly, because the server notices the end of a session with a delay.
                connection.scalar(select(func.pg_advisory_unlock(_ADVISORY_LOCK)))
        with suppress(SQLAlchemyError):  # the connection is broken already
            connection.close()


class _LockFile:
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

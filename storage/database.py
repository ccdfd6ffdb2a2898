"""The ledger's connection: transactions, and the clock of all statements.

Every query of the project runs inside :meth:`Database.read` or :meth:`Database.write`. On Postgres the time is the
server's, because the clocks of worker machines differ. On SQLite all processes share one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Interval,
    Select,
    bindparam,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from storage.breaker import Breaker
from storage.engine import WRITES, open_engine
from storage.errors import LedgerFull, LedgerUnavailable
from storage.migrate import is_current
from storage.tables import UtcDateTime

#: Postgres' code for a write to a standby, or to a primary that has become one.
_READ_ONLY = "25006"
#: Postgres' ``disk_full``.
_FULL = "53100"

Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Database:
    """An open ledger. Threads may share one; processes may not: connect after a fork."""

    def __init__(self, engine: Engine, clock: Clock | None, breaker: Breaker | None = None) -> None:
        self.engine = engine
        # SQLite has no server; a lock that is held for long is no reason to refuse readers.
        self._breaker = breaker if self.on_postgres else None
        self._writing = engine.execution_options(**{WRITES: True})
        # Each statement has a snapshot of its own anyway, so that reading needs no BEGIN and no ROLLBACK.
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT") if self.on_postgres else engine
        self._built: dict[tuple[Hashable, ...], Select[Any]] = {}
        self._clock = clock
        if clock is None and not self.on_postgres:
            self._clock = _utc_now

    @classmethod
    def connect(cls, url: str, *, clock: Clock | None = None, breaker: Breaker | None = None) -> Database:
        """Opens the ledger at an SQLAlchemy URL; no statement is sent yet.

        ``clock`` (aware times) replaces the server's clock on Postgres and UTC now on SQLite. With a ``breaker``,
        transactions fail at once while Postgres does not answer.
        """
        return cls(open_engine(url), clock, breaker)

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()

    @property
    def on_postgres(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Statements that only read: one snapshot each on Postgres, one for all on SQLite. Raises LedgerUnavailable."""
        with _transaction(self._reading, self._breaker) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction committed at the end of the block, rolled back by an error. Raises LedgerUnavailable."""
        with _transaction(self._writing, self._breaker) as connection:
            yield connection

    def now(self) -> ColumnElement[datetime]:
        """The current time as a value for statements; on Postgres the same throughout a transaction that writes."""
        return self.after(0)

    def after(self, seconds: float) -> ColumnElement[datetime]:
        """The current time plus ``seconds`` (negative: the past)."""
        delay = timedelta(seconds=seconds)
        if (clock := self._clock) is not None:
            return bindparam(None, callable_=lambda: clock() + delay, type_=UtcDateTime())
        # A server's own time zone shows nowhere: days are those of UTC.
        return type_coerce(func.now() + literal(delay, Interval()), UtcDateTime())

    def built_once(self, build: Callable[..., Select[Any]], *values: Hashable) -> Select[Any]:
        """The statement that ``build`` makes of ``values``, kept after the first call; its times are each execution's.

        For statements that run at every tick with few different values: building one costs more than sending it.
        """
        key = (build, *values)
        if key not in self._built:
            self._built[key] = build(self, *values)
        return self._built[key]

    def check(self) -> None:
        """Sends one trivial statement. Raises LedgerUnavailable."""
        with self.read() as connection:
            connection.execute(select(1))

    def schema_is_current(self) -> bool:
        """Whether all migrations of this code, or newer ones, have been applied. Raises LedgerUnavailable."""
        with self.read() as connection:
            return is_current(connection)


@contextmanager
def _transaction(engine: Engine, breaker: Breaker | None) -> Iterator[Connection]:
    """A transaction; turns failures of the database into ``LedgerUnavailable``."""
    if breaker is not None and not breaker.allows():
        raise LedgerUnavailable("The ledger's database has not answered lately.")
    try:
        with engine.begin() as connection:
            if breaker is not None:
                breaker.answered()
            yield connection
    except PoolTimeout as error:
        raise LedgerUnavailable("All connections to the ledger are in use. Try again shortly.") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _READ_ONLY:
            # All of the pool's connections may lead to it.
            engine.dispose()
            raise LedgerUnavailable("The ledger's database is a standby, which takes no writes.") from error
        if isinstance(error, OperationalError) or error.connection_invalidated:
            if breaker is not None:
                breaker.failed()
            lines = str(error.orig).strip().splitlines()
            if (
                getattr(error.orig, "sqlite_errorname", "") == "SQLITE_FULL"
                or getattr(error.orig, "sqlstate", "") == _FULL
            ):
                raise LedgerFull("The ledger's disk is full.") from error
            raise LedgerUnavailable(f"The ledger's database failed: {lines[0] if lines else error.orig!r}") from error
        raise

"""SQLAlchemy engines for both databases: the only module that knows how to open each.

SQLite: WAL, a busy timeout, foreign keys on, and explicit transactions. Writers use ``BEGIN IMMEDIATE``, so that two
writers queue up instead of failing half-way. Postgres: READ COMMITTED, connections tested before use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url

from cleanplate.base.files import make_home_folder

#: Seconds that a statement waits for SQLite's write lock, and a connection for Postgres' answer.
LOCK_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 5
#: Seconds that Postgres has to answer a statement, and the check of a pooled connection.
ANSWER_S = 30.0
_CHECK_S = 3.0
#: Milliseconds without an acknowledgement after which a connection counts as broken: well within a lease.
_SILENCE_MS = 10_000
#: In a URL's query: a pooler in transaction mode stands before Postgres.
POOLER = "cleanplate_pooler"
#: Execution option: transactions of this engine write.
WRITES = "cleanplate_writes"


def open_engine(url: str, *, foreign_keys: bool = True, answer_s: float = ANSWER_S) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql://…``; ``foreign_keys=False`` is for migrations.

    ``answer_s``: seconds after which a statement without an answer from Postgres fails and its connection is closed.

    Creates the folder of an SQLite file, for its owner only, where there is none. With ``POOLER`` in the URL's query
    psycopg prepares no statements: a pooler in transaction mode hands each transaction another session, which does not
    know them.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ValueError("The ledger needs an SQLite file: several processes share it.")
        make_home_folder(Path(parsed.database).parent)
        engine = create_engine(parsed, connect_args={"timeout": LOCK_TIMEOUT_S})
        _prepare_sqlite(engine, foreign_keys=foreign_keys)
        return engine
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "tcp_user_timeout": _SILENCE_MS,
        "application_name": "cleanplate",
    }
    if POOLER in parsed.query:
        arguments["prepare_threshold"] = None
    engine = create_engine(
        parsed.difference_update_query([POOLER]),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        connect_args=arguments,
    )
    _bound_postgres(engine, answer_s)
    return engine


def _bound_postgres(engine: Engine, answer_s: float) -> None:
    """Ends calls to a Postgres that hangs. TCP cannot: the kernel of a stopped server still acknowledges."""
    from storage.postgres import BoundedConnection

    check = engine.dialect.do_ping

    def check_briefly(connection: Any) -> bool:
        connection.answer_s = _CHECK_S
        try:
            return check(connection)
        finally:
            connection.answer_s = answer_s

    engine.dialect.do_ping = check_briefly  # type: ignore[assignment, method-assign]

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, arguments: Any, named: Any) -> BoundedConnection:
        connection = BoundedConnection.connect(*arguments, **named)
        connection.answer_s = answer_s
        return connection


def _prepare_sqlite(engine: Engine, *, foreign_keys: bool) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # turns the driver's implicit transactions off
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

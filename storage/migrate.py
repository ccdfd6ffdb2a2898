"""Applies the migrations in ``migrations/``, in this process; ``cleanplate migrate`` calls it.

All steps are one transaction under a lock, on both databases: two migrators do not meet, and one that is killed leaves
the schema as it was. On Postgres that transaction waits a few seconds at most for the lock of a table, because all
others wait behind it; it then begins again. Two things follow it there that may take long and stop nobody: constraints
are validated, and missing indexes are built.
"""

from __future__ import annotations

import math
import time
from importlib.resources import files

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex

from storage.engine import WRITES, open_engine
from storage.errors import SchemaNewer
from storage.tables import metadata

log = structlog.get_logger(__name__)

#: Any number that no other advisory lock in the database uses.
_ADVISORY_LOCK = 0x636C706C61746501
#: As above, of the one migrator that builds indexes.
_BUILDING_LOCK = 0x636C706C61746503
#: Seconds that the steps wait for the lock of a table, and between two tries; and the number of tries.
_LOCK_TIMEOUT_S = 4
_PAUSE_S = 2.0
_TRIES = 30
#: Table and name, quoted if necessary, of constraints that were added as not valid.
_NOT_VALID = text(
    "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint"
    " WHERE NOT convalidated AND connamespace = current_schema()::regnamespace"
)
#: Names of indexes, and whether they are complete.
_INDEXES = text(
    "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
    " WHERE relnamespace = current_schema()::regnamespace"
)


def migrate(url: str, revision: str = "head") -> None:
    """Brings the schema to ``revision``, up or down (``base``: empty). A schema of a newer version stays.

    Raises SchemaNewer: another revision than ``head`` is asked for there.
    """
    engine = open_engine(url, foreign_keys=False, answer_s=math.inf)
    try:
        for tries_left in reversed(range(_TRIES)):
            try:
                _take_steps(engine, revision)
                break
            except OperationalError as error:
                if not isinstance(error.orig, LockNotAvailable) or not tries_left:
                    raise
                log.warning("migration.waits_for_lock", error=str(error.orig).strip(), tries_left=tries_left)
                time.sleep(_PAUSE_S)
        if engine.dialect.name == "postgresql":
            _validate_constraints(engine)
            _build_indexes(engine)
    finally:
        engine.dispose()


def _take_steps(engine: Engine, revision: str) -> None:
    """All steps to the revision, in one transaction. Raises OperationalError: a table was locked for too long."""
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            # After that lock, for which other migrators may wait as long as the steps take.
            connection.execute(select(func.set_config("lock_timeout", f"{_LOCK_TIMEOUT_S}s", True)))
        if _is_newer(connection):
            if revision != "head":
                raise SchemaNewer
            return
        config = _config()
        config.attributes["connection"] = connection
        if revision == "base" or _is_applied(connection, revision):
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)


def _validate_constraints(engine: Engine) -> None:
    """Validates constraints on the rows that existed before them, while other transactions read and write.

    A migrator that dies here leaves the constraint as not valid, which binds new rows all the same; the next one
    validates it.
    """
    with engine.begin() as connection:
        pending = connection.execute(_NOT_VALID).all()
    for table, constraint in pending:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}")


def _build_indexes(engine: Engine) -> None:
    """Builds the indexes of the newest revision that are missing, while other transactions read and write.

    A migrator that dies here leaves an invalid index, or none; the next one builds it. Of several migrators one builds.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not is_current(connection) or _is_newer(connection):
            return
        if not connection.scalar(select(func.pg_try_advisory_lock(_BUILDING_LOCK))):
            return
        valid = {row.relname: row.indisvalid for row in connection.execute(_INDEXES)}
        for table in metadata.sorted_tables:
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                if valid.get(str(index.name)):
                    continue
                if str(index.name) in valid:
                    connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {index.name}")
                statement = str(CreateIndex(index).compile(engine))
                connection.exec_driver_sql(statement.replace("INDEX", "INDEX CONCURRENTLY", 1))
        connection.execute(select(func.pg_advisory_unlock(_BUILDING_LOCK)))


def is_current(connection: Connection) -> bool:
    """Whether the schema is the newest one that this code knows, or a newer one, which keeps all that this code uses:
    while a new version is rolled out, programs of the old one work on beside it."""
    heads = ScriptDirectory.from_config(_config()).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads) or _is_newer(connection)


def _is_newer(connection: Connection) -> bool:
    """Whether a newer version of the code has migrated the schema: this one does not know the revision."""
    current = MigrationContext.configure(connection).get_current_heads()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return bool(current) and not known.intersection(current)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _is_applied(connection: Connection, revision: str) -> bool:
    """Whether the schema is at ``revision`` or above it, so that the way there leads down."""
    scripts = ScriptDirectory.from_config(_config())
    target = scripts.get_revision(revision)
    current = MigrationContext.configure(connection).get_current_heads()
    return target is not None and any(
        script.revision == target.revision for head in current for script in scripts.iterate_revisions(head, "base")
    )

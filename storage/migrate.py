"""Applies the migrations in ``migrations/``, in this process; ``cleanplate migrate`` calls it.

All steps are one transaction under a lock, on both databases: two migrators do not meet, and one that is killed leaves
the schema as it was. The validation of constraints on Postgres, which may take long and needs no lock, follows.
"""

from __future__ import annotations

import math
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, select, text

from storage.engine import WRITES, open_engine
from storage.errors import SchemaNewer

#: Any number that no other advisory lock in the database uses.
_ADVISORY_LOCK = 0x636C706C61746501
#: Table and name, quoted if necessary, of constraints that were added as not valid.
_NOT_VALID = text(
    "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint"
    " WHERE NOT convalidated AND connamespace = current_schema()::regnamespace"
)


def migrate(url: str, revision: str = "head") -> None:
    """Brings the schema to ``revision``, up or down (``base``: empty). A schema of a newer version stays.

    Raises SchemaNewer: another revision than ``head`` is asked for there.
    """
    engine = open_engine(url, foreign_keys=False, answer_s=math.inf)
    try:
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
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
        if engine.dialect.name == "postgresql":
            _validate_constraints(engine)
    finally:
        engine.dispose()


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

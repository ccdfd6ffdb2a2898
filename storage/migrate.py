"""Applies the migrations in ``migrations/``, in this process; ``cleanplate migrate`` calls it.

All of it is one transaction under a lock, on both databases: two migrators do not meet, and one that is killed leaves
the schema as it was.
"""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from storage.engine import WRITES, open_engine
from storage.errors import SchemaNewer

#: Any number that no other advisory lock in the database uses.
_ADVISORY_LOCK = 0x636C706C61746501


def migrate(url: str, revision: str = "head") -> None:
    """Brings the schema to ``revision``, up or down (``base``: empty). One that a newer version has made stays.

    Raises SchemaNewer: another revision than ``head`` is asked for there.
    """
    engine = open_engine(url, foreign_keys=False)
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
    finally:
        engine.dispose()


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
    """Whether ``revision`` is already below or at the present one, so that going there is a way down."""
    scripts = ScriptDirectory.from_config(_config())
    target = scripts.get_revision(revision)
    current = MigrationContext.configure(connection).get_current_heads()
    return target is not None and any(
        script.revision == target.revision for head in current for script in scripts.iterate_revisions(head, "base")
    )

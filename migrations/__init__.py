"""The ledger's schema, step by step, for Postgres and SQLite; applied by ``cleanplate migrate`` (``storage.migrate``).

Each file in ``versions/`` is one step. A released step never changes, so it spells its tables out and imports nothing
of the project.
"""

"""Copies one service into another: its blobs, then its ledger.

The ledger is one transaction and comes last: a run that breaks off leaves the new ledger empty, and may be repeated.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Table, func, insert, select, tuple_

from storage.blobs.base import Blobs
from storage.database import Database
from storage.errors import LedgerNotEmpty
from storage.tables import metadata, tenants

#: Rows in one statement.
_BATCH = 500


def copy_blobs(source: Blobs, target: Blobs) -> int:
    """Copies all blobs, and overwrites those of a broken-off run; returns their number."""
    count = 0
    for listed in source.list("t/"):
        target.put(listed.key, source.get(listed.key), content_type=source.stat(listed.key).content_type)
        count += 1
    return count


def copy_ledger(source: Database, target: Database) -> dict[str, int]:
    """Copies all rows into an empty ledger of the same schema; returns the number for each table.

    Raises LedgerNotEmpty: the target has tenants already.
    """
    counts = {}
    with source.read() as reading, target.write() as writing:
        if writing.scalar(select(func.count()).select_from(tenants)):
            raise LedgerNotEmpty
        # Tables come after those that they refer to, rows after older ones.
        for table in metadata.sorted_tables:
            counts[table.name] = _copy_table(reading, writing, table)
            if target.on_postgres and table.autoincrement_column is not None:
                _count_on(writing, table)
    return counts


def _copy_table(reading: Connection, writing: Connection, table: Table) -> int:
    order = list(table.primary_key)
    last: Row[Any] | None = None
    count = 0
    while True:
        page = select(table).order_by(*order).limit(_BATCH)
        if last is not None:
            page = page.where(tuple_(*order) > tuple_(*(last._mapping[column] for column in order)))
        rows = reading.execute(page).all()
        if rows:
            writing.execute(insert(table), [dict(row._mapping) for row in rows])
            last = rows[-1]
        count += len(rows)
        if len(rows) < _BATCH:
            return count


def _count_on(connection: Connection, table: Table) -> None:
    """Sets the sequences of Postgres behind the highest copied numbers."""
    column = table.autoincrement_column
    assert column is not None
    highest = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
    connection.execute(select(func.setval(func.pg_get_serial_sequence(table.name, column.name), highest, False)))

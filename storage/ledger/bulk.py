"""Writes many rows in few statements, for jobs of up to 100,000 images.

On Postgres a statement carries its rows as one JSON document (``json_to_recordset``). That costs a small part of one
statement for each row, and half of one array for each column. SQLite's ``executemany`` crosses no wire.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    JSON,
    Boolean,
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Integer,
    Table,
    TableValuedAlias,
    Text,
    Update,
    any_,
    bindparam,
    cast,
    column,
    func,
    insert,
    literal,
    select,
    values,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from storage.database import Database
from storage.tables.columns import ColumnValues

#: Rows in one statement; also well under SQLite's limit of 32,766 bound values.
CHUNK = 5000


def chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Lists of at most ``CHUNK`` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def in_array(db: Database, place: ColumnElement[Any], names: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column of text holds one of ``names``: one bound array on Postgres."""
    if db.on_postgres:
        return place == any_(bindparam(None, list(names), type_=ARRAY(Text)))
    return place.in_(names)


def insert_rows(
    db: Database,
    connection: Connection,
    table: Table,
    rows: Iterable[ColumnValues],
    **same: ColumnElement[Any] | str,
) -> None:
    """Inserts ``rows`` of text, integers and JSON documents, all with the same keys; ``same``: values of all."""
    for statement, chunk in _inserts(db, table, rows, same):
        connection.execute(statement, chunk or None)


class StatementBatch:
    """Independent writes to different tables: one round trip on Postgres, one each on SQLite."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._writes: list[tuple[Insert | Update | Delete, list[ColumnValues]]] = []

    def insert(self, table: Table, rows: Iterable[ColumnValues], **same: ColumnElement[Any] | str) -> None:
        """As :func:`insert_rows`."""
        self._writes.extend(_inserts(self._db, table, rows, same))

    def add(self, statement: Insert | Update | Delete) -> None:
        """Adds a statement that carries all its values."""
        self._writes.append((statement, []))

    def write(self, connection: Connection) -> None:
        """Sends all statements."""
        if self._db.on_postgres and self._writes:
            last = self._writes.pop()[0]
            for number, (statement, _) in enumerate(self._writes):
                last = last.add_cte(statement.cte(f"write_{number}"))
            connection.execute(last)
        else:
            for statement, rows in self._writes:
                connection.execute(statement, rows or None)
        self._writes.clear()


def _inserts(
    db: Database, table: Table, rows: Iterable[ColumnValues], same: ColumnValues
) -> Iterator[tuple[Insert, list[ColumnValues]]]:
    for chunk in chunks(rows):
        if db.on_postgres:
            yield _from_document(table, chunk, same), []
        else:
            yield insert(table).values(**same), chunk


def given_rows(db: Database, name: str, columns: dict[str, TypeEngine[Any]], rows: Sequence[tuple[Any, ...]]) -> CTE:
    """``rows`` as a table within a statement; on Postgres its text does not depend on their number."""
    if not db.on_postgres:
        return values(*(column(title, kind) for title, kind in columns.items()), name=name).data(rows).cte(name)
    given = _recordset(columns, [dict(zip(columns, row, strict=True)) for row in rows])
    return select(*given.c).cte(name)


def _from_document(table: Table, rows: list[ColumnValues], same: ColumnValues) -> Insert:
    names = list(rows[0])
    given = _recordset({name: _plain(table.c[name].type) for name in names}, rows)
    columns = [cast(given.c[name], table.c[name].type) for name in names]
    everywhere = [value if isinstance(value, ColumnElement) else literal(value) for value in same.values()]
    return insert(table).from_select([*names, *same], select(*columns, *everywhere))


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    return kind if isinstance(kind, Integer | Boolean | JSON) else Text()


def _recordset(columns: dict[str, TypeEngine[Any]], rows: list[ColumnValues]) -> TableValuedAlias:
    document = cast(bindparam(None, json.dumps(rows), type_=Text), postgresql.JSON)
    typed = (column(title, kind) for title, kind in columns.items())
    return func.json_to_recordset(document).table_valued(*typed, name="given").render_derived(with_types=True)

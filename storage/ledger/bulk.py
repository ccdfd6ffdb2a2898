"""Many rows in few statements: what a job of 100,000 images is written with.

On Postgres a statement brings its rows as one array for each column (``unnest``), which costs a small part of one
statement for each row; SQLite has no arrays, and its ``executemany`` crosses no wire.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Connection,
    Integer,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    func,
    insert,
    literal,
    select,
)

from storage.database import Database

#: Rows in one statement; on SQLite also well under its limit of 32,766 bound values.
CHUNK = 5000


def chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Lists of at most ``CHUNK`` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def among(db: Database, column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column of text holds one of ``values``, which are one bound array where there are such."""
    if db.on_postgres:
        return column == any_(bindparam(None, list(values), type_=ARRAY(Text)))
    return column.in_(values)


def insert_rows(
    db: Database,
    connection: Connection,
    table: Table,
    rows: Iterable[dict[str, Any]],
    **same: ColumnElement[Any] | str,
) -> None:
    """Inserts ``rows`` of text, integers and JSON documents, all with the same keys; ``same``: values of all."""
    for chunk in chunks(rows):
        if db.on_postgres:
            connection.execute(_from_arrays(table, chunk, same))
        else:
            connection.execute(insert(table).values(**same), chunk)


def _from_arrays(table: Table, rows: list[dict[str, Any]], same: dict[str, Any]) -> Any:
    names = list(rows[0])
    arrays = []
    for name in names:
        kind, values = table.c[name].type, [row[name] for row in rows]
        if isinstance(kind, JSON):
            values = [None if value is None else json.dumps(value) for value in values]
        bound = ARRAY(Integer) if isinstance(kind, Integer) else ARRAY(Text)
        arrays.append(cast(bindparam(None, values, type_=bound), bound))
    given = func.unnest(*arrays).table_valued(*names, name="given").render_derived()
    columns = [cast(given.c[name], table.c[name].type) for name in names]
    everywhere = [value if isinstance(value, ColumnElement) else literal(value) for value in same.values()]
    return insert(table).from_select([*names, *same], select(*columns, *everywhere))

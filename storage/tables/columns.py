"""Column types of all tables: ids, times, documents; and the names of constraints."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ClauseElement,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    TypeDecorator,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.operators import OperatorType
from uuid6 import uuid7

ID = String(40)
#: ``None`` is NULL, not the document ``null``.
JSON_DOCUMENT = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
#: SQLite increments by itself on INTEGER only.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def new_id(prefix: str) -> str:
    """``prefix_`` and the 32 hexadecimal digits of a new UUID, which grow with time."""
    return f"{prefix}_{uuid7().hex}"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on both databases; SQLite stores it as text that sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Word(TypeDecorator[str]):
    """One word of an enum, as text.

    A comparison writes its words into the statement: ``state = 'queued'`` and never ``state = $1``. A prepared
    statement that Postgres plans without its values would otherwise match no partial index and read the whole table.
    Raises ValueError for a comparison with text that is no word of the enum.
    """

    impl = String
    cache_ok = True

    def __init__(self, words: type[StrEnum], length: int = 12) -> None:
        super().__init__(length)
        self.words = words
        self.length = length

    class Comparator(TypeDecorator.Comparator[str], String.Comparator[str]):
        def operate(self, op: OperatorType, *other: Any, **kwargs: Any) -> ColumnElement[Any]:
            return super().operate(op, *(self._constant(operand) for operand in other), **kwargs)

        def _constant(self, operand: Any) -> Any:
            if operand is None or isinstance(operand, ClauseElement):
                return operand
            if isinstance(operand, list | tuple | AbstractSet):
                return [self._constant(word) for word in operand]
            assert isinstance(self.type, Word)
            return literal_column(f"'{self.type.words(operand).value}'", self.type)

    comparator_factory = Comparator


def state_check(words: type[StrEnum]) -> CheckConstraint:
    """The constraint that a table's ``state`` is a word of the enum."""
    quoted = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"state IN ({quoted})", name="state")


#: Values of a row to be written, by column.
ColumnValues = dict[str, Any]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def time_column(name: str, *, nullable: bool = True, index: bool = False, primary_key: bool = False) -> Column[Any]:
    return Column(name, UtcDateTime(), nullable=nullable, index=index, primary_key=primary_key)


def partial_index(name: str, *columns: str | ColumnElement[Any], where: str, unique: bool = False) -> Index:
    """An index of the rows for which ``where`` holds, on Postgres and on SQLite."""
    return Index(name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where))

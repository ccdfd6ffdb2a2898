"""Moves templates from state to state: the only module that writes a template's state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, update

from storage.database import Database
from storage.ledger.lifecycle.transitions import Due, TemplateTransition
from storage.ledger.operations import audit
from storage.ledger.webhooks import outbox
from storage.tables import templates
from storage.tables.columns import ColumnValues


def insert_template(
    db: Database,
    connection: Connection,
    transition: TemplateTransition,
    values: ColumnValues,
    *,
    entry: audit.Event | None = None,
) -> Row[Any]:
    """Writes a new template, its event and its entry in the audit log; its row."""
    if transition.sources or transition.target is None:
        raise ValueError(f"{transition.name!r} makes no template.")
    effects = _effects(db, transition) | {"available_at": db.now(), "created_at": db.now()}
    columns = {"warnings": [], "previews": {}, **values}
    row = connection.execute(insert(templates).values(**effects, **columns).returning(*templates.c)).one()
    _tell(db, connection, transition, [row], [] if entry is None else [entry])
    return row


def move_templates(
    db: Database,
    connection: Connection,
    transition: TemplateTransition,
    *conditions: ColumnElement[bool],
    values: ColumnValues | None = None,
    entries: Sequence[audit.Event] = (),
) -> Sequence[Row[Any]]:
    """Moves the templates that fulfil the conditions and are in a source state, with their events and audit entries.

    ``values``: the columns that the table leaves to the caller. Returns the rows as they are afterwards, by id. The
    ``entries`` are written if any template moves.
    """
    if not transition.sources or transition.target is None:
        raise ValueError(f"{transition.name!r} is no move.")
    moved = connection.execute(
        update(templates)
        .where(*conditions, templates.c.state.in_(transition.sources))
        .values(**_effects(db, transition), **(values or {}))
        .returning(*templates.c)
    ).all()
    rows = sorted(moved, key=lambda row: str(row.id))
    if rows:
        _tell(db, connection, transition, rows, entries)
    return rows


def delete_template_row(db: Database, connection: Connection, template_id: str, entry: audit.Event) -> None:
    """Deletes a template, with its entry in the audit log."""
    connection.execute(delete(templates).where(templates.c.id == template_id))
    audit.append(db, connection, [entry])


def _effects(db: Database, transition: TemplateTransition) -> ColumnValues:
    """The writes of a transition that the table states."""
    columns: ColumnValues = {"state": transition.target}
    if transition.sources:
        columns |= {"published_at": None, "progress": None}
    if transition.sources and not transition.takes_lease:
        columns |= {"lease_token": None, "lease_expires_at": None}
    if transition.attempts:
        columns["attempt"] = templates.c.attempt + transition.attempts
    if transition.due is Due.NOW:
        columns["available_at"] = db.now()
    if transition.makes:
        columns["finished_at"] = db.now()
    if transition.reviews:
        columns["reviewed_at"] = db.now()
    return columns


def _tell(
    db: Database,
    connection: Connection,
    transition: TemplateTransition,
    rows: Sequence[Row[Any]],
    entries: Sequence[audit.Event],
) -> None:
    """Writes the events and the entries that belong to a move."""
    if bool(entries) != (transition.audit is not None):
        raise ValueError(f"{transition.name!r} has {transition.audit or 'nothing'} in the audit log.")
    for entry in entries:
        if entry.action != transition.audit:
            raise ValueError(f"The entry of {transition.name!r} is {transition.audit!r}, not {entry.action!r}.")
    if transition.sends_event:
        for row in rows:
            outbox.template_event(connection, row, row.reviewed_at or row.finished_at)
    if entries:
        audit.append(db, connection, entries)

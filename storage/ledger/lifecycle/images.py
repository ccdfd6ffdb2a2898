"""Moves images from state to state: the only module that writes an image's state.

Each function locks its images by id, as all transactions do, and writes in the same transaction what follows from the
move: the job's counts, the attempt, the event, the entry in the audit log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    String,
    Text,
    Update,
    case,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.types import TypeEngine

from storage.database import Database
from storage.ledger import bulk
from storage.ledger.jobs.counting import Moves
from storage.ledger.lifecycle.transitions import (
    DELETE,
    SUBMIT,
    AttemptRow,
    Due,
    ImageTransition,
    Tiles,
)
from storage.ledger.operations import audit
from storage.ledger.tenants.accounts import note_work
from storage.ledger.webhooks import outbox
from storage.records import ENDED, WITH_RESULT, ImageState, Work
from storage.tables import attempts, images, job_deltas, webhook_outbox
from storage.tables.columns import ColumnValues

#: Images that one statement deletes.
_DELETED_AT_ONCE = 50


class AttemptEnd(NamedTuple):
    """How an attempt ended."""

    outcome: str
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Branch:
    """The images of a move that ``when`` selects (``None``: all others) make this transition.

    Several transitions, all with the same effects: ``state`` says which of their targets holds for an image.
    """

    transitions: tuple[ImageTransition, ...]
    when: ColumnElement[bool] | None = None
    state: ColumnElement[str] | None = None
    #: Columns that the table leaves to the caller: a lease's token, an attempt's results, an error.
    values: ColumnValues = field(default_factory=dict)


def insert_images(
    db: Database, connection: Connection, rows: Iterable[ColumnValues], *, job_id: str, tenant_id: str
) -> None:
    """Writes the images of a new job."""
    assert SUBMIT.target is not None
    bulk.insert_rows(
        db,
        connection,
        images,
        rows,
        job_id=job_id,
        tenant_id=tenant_id,
        state=SUBMIT.target.value,
        available_at=db.now(),
        created_at=db.now(),
    )


def locked_images(
    states: Iterable[ImageState], *conditions: ColumnElement[bool], limit: int | None = None, skip_locked: bool = False
) -> CTE:
    """The ids, states and tiles of images, locked in the order that all transactions keep.

    Without a ``limit`` the conditions name the images, by id, token or job. The state is then an expression that no
    partial index matches, so that Postgres reads them by these also while a table has no statistics, and not all
    queued or running images. With a ``limit`` the order is that of an expression: Postgres would else read the table in
    the order of its ids until it has found so many.
    """
    if limit is None:
        words: list[ColumnElement[str]] = [literal_column(f"'{state.value}'") for state in states]
        in_states: ColumnElement[bool] = func.coalesce(images.c.state, "", type_=String()).in_(words)
    else:
        in_states = _in_states(states)
    query: Select[Any] = (
        select(images.c.id, images.c.state, images.c.tiles_done)
        .where(in_states, *conditions)
        .order_by(images.c.id if limit is None else images.c.id + literal_column("''"))
        .with_for_update(key_share=True, skip_locked=skip_locked, of=images)
    )
    return (query if limit is None else query.limit(limit)).cte("locked")


def move_images(
    db: Database,
    connection: Connection,
    branches: Sequence[Branch],
    *conditions: ColumnElement[bool],
    given: ColumnElement[bool] | None = None,
    limit: int | None = None,
    skip_locked: bool = False,
    returning: Sequence[Column[Any]] = (),
    worker: str = "",
    attempt_end: Callable[[Row[Any]], AttemptEnd] | None = None,
    audit_entry: Callable[[Row[Any]], audit.Event] | None = None,
    work: Callable[[Row[Any]], Work] | None = None,
) -> Sequence[Row[Any]]:
    """Moves the images that fulfil the conditions and are in a source state; their rows as they are afterwards.

    ``given`` joins rows that bring values. ``worker`` holds the attempts that are opened, ``attempt_end`` closes
    others, ``audit_entry`` tells of images that end, ``work`` goes into the accounts for those with a result.
    """
    transitions = {
        transition.target.value: transition
        for branch in branches
        for transition in branch.transitions
        if transition.target is not None
    }
    sources = branches[0].transitions[0].sources
    if any(transition.sources != sources for transition in transitions.values()) or len(sources) != 1:
        raise ValueError("The transitions of one move share one source.")
    locked = locked_images(sources, *conditions, limit=limit, skip_locked=skip_locked)
    joined = () if given is None else (given,)
    statement = (
        update(images)
        .where(*joined, images.c.id.in_(select(locked.c.id)))
        .values(_values(db, branches))
        .returning(*outbox.ENDED_IMAGE, images.c.tiles_done, *returning)
    )
    sends_events = any(transition.sends_event for transition in transitions.values())
    if sends_events and db.on_postgres:
        # SQLite returns columns of the table that it changes, and of no other.
        told = outbox.select_listeners().subquery("told")
        statement = statement.where(told.c.job_id == images.c.job_id).returning(
            told.c.endpoint_id, told.c.events, told.c.total, told.c.further_webhooks
        )
    rows = connection.execute(statement).all()
    if not rows:
        return []
    batch = bulk.StatementBatch(db)
    kinds = {row.id: transitions[row.state].attempt_row for row in rows}
    opened = [row for row in rows if kinds[row.id] is AttemptRow.OPENED]
    new = [{"image_id": row.id, "attempt": row.attempt, "worker": worker} for row in opened]
    batch.insert(attempts, new, started_at=db.now())
    if closed := [row for row in rows if kinds[row.id] is AttemptRow.CLOSED]:
        if attempt_end is None:
            raise ValueError("Attempts are closed, and nothing says how they ended.")
        batch.add(_close_attempts(db, [(row.id, row.attempt, *attempt_end(row)) for row in closed]))
    if taken_back := [(row.id, row.attempt + 1) for row in rows if kinds[row.id] is AttemptRow.DELETED]:
        batch.add(delete(attempts).where(tuple_(attempts.c.image_id, attempts.c.attempt).in_(taken_back)))
    moves = Moves()
    for row in rows:
        reported = transitions[row.state].tiles is Tiles.REPORTED
        moves.add(row.job_id, sources[0], row.state, tiles=row.tiles_done if reported else 0)
    batch.insert(job_deltas, moves.rows())
    ended = [row for row in rows if row.state in ENDED]
    if sends_events and ended:
        if db.on_postgres:
            listeners = outbox.listeners_in(connection, ended)
        else:
            listeners = outbox.listeners(connection, {row.job_id for row in ended})
        batch.insert(webhook_outbox, outbox.image_rows(ended, listeners))
    audited = [row for row in rows if (transitions[row.state].audit or "").startswith("image.")]
    if audited:
        if audit_entry is None:
            raise ValueError("The audit log has an entry for each image, and nothing says what it holds.")
        audit.append_with(db, batch, [audit_entry(row) for row in audited])
    with_result = [row for row in ended if row.state in WITH_RESULT]
    note_work(db, batch, [] if work is None else [(row.tenant_id, work(row)) for row in with_result])
    batch.write(connection)
    return rows


class Moving(NamedTuple):
    """Images of one job that leave a state, and the tiles that they have done."""

    source: ImageState
    images: int
    tiles: int


def lock_images_of_job(connection: Connection, job_id: str, transition: ImageTransition) -> list[Moving]:
    """Locks all images of a job that can make the transition; how many there are of each source."""
    locked = locked_images(transition.sources, images.c.job_id == job_id)
    groups = select(
        locked.c.state, func.count().label("images"), func.sum(locked.c.tiles_done).label("tiles")
    ).group_by(locked.c.state)
    return [Moving(ImageState(row.state), row.images, int(row.tiles)) for row in connection.execute(groups)]


def move_images_of_job(
    db: Database, connection: Connection, job_id: str, transition: ImageTransition, locked: list[Moving]
) -> None:
    """Moves the images that :func:`lock_images_of_job` has locked, whatever their number, and reads none of them."""
    if transition.target is None or transition.sends_event:
        raise ValueError(f"{transition.name!r} is no move of a whole job.")
    mine = images.c.job_id == job_id
    if transition.attempt_row is AttemptRow.CLOSED:
        running = select(images.c.id).where(mine, images.c.state == ImageState.RUNNING)
        connection.execute(
            update(attempts)
            .where(attempts.c.image_id.in_(running), attempts.c.ended_at.is_(None))
            .values(ended_at=db.now(), outcome=transition.target)
        )
    branch = Branch(transitions=(transition,))
    connection.execute(update(images).where(mine, _in_states(transition.sources)).values(_values(db, [branch])))
    moves = Moves()
    for group in locked:
        # The tiles of a running image count as long as it runs; afterwards the job's sum keeps them.
        kept = group.tiles if transition.tiles is Tiles.UNCHANGED else 0
        moves.add(job_id, group.source, transition.target, images=group.images, tiles=kept)
    moves.write(connection)


def delete_images(connection: Connection, job_id: str) -> int:
    """Deletes all images of a job with their attempts; how many there were."""
    count, last = 0, -1
    while True:
        # By position, which is the order of their ids too.
        some = (
            select(images.c.id)
            .where(images.c.job_id == job_id, images.c.position > last, _in_states(DELETE.sources))
            .order_by(images.c.position)
            .limit(_DELETED_AT_ONCE)
            .with_for_update()
            .cte("some")
        )
        deleted = delete(images).where(images.c.id.in_(select(some.c.id))).returning(images.c.position)
        positions = connection.scalars(deleted).all()
        count += len(positions)
        if len(positions) < _DELETED_AT_ONCE:
            return count
        last = max(positions)


def _in_states(states: Iterable[ImageState]) -> ColumnElement[bool]:
    states = tuple(states)
    return images.c.state == states[0] if len(states) == 1 else images.c.state.in_(states)


def _values(db: Database, branches: Sequence[Branch]) -> ColumnValues:
    """The new values of columns; where branches differ, each image gets those of its branch."""
    *conditional, last = branches
    others = _effects(db, last)
    if not conditional:
        return others
    chosen = []
    for branch in conditional:
        if branch.when is None:
            raise ValueError("Only the last branch has no condition.")
        chosen.append((branch.when, _effects(db, branch)))
    values = {}
    for name in {name: None for columns in (*(columns for _, columns in chosen), others) for name in columns}:
        column = images.c[name]
        if all(columns.get(name, column) is others.get(name, column) for _, columns in chosen):
            values[name] = others.get(name, column)
        else:
            cases = [(when, columns.get(name, column)) for when, columns in chosen]
            values[name] = case(*cases, else_=others.get(name, column))
    return values


def _effects(db: Database, branch: Branch) -> ColumnValues:
    """The writes of a transition: those of the table, and those of the caller."""
    transition = branch.transitions[0]
    if transition.target is None:
        raise ValueError(f"{transition.name!r} leaves no image.")
    state = transition.target.value if branch.state is None else branch.state
    columns: ColumnValues = {"state": state, "published_at": None}
    if transition.takes_lease:
        columns["started_at"] = func.coalesce(images.c.started_at, db.now())
    else:
        columns |= {"lease_token": None, "lease_expires_at": None}
    if transition.attempts:
        columns["attempt"] = images.c.attempt + transition.attempts
    if transition.attempts < 0:
        columns["started_at"] = case((images.c.attempt == 1, None), else_=images.c.started_at)
    if transition.due is Due.NOW:
        columns["available_at"] = db.now()
    elif transition.due is Due.AT_CREATION:
        columns["available_at"] = images.c.created_at
    if transition.tiles is Tiles.RESET:
        columns |= {"tiles_done": 0, "tiles_total": None}
    if transition.target in ENDED:
        columns["finished_at"] = db.now()
    elif transition.reopens:
        columns |= {"finished_at": None, "error_code": None, "error_detail": None}
    return columns | branch.values


def _close_attempts(db: Database, ends: list[tuple[Any, ...]]) -> Update:
    columns: dict[str, TypeEngine[Any]] = {
        "image": Text(),
        "number": Integer(),
        "outcome": Text(),
        "code": Text(),
        "detail": Text(),
    }
    end = bulk.given_rows(db, "ends", columns, ends)
    return (
        update(attempts)
        .where(attempts.c.image_id == end.c.image, attempts.c.attempt == end.c.number)
        .values(ended_at=db.now(), outcome=end.c.outcome, code=end.c.code, detail=end.c.detail)
    )

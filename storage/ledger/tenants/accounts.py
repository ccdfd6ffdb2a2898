"""A tenant's accounts: what the service has done for it, by day of UTC, for bills and reports.

The transaction that ends images with a result also writes their work, as rows of ``account_deltas``: no row is hot. The
dispatcher folds these into ``accounts`` and a reader adds both in one statement. The audit log's entries of the same
transaction hold the same numbers, so that one proves the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Date, cast, delete, func, select, union_all
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database
from storage.ledger import bulk
from storage.records import AccountDay, Work
from storage.tables import account_deltas, accounts

#: Rows in one transaction.
_BATCH = 1000
_FIGURES = ("images", "pixels", "bytes", "device_ms")


def note_work(db: Database, batch: bulk.StatementBatch, done: Iterable[tuple[str, Work]]) -> None:
    """Adds the work on images, each with its tenant, to a batch of writes: one row for each tenant."""
    sums: defaultdict[str, Work] = defaultdict(Work)
    for tenant_id, work in done:
        sums[tenant_id] += work
    rows = [{"tenant_id": tenant_id, **vars(work)} for tenant_id, work in sums.items()]
    batch.insert(account_deltas, rows, day=_today(db))


def fold_accounts(db: Database) -> dict[str, Work]:
    """Adds the rows of ``account_deltas`` to the accounts; returns the work by tenant. Any number may run at once."""
    folded: defaultdict[str, Work] = defaultdict(Work)
    while True:
        batch = _fold_batch(db)
        for tenant_id, _, work in batch:
            folded[tenant_id] += work
        if len(batch) < _BATCH:
            return dict(folded)


def list_account(db: Database, tenant_id: str, since: date, until: date) -> list[AccountDay]:
    """The days from ``since`` to ``until`` with any work for the tenant, oldest first."""
    parts = [
        select(table.c.day, *(table.c[name] for name in _FIGURES)).where(
            table.c.tenant_id == tenant_id, table.c.day.between(since, until)
        )
        for table in (accounts, account_deltas)
    ]
    both = union_all(*parts).subquery("both")
    sums = [func.sum(both.c[name]).label(name) for name in _FIGURES]
    query = select(both.c.day, *sums).group_by(both.c.day).order_by(both.c.day)
    with db.read() as connection:
        return [AccountDay(row.day, _work(row)) for row in connection.execute(query)]


def recent_device_seconds(db: Database, tenant_id: str, *, days: int) -> float | None:
    """Mean seconds of devices for an image of the tenant in the last ``days``; ``None`` where there was none."""
    until = today(db)
    work = sum((day.work for day in list_account(db, tenant_id, until - timedelta(days=days), until)), Work())
    return work.device_ms / 1000 / work.images if work.images else None


def sum_accounts(db: Database, since: date) -> dict[str, Work]:
    """The work since a day for each tenant with any, by its id."""
    parts = [
        select(table.c.tenant_id, *(table.c[name] for name in _FIGURES)).where(table.c.day >= since)
        for table in (accounts, account_deltas)
    ]
    both = union_all(*parts).subquery("both")
    sums = [func.sum(both.c[name]).label(name) for name in _FIGURES]
    with db.read() as connection:
        rows = connection.execute(select(both.c.tenant_id, *sums).group_by(both.c.tenant_id)).all()
    return {row.tenant_id: _work(row) for row in rows}


def today(db: Database) -> date:
    """The day of UTC by the ledger's clock."""
    with db.read() as connection:
        return connection.execute(select(db.now())).scalar_one().date()


def _fold_batch(db: Database) -> list[tuple[str, date, Work]]:
    with db.write() as connection:
        taken = select(account_deltas.c.id).limit(_BATCH).with_for_update(skip_locked=True).cte("taken")
        deleted = connection.execute(
            delete(account_deltas)
            .where(account_deltas.c.id.in_(select(taken.c.id)))
            .returning(account_deltas.c.tenant_id, account_deltas.c.day, *(account_deltas.c[n] for n in _FIGURES))
        ).all()
        sums: defaultdict[tuple[str, date], Work] = defaultdict(Work)
        for row in deleted:
            sums[row.tenant_id, row.day] += _work(row)
        dialect = postgresql if db.on_postgres else sqlite
        for (tenant_id, day), work in sorted(sums.items(), key=lambda item: item[0]):
            added = dialect.insert(accounts).values(tenant_id=tenant_id, day=day, **vars(work))
            connection.execute(
                added.on_conflict_do_update(
                    index_elements=[accounts.c.tenant_id, accounts.c.day],
                    set_={name: accounts.c[name] + added.excluded[name] for name in _FIGURES},
                )
            )
        return [(row.tenant_id, row.day, _work(row)) for row in deleted]


def _work(row: Any) -> Work:
    return Work(**{name: int(getattr(row, name)) for name in _FIGURES})


def _today(db: Database) -> ColumnElement[date]:
    if db.on_postgres:
        return cast(func.timezone("UTC", db.now()), Date)
    return func.date(db.now())

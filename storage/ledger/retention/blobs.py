"""Blobs that no row of the ledger names any more.

The transaction that deletes the last row with a blob's name also notes the blob. A sweeper deletes noted blobs later.
If a process dies in between, the note is still there.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from storage.database import Database
from storage.tables import blob_deletions

#: Rows in one transaction.
_BATCH = 100
#: Seconds until a blob is deleted: longer than a worker that has lost its lease may still write it.
_DELETED_AFTER_S = 900.0


class BlobDeletion(NamedTuple):
    """A key to delete; or, with a slash at its end, all keys under it."""

    key: str
    #: Whether a multipart upload to the key may be unfinished.
    in_parts: bool


def note_blobs(
    db: Database, connection: Connection, keys: list[tuple[str, str | None]], *, wait_s: float = 0.0
) -> None:
    """Notes keys, each with its multipart upload, for deletion; links to write them expire within ``wait_s``."""
    connection.execute(
        insert(blob_deletions).values(due_at=db.after(wait_s + _DELETED_AFTER_S)),
        [{"key": key, "parts_id": parts_id} for key, parts_id in keys],
    )


def claim_blob_deletions(db: Database, *, claim_s: float) -> dict[int, BlobDeletion]:
    """Claims some noted blobs for ``claim_s`` seconds; returns them by number."""
    with db.write() as connection:
        due = (
            select(blob_deletions.c.id)
            .where(blob_deletions.c.due_at <= db.now())
            .order_by(blob_deletions.c.due_at)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claimed = connection.execute(
            update(blob_deletions)
            .where(blob_deletions.c.id.in_(select(due.c.id)))
            .values(due_at=db.after(claim_s))
            .returning(blob_deletions.c.id, blob_deletions.c.key, blob_deletions.c.parts_id)
        )
        return {row.id: BlobDeletion(row.key, row.parts_id is not None) for row in claimed}


def forget_blob_deletions(db: Database, numbers: list[int]) -> None:
    """Deletes the notes of these numbers, whose blobs are deleted."""
    with db.write() as connection:
        connection.execute(delete(blob_deletions).where(blob_deletions.c.id.in_(numbers)))

"""Blobs that nothing in the ledger names any more.

The transaction that deletes the last row with a blob's name also notes the blob. A sweeper deletes noted blobs later.
If a process dies in between, the note is still there.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from storage.database import Database
from storage.tables import blob_deletions

#: Jobs, or rows, in one look.
_BATCH = 100
#: Seconds until blobs are deleted: longer than a worker that lost its lease may still be writing one.
_DELETED_AFTER_S = 900.0


class BlobDeletion(NamedTuple):
    """What is to be deleted: a key, or with a slash at its end all keys under it."""

    key: str
    #: Whether the blob may have been sent in parts only so far.
    in_parts: bool


def note_blobs(
    db: Database, connection: Connection, keys: list[tuple[str, str | None]], *, wait_s: float = 0.0
) -> None:
    """Notes keys, each with the name of its transfer in parts, that nothing names any more and nobody writes
    ``wait_s`` later."""
    connection.execute(
        insert(blob_deletions).values(due_at=db.after(wait_s + _DELETED_AFTER_S)),
        [{"key": key, "parts_id": parts_id} for key, parts_id in keys],
    )


def claim_blob_deletions(db: Database, *, claim_s: float) -> dict[int, BlobDeletion]:
    """Some blobs to delete, by number, for the caller alone during ``claim_s``."""
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
    """The blobs of these numbers are gone."""
    with db.write() as connection:
        connection.execute(delete(blob_deletions).where(blob_deletions.c.id.in_(numbers)))

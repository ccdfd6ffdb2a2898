"""Multipart uploads, from the first call to the complete file; and uploads that their tenant deletes.

The row is written before the object store opens the multipart upload, and marked complete after the store has joined
the parts. If a process dies in between, the sweeper finds the row and aborts the multipart upload under its key.
"""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import delete, select, update

from storage.database import Database
from storage.errors import NotFound, UploadInUse
from storage.ledger.retention.blobs import note_blobs
from storage.records import Upload
from storage.tables import uploads


def name_parts(db: Database, parts_ids: dict[str, str]) -> None:
    """Writes the ids of multipart uploads, by upload."""
    with db.write() as connection:
        for upload_id, parts_id in parts_ids.items():
            connection.execute(update(uploads).where(uploads.c.id == upload_id).values(parts_id=parts_id))


def find_upload(db: Database, tenant_id: str, upload_id: str) -> Upload:
    """An upload, complete or not. Raises NotFound."""
    query = select(*(uploads.c[column.name] for column in fields(Upload))).where(
        uploads.c.id == upload_id, uploads.c.tenant_id == tenant_id, uploads.c.expires_at > db.now()
    )
    with db.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise NotFound("upload", upload_id)
    return Upload(**row._asdict())


def mark_complete(db: Database, tenant_id: str, upload_id: str) -> None:
    """Marks an upload as complete, so that jobs may use it. Raises NotFound: it was deleted meanwhile."""
    with db.write() as connection:
        changed = connection.execute(
            update(uploads).where(uploads.c.id == upload_id, uploads.c.tenant_id == tenant_id).values(parts_id=None)
        ).rowcount
    if not changed:
        raise NotFound("upload", upload_id)


def drop_upload(db: Database, tenant_id: str, upload_id: str, *, links_s: float) -> None:
    """Deletes an upload that no job uses; its blob and parts are deleted after its links, of ``links_s``, have expired.

    Raises:
        NotFound: no such upload of this tenant.
        UploadInUse: a job uses it.
    """
    with db.write() as connection:
        row = connection.execute(
            select(uploads.c.key, uploads.c.parts_id, uploads.c.uses)
            .where(uploads.c.id == upload_id, uploads.c.tenant_id == tenant_id)
            .with_for_update()
        ).first()
        if row is None:
            raise NotFound("upload", upload_id)
        if row.uses:
            raise UploadInUse(upload_id)
        connection.execute(delete(uploads).where(uploads.c.id == upload_id))
        note_blobs(db, connection, [(row.key, row.parts_id)], wait_s=links_s)

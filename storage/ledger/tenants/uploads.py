"""A tenant's uploads, and the number of jobs that hold each. Every query names the tenant."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from storage.database import Database
from storage.errors import UploadUnknown
from storage.ledger import bulk
from storage.ledger.tenants import quotas
from storage.ledger.tenants.idempotency import Done, Once, make_once
from storage.records import Upload
from storage.tables import new_id, uploads


def create_uploads(
    db: Database,
    tenant_id: str,
    files: list[tuple[str, str]],
    *,
    expires_in_s: float,
    sizes: list[int | None] | None = None,
    in_parts: list[bool] | None = None,
) -> list[Upload]:
    """Creates uploads for files, each ``(filename, content_type)``, in their order; they expire in ``expires_in_s``.

    ``sizes`` in bytes, ``None``: not announced; ``in_parts``: whether a file is sent in parts. A job cannot use such an
    upload before it is complete (:mod:`storage.ledger.tenants.parts`). Raises QuotaExceeded, SizeMissing.
    """
    return create_uploads_once(
        db, tenant_id, None, files, expires_in_s=expires_in_s, sizes=sizes, in_parts=in_parts
    ).made


def create_uploads_once(
    db: Database,
    tenant_id: str,
    once: Once | None,
    files: list[tuple[str, str]],
    *,
    expires_in_s: float,
    sizes: list[int | None] | None = None,
    in_parts: list[bool] | None = None,
) -> Done[list[Upload]]:
    """As :func:`create_uploads`, for a request that may have an idempotency key.

    A repeat gets the same uploads. Raises UploadUnknown: one of them has been deleted meanwhile.
    """
    sizes = sizes if sizes is not None else [None] * len(files)
    in_parts = in_parts if in_parts is not None else [False] * len(files)
    rows = []
    for (filename, content_type), size, cut in zip(files, sizes, in_parts, strict=True):
        upload_id = new_id("upl")
        rows.append(
            {
                "id": upload_id,
                "tenant_id": tenant_id,
                "key": f"t/{tenant_id}/uploads/{upload_id}",
                "filename": filename,
                "content_type": content_type,
                "size": size,
                "parts_id": "" if cut else None,
            }
        )
    if not rows:
        return Done([], False)

    def make(connection: Connection) -> list[Upload]:
        quotas.use(db, connection, tenant_id, sizes=sizes)
        created = connection.execute(
            insert(uploads)
            .values(created_at=db.now(), expires_at=db.after(expires_in_s))
            .returning(*(uploads.c[column.name] for column in fields(Upload)), sort_by_parameter_order=True),
            rows,
        )
        return [Upload(**row._asdict()) for row in created]

    def again(connection: Connection, stored: dict[str, Any]) -> list[Upload]:
        ids: list[str] = stored["ids"]
        query = select(*(uploads.c[column.name] for column in fields(Upload))).where(
            uploads.c.tenant_id == tenant_id, bulk.in_array(db, uploads.c.id, ids)
        )
        made = {row.id: Upload(**row._asdict()) for row in connection.execute(query)}
        if len(made) < len(ids):
            raise UploadUnknown([upload_id for upload_id in ids if upload_id not in made])
        return [made[upload_id] for upload_id in ids]

    return make_once(
        db,
        tenant_id,
        once,
        make=make,
        answer_of=lambda made: {"ids": [upload.id for upload in made]},
        again=again,
    )


def known_uploads(db: Database, tenant_id: str, upload_ids: Iterable[str]) -> set[str]:
    """Those of the uploads that a job of this tenant could use now."""
    known: set[str] = set()
    with db.read() as connection:
        for chunk in bulk.chunks(sorted(set(upload_ids))):
            known.update(connection.scalars(select(uploads.c.id).where(*_usable(db, tenant_id, chunk))))
    return known


def _usable(
    db: Database, tenant_id: str, upload_ids: list[str], *, even_expired: bool = False
) -> tuple[ColumnElement[bool], ...]:
    is_kept: ColumnElement[bool] = uploads.c.expires_at > db.now()
    if even_expired:
        is_kept = or_(is_kept, uploads.c.uses > 0)
    return (
        bulk.in_array(db, uploads.c.id, upload_ids),
        uploads.c.tenant_id == tenant_id,
        is_kept,
        uploads.c.parts_id.is_(None),
    )


def hold_uploads(
    db: Database, connection: Connection, tenant_id: str, wanted: list[str], *, even_expired: bool = False
) -> dict[str, tuple[str, str]]:
    """Holds uploads for one more job; returns their keys and names by id. Raises UploadUnknown.

    ``even_expired``: also uploads that have expired and that a job still holds.
    """
    files: dict[str, tuple[str, str]] = {}
    for chunk in bulk.chunks(wanted):
        held = (
            select(uploads.c.id)
            .where(*_usable(db, tenant_id, chunk, even_expired=even_expired))
            .order_by(uploads.c.id)
            .with_for_update(key_share=True)
            .cte("held")
        )
        rows = connection.execute(
            update(uploads)
            .where(uploads.c.id.in_(select(held.c.id)))
            .values(uses=uploads.c.uses + 1)
            .returning(uploads.c.id, uploads.c.key, uploads.c.filename)
        )
        files |= {row.id: (row.key, row.filename) for row in rows}
    if len(files) < len(wanted):
        raise UploadUnknown([upload_id for upload_id in wanted if upload_id not in files])
    return files


def get_upload(db: Database, tenant_id: str, upload_id: str) -> Upload:
    """An upload that a job could use now. Raises UploadUnknown."""
    query = select(*(uploads.c[column.name] for column in fields(Upload))).where(*_usable(db, tenant_id, [upload_id]))
    with db.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise UploadUnknown([upload_id])
    return Upload(**row._asdict())


def upload_names(db: Database, tenant_id: str, upload_ids: Collection[str]) -> dict[str, str]:
    """The file names of those uploads that exist and have not expired, by id."""
    names: dict[str, str] = {}
    with db.read() as connection:
        for chunk in bulk.chunks(sorted(upload_ids)):
            query = select(uploads.c.id, uploads.c.filename).where(
                uploads.c.tenant_id == tenant_id, bulk.in_array(db, uploads.c.id, chunk)
            )
            names.update({row.id: row.filename for row in connection.execute(query)})
    return names

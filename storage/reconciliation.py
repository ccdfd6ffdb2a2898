"""Compares the ledger with the blob store: after a restore they may be of different moments.

``unnamed_blobs`` finds blobs that no row names: uploads and results of the time after the ledger's dump.
``missing_blobs`` finds rows whose blob is gone. Both read page by page. The order of their reads keeps blobs that come
or go meanwhile out of the findings: a row is written before its upload and after its result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, collate, func, or_, select

from storage.blobs.base import Blobs
from storage.database import Database
from storage.errors import BlobNotFound
from storage.json_columns import read_image_record
from storage.ledger.bulk import chunks, in_array
from storage.ledger.lifecycle.images import Branch, move_images
from storage.ledger.lifecycle.jobs import move_job
from storage.ledger.lifecycle.transitions import OPEN_IMAGE, REMAKE, REOPEN
from storage.ledger.operations import audit
from storage.records import ImageState, JobState, TemplateState
from storage.tables import blob_deletions, images, jobs, templates, tenants, uploads

#: Rows in one read.
_PAGE = 1000
#: Prefix of all keys of the service.
_ROOT = "t/"


class Lack(StrEnum):
    #: An image succeeded and its result is gone: it can be repaired again.
    RESULT = "result"
    #: The preview is gone; a repeated repair makes it again.
    PREVIEW = "preview"
    #: A picture or mask that jobs use is gone; waiting images that need it will fail.
    UPLOAD = "upload"
    #: The file of a template is gone: the template must be made again.
    TEMPLATE = "template"


@dataclass(frozen=True)
class MissingBlob:
    """A missing blob that a row names."""

    lack: Lack
    key: str
    #: Id of the image, the upload or the template.
    id: str
    #: Number of images that have not ended and need it.
    waiting: int = 0


def unnamed_blobs(db: Database, blobs: Blobs) -> Iterator[str]:
    """Keys of blobs that no row names, and that are not noted for deletion."""
    for keys in chunks(stat.key for stat in blobs.list(_ROOT)):
        named = _named(db, keys)
        yield from (key for key in keys if key not in named)


def missing_blobs(db: Database, blobs: Blobs) -> Iterator[MissingBlob]:
    """Missing blobs that rows name."""
    yield from _missing_uploads(db, blobs)
    yield from _missing_templates(db, blobs)
    for job in _pages(db, select(jobs.c.id, jobs.c.tenant_id), jobs.c.id):
        yield from _missing_results(db, blobs, job)


def requeue(db: Database, image_ids: Sequence[str]) -> int:
    """Queues succeeded images again, for one attempt each, whose results or previews are gone; returns their number.

    Their jobs are open again and end with an event of their own. Images of canceled jobs stay as they are.
    """
    total = 0
    for chunk in chunks(image_ids):
        with db.write() as connection:
            rows = move_images(
                db,
                connection,
                [Branch(transitions=(REMAKE,), values={"result_key": None})],
                in_array(db, images.c.id, chunk),
                images.c.job_id.in_(select(jobs.c.id).where(jobs.c.state != JobState.CANCELED)),
                audit_entry=_requeued,
            )
            for job_id in sorted({row.job_id for row in rows}):
                move_job(db, connection, REOPEN, job_id)
        total += len(rows)
    return total


def _requeued(row: Row[Any]) -> audit.Event:
    return audit.Event(row.tenant_id, "image.requeued", audit.SERVICE, row.job_id, row.id, {})


def _named(db: Database, keys: Sequence[str]) -> set[str]:
    """The keys that rows name, or that are noted for deletion."""
    owners: dict[str, set[str]] = {"uploads": set(), "jobs": set(), "templates": set()}
    for key in keys:
        kind, _ = _owner(key)
        owners.setdefault(kind, set()).add(key)
    image_of = {key: key.rsplit("/", 1)[1].split(".")[0] for key in owners["jobs"]}
    template_of = {key: _owner(key)[1] for key in owners["templates"]}
    folders = {key: _folder(key) for key in keys}
    with db.read() as connection:
        named = set(connection.scalars(select(uploads.c.key).where(in_array(db, uploads.c.key, [*owners["uploads"]]))))
        its_images = {
            row.id: row
            for row in connection.execute(
                select(images.c.id, images.c.job_id, images.c.state, images.c.result_key).where(
                    in_array(db, images.c.id, [*image_of.values()])
                )
            )
        }
        known = in_array(db, templates.c.id, [*template_of.values()])
        its_templates = set(connection.scalars(select(templates.c.id).where(known)))
        noted = in_array(db, blob_deletions.c.key, [*keys, *folders.values()])
        deleted = set(connection.scalars(select(blob_deletions.c.key).where(noted)))
    named |= {key for key, image in image_of.items() if _belongs(key, its_images.get(image))}
    named |= {key for key, template in template_of.items() if template in its_templates}
    return named | {key for key in keys if key in deleted or folders[key] in deleted}


def _belongs(key: str, image: Row[Any, Any, Any, Any] | None) -> bool:
    """Whether a file in a job's folder is, or may become, this image's result or preview."""
    if image is None or _owner(key)[1] != image.job_id:
        return False
    return image.state in OPEN_IMAGE or "/results/" not in key or image.result_key == key


def _owner(key: str) -> tuple[str, str]:
    """Kind and id of a blob's owner, from its key ``t/TENANT/KIND/ID...``."""
    _, _, kind, identifier, *_ = [*key.split("/"), "", "", ""]
    return kind, identifier


def _folder(key: str) -> str:
    """The folder of a blob's owner, which is deleted as a whole."""
    return "/".join(key.split("/")[:4]) + "/"


def _missing_uploads(db: Database, blobs: Blobs) -> Iterator[MissingBlob]:
    for tenant_id in _scalars(db, select(tenants.c.id)):
        rows = _pages(
            db,
            select(uploads.c.key, uploads.c.id).where(uploads.c.tenant_id == tenant_id, uploads.c.uses > 0),
            # The order of the blob store.
            collate(uploads.c.key, "C") if db.on_postgres else uploads.c.key,
        )
        stored = (stat.key for stat in blobs.list(f"{_ROOT}{tenant_id}/uploads/"))
        for row in _absent(rows, stored):
            if _is_gone(blobs, row.key) and _scalars(db, select(uploads.c.id).where(uploads.c.id == row.id)):
                uses = or_(images.c.source_key == row.key, images.c.mask_key == row.key)
                waiting = select(func.count()).select_from(images).where(uses, images.c.state.in_(OPEN_IMAGE))
                yield MissingBlob(Lack.UPLOAD, row.key, row.id, _scalars(db, waiting)[0])


def _absent(rows: Iterable[Row[Any]], stored: Iterator[str]) -> Iterator[Row[Any]]:
    """Rows whose key is not stored; both come in the order of their keys."""
    key = next(stored, None)
    for row in rows:
        while key is not None and key < row.key:
            key = next(stored, None)
        if key != row.key:
            yield row


def _missing_templates(db: Database, blobs: Blobs) -> Iterator[MissingBlob]:
    made = (TemplateState.NEEDS_REVIEW, TemplateState.READY)
    query = select(templates.c.id, templates.c.file_key, templates.c.previews).where(templates.c.state.in_(made))
    for row in _pages(db, query, templates.c.id):
        for key in filter(None, [row.file_key, *row.previews.values()]):
            if _is_gone(blobs, key) and _scalars(db, select(templates.c.id).where(templates.c.id == row.id)):
                yield MissingBlob(Lack.TEMPLATE, key, row.id)


def _missing_results(db: Database, blobs: Blobs, job: Row[Any]) -> Iterator[MissingBlob]:
    # The rows first: their blobs were stored before.
    query = select(images.c.id, images.c.result_key, images.c.record).where(
        images.c.job_id == job.id, images.c.state == ImageState.SUCCEEDED
    )
    rows = list(_pages(db, query, images.c.id))
    folder = f"{_ROOT}{job.tenant_id}/jobs/{job.id}/"
    stored = {stat.key for stat in blobs.list(folder)} if rows else set()
    for row in rows:
        has_preview = read_image_record(row.record).preview is not None
        preview = f"{folder}previews/{row.id}.webp" if has_preview else None
        for lack, key in ((Lack.RESULT, row.result_key), (Lack.PREVIEW, preview)):
            if key and key not in stored:
                still = select(images.c.id).where(images.c.id == row.id, images.c.state == ImageState.SUCCEEDED)
                if _is_gone(blobs, key) and _scalars(db, still):
                    yield MissingBlob(lack, key, row.id)


def _is_gone(blobs: Blobs, key: str) -> bool:
    try:
        blobs.stat(key)
    except BlobNotFound:
        return True
    return False


def _scalars(db: Database, query: Select[Any]) -> list[Any]:
    with db.read() as connection:
        return list(connection.scalars(query))


def _pages(db: Database, query: Select[Any], order: ColumnElement[Any]) -> Iterator[Row[Any]]:
    """Rows of a query by its first column, which is unique, read page by page."""
    after: str | None = None
    while True:
        page = query if after is None else query.where(order > after)
        with db.read() as connection:
            rows = connection.execute(page.order_by(order).limit(_PAGE)).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1][0]

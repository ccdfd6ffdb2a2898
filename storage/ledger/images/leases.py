"""Leases: a worker's timed claim on images, fenced by a token.

A statement of a worker changes only images that are ``running`` under its token. A worker that has lost the lease, by
expiry or cancellation, finds its ids missing from the answer and has changed nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, case, select, update

from cleanplate.base.destinations import Destination
from cleanplate.base.documents import JsonObject
from cleanplate.base.masks import JobMask
from storage.database import Database
from storage.json_columns import read_job_mask
from storage.ledger import bulk
from storage.ledger.images.eligibility import may_begin
from storage.ledger.lifecycle.images import Branch, locked_images, move_images
from storage.ledger.lifecycle.jobs import move_job
from storage.ledger.lifecycle.transitions import BEGIN, GIVE_BACK, LEASE
from storage.ledger.templates import template_use
from storage.records import ImageOfJob, JobState, LeasedImage
from storage.tables import attempts, images, jobs

#: Columns of a leased image that :func:`move_images` does not return by itself.
_LEASED = (images.c.source_key, images.c.source_url, images.c.mask_key, images.c.mask, images.c.options)


def lease_images(db: Database, image_ids: list[str], *, worker: str, lease_s: float) -> tuple[str, list[LeasedImage]]:
    """Leases the images that are free; returns the token and the leased images, in the order given.

    ``worker`` names the holder in the images' attempts. Images that are held, ended, paused, past their job's deadline
    or not yet due are skipped.
    """
    token = secrets.token_urlsafe(24)
    branch = Branch(transitions=(LEASE,), values={"lease_token": token, "lease_expires_at": db.after(lease_s)})
    with db.write() as connection:
        leased = move_images(
            db,
            connection,
            [branch],
            bulk.in_array(db, images.c.id, image_ids),
            images.c.available_at <= db.now(),
            may_begin(db),
            skip_locked=True,
            returning=_LEASED,
            worker=worker[:200],
        )
        if not leased:
            return token, []
        begun = _begin_jobs(db, connection, sorted({row.job_id for row in leased}))
        masks = _masks_of(leased, begun)
        known = template_use.read_used(connection, masks.values())
        codes = _earlier_codes(db, connection, [row.id for row in leased if row.attempt > 1])
    by_id = {
        row.id: _leased(row, begun[row.job_id], template_use.resolve(masks[row.id], known), codes.get(row.id, ()))
        for row in leased
    }
    return token, [by_id[image_id] for image_id in dict.fromkeys(image_ids) if image_id in by_id]


def heartbeat(db: Database, token: str, *, lease_s: float, progress: dict[str, tuple[int, int]]) -> set[str]:
    """Extends the leases of a token and writes ``(tiles_done, tiles_total)`` by image; returns the ids still held."""
    done: ColumnElement[int] = images.c.tiles_done
    total: ColumnElement[int] = images.c.tiles_total
    if progress:
        done = case({image_id: tiles[0] for image_id, tiles in progress.items()}, value=images.c.id, else_=done)
        total = case({image_id: tiles[1] for image_id, tiles in progress.items()}, value=images.c.id, else_=total)
    with db.write() as connection:
        held = locked_images(GIVE_BACK.sources, held_by(token))
        return set(
            connection.scalars(
                update(images)
                .where(images.c.id.in_(select(held.c.id)))
                .values(lease_expires_at=db.after(lease_s), tiles_done=done, tiles_total=total)
                .returning(images.c.id)
            )
        )


def release_images(db: Database, token: str, image_ids: list[str]) -> None:
    """Queues images again that the worker has not begun: due at once, and the attempt does not count."""
    with db.write() as connection:
        give_back(db, connection, held_by(token), bulk.in_array(db, images.c.id, image_ids))


def give_back(
    db: Database, connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[ImageOfJob]:
    """As :func:`release_images`, for running images of any holder; with a ``limit``, skips those that are locked."""
    rows = move_images(
        db,
        connection,
        [Branch(transitions=(GIVE_BACK,))],
        *conditions,
        limit=limit,
        skip_locked=limit is not None,
    )
    return [ImageOfJob(row.job_id, row.id) for row in rows]


def held_by(token: str) -> ColumnElement[bool]:
    """Whether an image's lease has this token."""
    return images.c.lease_token == token


def _masks_of(rows: Iterable[Any], jobs_by_id: dict[str, Any]) -> dict[str, JobMask | None]:
    """The mask of each image, its own or its job's; ``None``: it cannot be read, which the image's worker reports.

    Most images of a shard share their job's mask, which is read once for all of them.
    """
    shared: dict[tuple[str, str], JobMask | None] = {}
    masks = {}
    for row in rows:
        if row.mask is not None:
            masks[row.id] = _read_mask(row.mask, row.mask_key)
            continue
        place = (row.job_id, row.mask_key)
        if place not in shared:
            shared[place] = _read_mask(jobs_by_id[row.job_id].mask, row.mask_key)
        masks[row.id] = shared[place]
    return masks


def _read_mask(document: JsonObject | None, mask_key: str) -> JobMask | None:
    try:
        return read_job_mask(document, mask_key)
    except ValidationError:
        return None


def _leased(row: Any, job: Any, used: template_use.Resolved, earlier_codes: tuple[str, ...]) -> LeasedImage:
    return LeasedImage(
        id=row.id,
        job_id=row.job_id,
        tenant_id=row.tenant_id,
        name=row.name,
        path=row.path,
        custom_id=row.custom_id,
        destination=None if job.destination is None else Destination.model_validate(job.destination),
        source_key=row.source_key,
        source_url=row.source_url,
        mask_document=job.mask if row.mask is None else row.mask,
        has_own_mask=row.mask is not None,
        job_total=job.total,
        mask_key=used.mask_key or row.mask_key,
        placement=used.placement,
        templates=used.templates,
        job_options=job.options,
        own_options=row.options,
        attempt=row.attempt,
        earlier_codes=earlier_codes,
        trace=job.trace,
    )


def _earlier_codes(db: Database, connection: Connection, image_ids: list[str]) -> dict[str, tuple[str, ...]]:
    """The codes of the attempts at these images, by image."""
    if not image_ids:
        return {}
    codes: dict[str, tuple[str, ...]] = {}
    for image_id, code in connection.execute(
        select(attempts.c.image_id, attempts.c.code)
        .where(bulk.in_array(db, attempts.c.image_id, image_ids), attempts.c.code.is_not(None))
        .order_by(attempts.c.image_id, attempts.c.attempt)
    ):
        codes[image_id] = (*codes.get(image_id, ()), code)
    return codes


def _begin_jobs(db: Database, connection: Connection, job_ids: list[str]) -> dict[str, Any]:
    """Moves queued jobs to ``running``; returns options, mask, trace and number of images of all, by id."""
    rows = connection.execute(
        select(
            jobs.c.id, jobs.c.state, jobs.c.options, jobs.c.mask, jobs.c.trace, jobs.c.destination, jobs.c.total
        ).where(jobs.c.id.in_(job_ids))
    ).all()
    for job_id in sorted(row.id for row in rows if row.state == JobState.QUEUED):
        move_job(db, connection, BEGIN, job_id)
    return {row.id: row for row in rows}

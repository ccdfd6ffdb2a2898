"""Leases: a worker's timed claim on images, fenced by a token.

A statement of a worker counts only where its token is still the image's and the image still ``running``. Whoever lost
the lease, by its end or by the job's cancellation, finds its ids missing from the answer and has changed nothing.
"""

from __future__ import annotations

import secrets
from typing import Any

from pydantic import ValidationError
from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    case,
    delete,
    func,
    select,
    tuple_,
    update,
)

from cleanplate.base.masks import JobMask
from storage.database import Database
from storage.documents import read_job_mask
from storage.ledger import bulk
from storage.ledger.images.eligibility import may_begin
from storage.ledger.jobs.counting import Moves
from storage.ledger.templates import template_use
from storage.records import ImageOfJob, ImageState, JobState, LeasedImage
from storage.tables import attempts, images, job_deltas, jobs


def lease_images(db: Database, image_ids: list[str], *, worker: str, lease_s: float) -> tuple[str, list[LeasedImage]]:
    """Leases those of the images that are free; a token for them, and what was leased, in the order asked for.

    ``worker`` names the holder in the images' attempts. Images that are held, ended, paused, past their job's deadline
    or not yet due are left out.
    """
    token = secrets.token_urlsafe(24)
    with db.write() as connection:
        free = (
            select(images.c.id)
            .where(
                bulk.among(db, images.c.id, image_ids),
                images.c.state == ImageState.QUEUED,
                images.c.available_at <= db.now(),
                may_begin(db),
            )
            .order_by(images.c.id)
            .with_for_update(key_share=True, skip_locked=True, of=images)
            .cte("free")
        )
        leased = connection.execute(
            update(images)
            .where(images.c.id.in_(select(free.c.id)))
            .values(
                state=ImageState.RUNNING,
                lease_token=token,
                lease_expires_at=db.after(lease_s),
                published_at=None,
                attempt=images.c.attempt + 1,
                tiles_done=0,
                tiles_total=None,
                started_at=func.coalesce(images.c.started_at, db.now()),
            )
            .returning(
                images.c.id,
                images.c.job_id,
                images.c.tenant_id,
                images.c.name,
                images.c.source_key,
                images.c.source_url,
                images.c.mask_key,
                images.c.mask,
                images.c.options,
                images.c.attempt,
            )
        ).all()
        if not leased:
            return token, []
        begun = _begin_jobs(db, connection, sorted({row.job_id for row in leased}))
        new = [{"image_id": row.id, "attempt": row.attempt, "worker": worker[:200]} for row in leased]
        moves = Moves()
        for row in leased:
            moves.add(row.job_id, ImageState.QUEUED, ImageState.RUNNING)
        together = bulk.Together(db)
        together.insert(attempts, new, started_at=db.now())
        together.insert(job_deltas, moves.rows())
        together.write(connection)
        masks = {row.id: _mask_of(row, begun[row.job_id]) for row in leased}
        known = template_use.read_used(connection, masks.values())
    by_id = {row.id: _leased(row, begun[row.job_id], template_use.resolve(masks[row.id], known)) for row in leased}
    return token, [by_id[image_id] for image_id in dict.fromkeys(image_ids) if image_id in by_id]


def heartbeat(db: Database, token: str, *, lease_s: float, progress: dict[str, tuple[int, int]]) -> set[str]:
    """Extends the leases of a token and writes down ``(tiles_done, tiles_total)`` by image; the ids still held."""
    done: ColumnElement[int] = images.c.tiles_done
    total: ColumnElement[int] = images.c.tiles_total
    if progress:
        done = case({image_id: tiles[0] for image_id, tiles in progress.items()}, value=images.c.id, else_=done)
        total = case({image_id: tiles[1] for image_id, tiles in progress.items()}, value=images.c.id, else_=total)
    with db.write() as connection:
        held = lock_held(db, token)
        return set(
            connection.scalars(
                update(images)
                .where(images.c.id.in_(select(held.c.id)))
                .values(lease_expires_at=db.after(lease_s), tiles_done=done, tiles_total=total)
                .returning(images.c.id)
            )
        )


def release_images(db: Database, token: str, image_ids: list[str]) -> None:
    """Gives back images that were not begun: queued again at once, and the attempt does not count."""
    with db.write() as connection:
        give_back(db, connection, lock_held(db, token, image_ids))


def give_back(db: Database, connection: Connection, held: CTE) -> list[ImageOfJob]:
    """As :func:`release_images`, for running images of any holder, whose ids ``held`` locks; those that there were."""
    rows = connection.execute(
        update(images)
        .where(images.c.id.in_(select(held.c.id)))
        .values(
            state=ImageState.QUEUED,
            lease_token=None,
            lease_expires_at=None,
            published_at=None,
            # At its old place in the line.
            available_at=images.c.created_at,
            attempt=images.c.attempt - 1,
            tiles_done=0,
            tiles_total=None,
            started_at=case((images.c.attempt == 1, None), else_=images.c.started_at),
        )
        .returning(images.c.id, images.c.job_id, images.c.attempt)
    ).all()
    if rows:
        taken_back = [(row.id, row.attempt + 1) for row in rows]
        connection.execute(delete(attempts).where(tuple_(attempts.c.image_id, attempts.c.attempt).in_(taken_back)))
    moves = Moves()
    for row in rows:
        moves.add(row.job_id, ImageState.RUNNING, ImageState.QUEUED)
    moves.write(connection)
    return [ImageOfJob(row.job_id, row.id) for row in rows]


def _mask_of(row: Any, job: Any) -> JobMask | None:
    """The image's own mask, or its job's; ``None``: it cannot be read, which the image's worker reports."""
    try:
        return read_job_mask(job.mask if row.mask is None else row.mask, row.mask_key)
    except ValidationError:
        return None


def _leased(row: Any, job: Any, used: template_use.Resolved) -> LeasedImage:
    return LeasedImage(
        id=row.id,
        job_id=row.job_id,
        tenant_id=row.tenant_id,
        name=row.name,
        source_key=row.source_key,
        source_url=row.source_url,
        mask_document=job.mask if row.mask is None else row.mask,
        mask_key=used.mask_key or row.mask_key,
        placement=used.placement,
        templates=used.templates,
        job_options=job.options,
        own_options=row.options,
        attempt=row.attempt,
        trace=job.trace,
    )


def _begin_jobs(db: Database, connection: Connection, job_ids: list[str]) -> dict[str, Any]:
    """Makes jobs ``running`` whose first image was leased; options, mask and trace of all, by id."""
    rows = connection.execute(
        select(jobs.c.id, jobs.c.state, jobs.c.options, jobs.c.mask, jobs.c.trace).where(jobs.c.id.in_(job_ids))
    ).all()
    for job_id in sorted(row.id for row in rows if row.state == JobState.QUEUED):
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == JobState.QUEUED)
            .values(state=JobState.RUNNING, started_at=db.now())
        )
    return {row.id: row for row in rows}


def lock_held(db: Database, token: str, image_ids: list[str] | None = None) -> CTE:
    """The ids of images that a token holds, locked in the order that all transactions keep."""
    query = select(images.c.id).where(images.c.lease_token == token, images.c.state == ImageState.RUNNING)
    if image_ids is not None:
        query = query.where(bulk.among(db, images.c.id, image_ids))
    return query.order_by(images.c.id).with_for_update(key_share=True).cte("held")

"""Reads jobs and images as their tenant sees them. Every query names the tenant."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, select

from storage.database import Database
from storage.errors import NotFound
from storage.json_columns import read_image_mask, read_image_options, read_image_record
from storage.ledger.jobs.counting import read_job, select_jobs
from storage.records import Image, ImageState, Job, JobState, Result, SkippedRow
from storage.tables import images, jobs, skipped_rows

_STATES = {state.value: state for state in ImageState}


def get_job(db: Database, tenant_id: str, job_id: str) -> Job:
    """A job with its counts at one moment. Raises NotFound."""
    with db.read() as connection:
        return read_one_job(db, connection, tenant_id, job_id)


def list_jobs(
    db: Database, tenant_id: str, *, limit: int, after: str | None, state: JobState | None = None
) -> list[Job]:
    """A tenant's jobs, newest first; ``after`` is the id of the last one already seen."""
    page = select(jobs.c.id).where(jobs.c.tenant_id == tenant_id).order_by(jobs.c.id.desc()).limit(limit)
    if after is not None:
        page = page.where(jobs.c.id < after)
    if state is not None:
        page = page.where(jobs.c.state == state)
    with db.read() as connection:
        return [read_job(row) for row in connection.execute(select_jobs(db, page))]


def list_images(
    db: Database,
    tenant_id: str,
    job_id: str,
    *,
    limit: int,
    after: int | None,
    state: ImageState | None = None,
    error_code: str | None = None,
) -> list[Image]:
    """A job's images by position; ``after`` is the last position already seen. Raises NotFound for the job."""
    query = (
        select(images)
        .where(images.c.job_id == job_id, images.c.tenant_id == tenant_id)
        .order_by(images.c.position)
        .limit(limit)
    )
    if after is not None:
        query = query.where(images.c.position > after)
    if state is not None:
        query = query.where(images.c.state == state)
    if error_code is not None:
        query = query.where(images.c.state == ImageState.FAILED, images.c.error_code == error_code)
    with db.read() as connection:
        if connection.execute(one_job(tenant_id, job_id)).first() is None:
            raise NotFound("job", job_id)
        return [_image(row) for row in connection.execute(query)]


def list_results(db: Database, tenant_id: str, job_id: str, *, limit: int, after: int | None) -> list[Result]:
    """A job's images with a result by position, as :func:`list_images`, and without what lists of results leave out.

    A list of 100,000 results reads them all: each column costs.
    """
    query = (
        select(
            images.c.id,
            images.c.position,
            images.c.name,
            images.c.custom_id,
            images.c.state,
            images.c.result_key,
            images.c.content_type,
            images.c.width,
            images.c.height,
            images.c.record["sha256", "result"].as_string().label("sha256"),
            images.c.finished_at,
        )
        .where(images.c.job_id == job_id, images.c.tenant_id == tenant_id, images.c.result_key.is_not(None))
        .order_by(images.c.position)
        .limit(limit)
    )
    if after is not None:
        query = query.where(images.c.position > after)
    with db.read() as connection:
        return [
            Result(
                id=image_id,
                position=position,
                name=name,
                custom_id=custom_id,
                state=_STATES[state],
                result_key=key,
                content_type=content_type,
                width=width,
                height=height,
                sha256=sha256,
                finished_at=finished_at,
            )
            for (
                image_id,
                position,
                name,
                custom_id,
                state,
                key,
                content_type,
                width,
                height,
                sha256,
                finished_at,
            ) in connection.execute(query)
        ]


def get_image(db: Database, tenant_id: str, image_id: str) -> Image:
    """One image. Raises NotFound."""
    query = select(images).where(images.c.id == image_id, images.c.tenant_id == tenant_id)
    with db.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise NotFound("image", image_id)
    return _image(row)


def list_skipped_rows(db: Database, tenant_id: str, job_id: str, *, limit: int, after: int) -> list[SkippedRow]:
    """The skipped rows of a job's manifest after line ``after``, by line. Raises NotFound for the job."""
    query = (
        select(skipped_rows.c.line, skipped_rows.c.custom_id, skipped_rows.c.detail)
        .where(skipped_rows.c.job_id == job_id, skipped_rows.c.line > after)
        .order_by(skipped_rows.c.line)
        .limit(limit)
    )
    with db.read() as connection:
        if connection.execute(one_job(tenant_id, job_id)).first() is None:
            raise NotFound("job", job_id)
        return [SkippedRow(**row._asdict()) for row in connection.execute(query)]


def one_job(tenant_id: str, job_id: str) -> Select[tuple[str]]:
    """Selects the id of a tenant's job; no row if the job is not the tenant's."""
    return select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)


def read_one_job(db: Database, connection: Connection, tenant_id: str, job_id: str) -> Job:
    """Reads a job within a transaction. Raises NotFound."""
    row = connection.execute(select_jobs(db, one_job(tenant_id, job_id))).first()
    if row is None:
        raise NotFound("job", job_id)
    return read_job(row)


def _image(row: Row[Any]) -> Image:
    fields = row._asdict()
    for hidden in ("lease_token", "lease_expires_at", "published_at", "available_at"):
        del fields[hidden]
    typed = {
        "state": ImageState(row.state),
        "mask": read_image_mask(row.mask, row.mask_key),
        "options": read_image_options(row.options),
        "record": read_image_record(row.record),
    }
    return Image(**fields | typed)

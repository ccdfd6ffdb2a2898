"""Jobs and images as a tenant sees them: submit and read. Every query names the tenant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from cleanplate.base.masks import AutoMask
from storage.database import Database
from storage.documents import read_image_mask, read_image_options
from storage.errors import NotFound
from storage.ledger import bulk
from storage.ledger.jobs.counting import read_job, select_jobs
from storage.ledger.operations import audit
from storage.ledger.templates import template_use
from storage.ledger.tenants import idempotency, quotas
from storage.ledger.tenants.idempotency import Once
from storage.ledger.tenants.uploads import hold_uploads
from storage.records import Image, ImageState, Job, JobState, NewImage, NewJob, SkippedRow
from storage.tables import images, jobs, new_id, skipped_rows, webhook_endpoints

OPEN_IMAGE = (ImageState.QUEUED, ImageState.RUNNING)


def submit_job(db: Database, tenant_id: str, job: NewJob, *, actor: str = audit.SERVICE) -> Job:
    """Writes a job and all its images, or nothing. ``actor`` is who the audit log names.

    Raises:
        UploadUnknown: uploads that do not exist, have expired, or belong to another tenant.
        NotFound: no such webhook endpoint of this tenant.
        QuotaExceeded: more than the tenant may ask for.
        TemplateUnknown, TemplateNotReady, TemplatesMixed: templates that it may not use.
        ValueError: no images, or an image without a mask where the job has none either.
    """
    with db.write() as connection:
        return _submit(db, connection, tenant_id, job, actor)


def submit_once(
    db: Database,
    tenant_id: str,
    job: NewJob,
    once: Once,
    answer_of: Callable[[Job], dict[str, Any]],
    *,
    actor: str = audit.SERVICE,
) -> tuple[dict[str, Any], bool]:
    """Like :func:`submit_job`, for a request that may be sent again: its answer, and whether that is a repeat.

    ``answer_of`` makes the answer of the new job; it is kept with the job, in the same transaction.

    Raises:
        IdempotencyKeyBusy, IdempotencyKeyReused: see :mod:`storage.ledger.tenants.idempotency`.
    """
    with db.write() as connection:
        given = idempotency.begin(db, connection, tenant_id, once)
        if given is not None:
            return given, True
        answer = answer_of(_submit(db, connection, tenant_id, job, actor))
        idempotency.remember(db, connection, tenant_id, once, answer)
        return answer, False


def _submit(db: Database, connection: Connection, tenant_id: str, job: NewJob, actor: str) -> Job:
    if not job.images:
        raise ValueError("A job has at least one image.")
    if job.mask is None and any(image.mask is None for image in job.images):
        raise ValueError("An image has no mask, and the job has none either.")
    job_id = new_id("job")
    options = job.options.model_dump(mode="json")
    files = _uploads_of(db, connection, tenant_id, job)
    lock_endpoint(connection, tenant_id, job.webhook_endpoint_id)
    used = template_use.lock_named(connection, tenant_id, [job.mask, *(image.mask for image in job.images)])
    quotas.use(db, connection, tenant_id, images=len(job.images), sizes=[])
    connection.execute(
        insert(jobs).values(
            id=job_id,
            tenant_id=tenant_id,
            state=JobState.ESTIMATING if isinstance(job.mask, AutoMask) else JobState.QUEUED,
            options=options,
            mask=None if job.mask is None else job.mask.document(),
            rows_skipped=len(job.skipped),
            webhook_endpoint_id=job.webhook_endpoint_id,
            priority=job.priority,
            deadline=job.deadline,
            trace=job.trace,
            retention_s=job.retention_s,
            rights_basis=job.rights.basis,
            attested_by=job.rights.attested_by,
            rights_reference=job.rights.reference,
            total=len(job.images),
            queued=len(job.images),
            created_at=db.now(),
        )
    )
    bulk.insert_rows(
        db,
        connection,
        images,
        (_row(position, job, image, files) for position, image in enumerate(job.images)),
        job_id=job_id,
        tenant_id=tenant_id,
        state=ImageState.QUEUED.value,
        available_at=db.now(),
        created_at=db.now(),
    )
    template_use.note(db, connection, job_id, used)
    if isinstance(job.mask, AutoMask):
        template_use.begin_estimate(db, connection, tenant_id, job_id, job.mask)
    skipped = (asdict(row) for row in job.skipped)
    bulk.insert_rows(db, connection, skipped_rows, skipped, job_id=job_id)
    rights = {
        "rights_basis": job.rights.basis.value,
        "attested_by": job.rights.attested_by,
        "rights_reference": job.rights.reference,
    }
    submitted = {**rights, "images": len(job.images), "options": options}
    audit.append(db, connection, [audit.Event(tenant_id, "job.submitted", actor, job_id, None, submitted)])
    return read_job(connection.execute(select_jobs(db, one_job(tenant_id, job_id))).one())


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


def get_image(db: Database, tenant_id: str, image_id: str) -> Image:
    """One image. Raises NotFound."""
    query = select(images).where(images.c.id == image_id, images.c.tenant_id == tenant_id)
    with db.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise NotFound("image", image_id)
    return _image(row)


def _row(position: int, job: NewJob, image: NewImage, files: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """An image as a row; ``files`` are keys and names by upload."""
    source_key, filename = files.get(image.source_upload_id or "", ("", ""))
    mask_upload_id = job.mask_upload_id if image.mask is None else image.mask_upload_id
    return {
        "id": new_id("img"),
        "position": position,
        "name": image.name or filename,
        "custom_id": image.custom_id,
        "source_key": source_key,
        "source_url": image.source_url,
        "mask_key": files[mask_upload_id][0] if mask_upload_id is not None else "",
        "mask": None if image.mask is None else image.mask.document(),
        "options": None if image.options is None else image.options.document(),
        "record": {},
    }


def _uploads_of(db: Database, connection: Connection, tenant_id: str, job: NewJob) -> dict[str, tuple[str, str]]:
    """Keys and names of all uploads that a job names, by id; they stay for as long as the job does."""
    named = {image.source_upload_id for image in job.images} | {image.mask_upload_id for image in job.images}
    wanted = sorted(upload_id for upload_id in named | {job.mask_upload_id} if upload_id is not None)
    return hold_uploads(db, connection, tenant_id, wanted)


def lock_endpoint(connection: Connection, tenant_id: str, endpoint_id: str | None) -> None:
    """Makes sure that the endpoint is the tenant's and cannot be deleted before the job is there."""
    if endpoint_id is None:
        return
    found = connection.execute(
        select(webhook_endpoints.c.id)
        .where(webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.tenant_id == tenant_id)
        .with_for_update(read=True, key_share=True)
    ).first()
    if found is None:
        raise NotFound("webhook endpoint", endpoint_id)


def one_job(tenant_id: str, job_id: str) -> Select[tuple[str]]:
    """Selects the id of a tenant's job, if it is one."""
    return select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)


def read_one_job(db: Database, connection: Connection, tenant_id: str, job_id: str) -> Job:
    """A job as the transaction sees it. Raises NotFound."""
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
    }
    return Image(**fields | typed)


def skipped_lines(db: Database, tenant_id: str, job_id: str, *, limit: int, after: int) -> list[SkippedRow]:
    """Rows of a job's manifest that were left out, by line, beyond the line ``after``. Raises NotFound for the job."""
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

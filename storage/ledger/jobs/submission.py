"""Submits jobs: a job and all its images, or nothing. Every query names the tenant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import structlog
from sqlalchemy import Connection

from cleanplate.base.documents import JsonObject
from cleanplate.base.masks import AutoMask
from storage.database import Database
from storage.ledger import bulk
from storage.ledger.jobs.reading import read_one_job
from storage.ledger.lifecycle.images import insert_images
from storage.ledger.lifecycle.jobs import insert_job
from storage.ledger.lifecycle.transitions import SUBMIT_JOB, SUBMIT_UNMARKED
from storage.ledger.operations import audit
from storage.ledger.story import log_images
from storage.ledger.templates import template_use
from storage.ledger.tenants import idempotency, quotas
from storage.ledger.tenants.idempotency import Once
from storage.ledger.tenants.uploads import hold_uploads
from storage.ledger.webhooks.endpoints import endpoints_of_all_jobs, insert_own_endpoint, lock_endpoint
from storage.records import Job, JobKind, NewImage, NewJob
from storage.tables import new_id, skipped_rows
from storage.tables.columns import ColumnValues

log = structlog.get_logger(__name__)


def submit_job(db: Database, tenant_id: str, job: NewJob, *, actor: str = audit.SERVICE) -> Job:
    """Writes a job and all its images, or nothing. ``actor`` is the actor in the audit log.

    Raises:
        UploadUnknown: uploads that do not exist, have expired, or belong to another tenant.
        NotFound: no such webhook endpoint of this tenant.
        QuotaExceeded: more than the tenant may ask for.
        TemplateUnknown, TemplateNotReady, TemplatesMixed: templates that it may not use.
        ValueError: no images, or an image without a mask where the job has none either.
    """
    with db.write() as connection:
        submitted, image_ids = write_job(db, connection, tenant_id, job, actor)
    _log(submitted, image_ids, actor)
    return submitted


def submit_once(
    db: Database,
    tenant_id: str,
    job: NewJob,
    once: Once,
    answer_of: Callable[[Job], JsonObject],
    *,
    actor: str = audit.SERVICE,
) -> tuple[JsonObject, bool]:
    """As :func:`submit_job`, for a request with an idempotency key: the answer, and whether it is a repeat.

    ``answer_of`` makes the answer of the new job; the same transaction stores it.

    Raises:
        IdempotencyKeyBusy, IdempotencyKeyReused: see :mod:`storage.ledger.tenants.idempotency`.
    """
    with db.write() as connection:
        stored = idempotency.hold_key(db, connection, tenant_id, once)
        if stored is not None:
            return stored, True
        submitted, image_ids = write_job(db, connection, tenant_id, job, actor)
        answer = answer_of(submitted)
        idempotency.remember_answer(db, connection, tenant_id, once, answer)
    _log(submitted, image_ids, actor)
    return answer, False


def _log(job: Job, image_ids: list[str], actor: str) -> None:
    log_images(log.info, "images.submitted", image_ids, job=job.id, tenant=job.tenant_id, actor=actor)


def write_job(db: Database, connection: Connection, tenant_id: str, job: NewJob, actor: str) -> tuple[Job, list[str]]:
    """As :func:`submit_job`, within a transaction: the job, and the ids of its images."""
    if not job.images:
        raise ValueError("A job has at least one image.")
    if job.mask is None and any(image.mask is None for image in job.images):
        raise ValueError("An image has no mask, and the job has none either.")
    job_id = new_id("job")
    options = job.options.model_dump(mode="json")
    files = _uploads_of(db, connection, tenant_id, job)
    for endpoint_id in sorted({job.webhook_endpoint_id, *job.further_webhooks} - {None}, key=str):
        lock_endpoint(connection, tenant_id, endpoint_id)
    further = list(job.further_webhooks)
    if job.kind is JobKind.CATALOGUE:
        further += endpoints_of_all_jobs(connection, tenant_id)
    if job.own_webhook is not None:
        further.append(insert_own_endpoint(db, connection, tenant_id, job_id, job.own_webhook, actor=actor))
    used = template_use.lock_named(connection, tenant_id, [job.mask, *(image.mask for image in job.images)])
    quotas.use(db, connection, tenant_id, images=len(job.images), sizes=[])
    rights = {
        "rights_basis": job.rights.basis.value,
        "attested_by": job.rights.attested_by,
        "rights_reference": job.rights.reference,
    }
    values = {
        "id": job_id,
        "tenant_id": tenant_id,
        "options": options,
        "mask": None if job.mask is None else job.mask.document(),
        "rows_skipped": len(job.skipped),
        "webhook_endpoint_id": job.webhook_endpoint_id,
        "further_webhooks": [each for each in dict.fromkeys(further) if each != job.webhook_endpoint_id] or None,
        "mail": None if job.mail is None else job.mail.document(),
        "priority": job.priority,
        "deadline": job.deadline,
        "trace": job.trace,
        "kind": job.kind,
        "name": job.name,
        "labels": job.labels or None,
        "metadata": job.metadata or None,
        "key_id": job.key_id,
        "parent_job_id": job.parent_job_id,
        "replaces": job.replaces,
        "destination": None if job.destination is None else job.destination.document(),
        "retention_s": job.retention_s,
        "total": len(job.images),
        "queued": len(job.images),
        **rights,
    }
    submitted = {**rights, "images": len(job.images), "options": options}
    if job.parent_job_id is not None:
        submitted["parent_job_id"] = job.parent_job_id
    entry = audit.Event(tenant_id, "job.submitted", actor, job_id, None, submitted)
    insert_job(db, connection, SUBMIT_UNMARKED if isinstance(job.mask, AutoMask) else SUBMIT_JOB, values, entry)
    image_ids = [new_id("img") for _ in job.images]
    rows = (
        {"id": image_id, "position": position, **_row(job, image, files)}
        for position, (image_id, image) in enumerate(zip(image_ids, job.images, strict=True))
    )
    insert_images(db, connection, rows, job_id=job_id, tenant_id=tenant_id)
    template_use.note(db, connection, job_id, used)
    if isinstance(job.mask, AutoMask):
        template_use.begin_estimate(db, connection, tenant_id, job_id, job.mask)
    skipped = (asdict(row) for row in job.skipped)
    bulk.insert_rows(db, connection, skipped_rows, skipped, job_id=job_id)
    return read_one_job(db, connection, tenant_id, job_id), image_ids


def _row(job: NewJob, image: NewImage, files: dict[str, tuple[str, str]]) -> ColumnValues:
    """An image's own columns; ``files`` are keys and names by upload."""
    source_key, filename = files.get(image.source_upload_id or "", ("", ""))
    mask_upload_id = job.mask_upload_id if image.mask is None else image.mask_upload_id
    return {
        "name": image.name or filename,
        "path": image.path,
        "redo_of": image.redo_of,
        "custom_id": image.custom_id,
        "metadata": image.metadata or None,
        "source_key": source_key,
        "source_url": image.source_url,
        "mask_key": files[mask_upload_id][0] if mask_upload_id is not None else "",
        "mask": None if image.mask is None else image.mask.document(),
        "options": None if image.options is None else image.options.document(),
        "record": {},
    }


def _uploads_of(db: Database, connection: Connection, tenant_id: str, job: NewJob) -> dict[str, tuple[str, str]]:
    """Keys and names of all uploads that a job names, by id; the job now holds them."""
    named = {image.source_upload_id for image in job.images} | {image.mask_upload_id for image in job.images}
    wanted = sorted(upload_id for upload_id in named | {job.mask_upload_id} if upload_id is not None)
    # Uploads of the parent are held by it, and do not expire while it is there.
    return hold_uploads(db, connection, tenant_id, wanted, even_expired=job.parent_job_id is not None)

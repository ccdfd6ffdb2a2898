"""A person's judgement of results, and jobs that do images of another job again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select, update

from cleanplate.base.destinations import Destination
from cleanplate.base.masks import AutoMask, ImageMask, JobMask, TemplatesMask
from cleanplate.base.options import ImageOptions
from storage.database import Database
from storage.errors import JobNotEnded, NotFound, NothingToRedo
from storage.ledger import bulk
from storage.ledger.jobs.filters import ImageFilter
from storage.ledger.jobs.reading import one_job, read_images, read_one_job
from storage.ledger.jobs.submission import write_job
from storage.ledger.lifecycle.transitions import OPEN_JOB
from storage.ledger.operations import audit
from storage.ledger.tenants.idempotency import Done, Once, make_once
from storage.records import ENDED, Image, ImageReview, Job, NewImage, NewJob, Priority, Rights
from storage.tables import images


@dataclass(frozen=True, kw_only=True)
class Redo:
    """Which images of a job are done again, and how."""

    #: Empty: those that the filter selects.
    image_ids: Sequence[str] = ()
    only: ImageFilter = field(default_factory=ImageFilter)
    #: In place of the masks of job and images; ``None``: those stay.
    mask: JobMask | None = None
    #: They win over the options of job and images, field by field.
    options: ImageOptions | None = None
    #: Whether the results replace those of the images.
    replaces: bool = True
    name: str | None = None
    priority: Priority | None = None
    #: In place of the job's; ``None``: the job's where results replace, else nowhere.
    destination: Destination | None = None
    webhook_endpoint_id: str | None = None
    retention_s: int | None = None
    key_id: str | None = None


def review_images(
    db: Database,
    tenant_id: str,
    image_ids: Collection[str],
    review: ImageReview,
    note: str | None,
    *,
    job_id: str | None = None,
) -> set[str]:
    """Writes a person's judgement of images; returns the ids of those that are the tenant's, and the job's."""
    of_job = [] if job_id is None else [images.c.job_id == job_id]
    changed: set[str] = set()
    with db.write() as connection:
        for chunk in bulk.chunks(sorted(set(image_ids))):
            mine = (
                select(images.c.id)
                .where(bulk.in_array(db, images.c.id, chunk), images.c.tenant_id == tenant_id, *of_job)
                .order_by(images.c.id)
                .with_for_update(key_share=True)
                .cte("mine")
            )
            statement = update(images).where(images.c.id.in_(select(mine.c.id)))
            changed.update(
                connection.scalars(statement.values(review=review.value, review_note=note).returning(images.c.id))
            )
    return changed


def redo_images(
    db: Database,
    tenant_id: str,
    job_id: str,
    redo: Redo,
    *,
    most: int,
    once: Once | None = None,
    actor: str = audit.SERVICE,
) -> Done[Job]:
    """Submits a child of a job with some of its ended images; it has the job's right, labels and metadata.

    Raises:
        NotFound: no such job of this tenant, or an image that is not the job's.
        JobNotEnded: an image has not ended.
        NothingToRedo: no image is selected, or more than ``most``.
        UploadUnknown, QuotaExceeded, TemplateUnknown, TemplateNotReady, TemplatesMixed: as for any job.
    """
    return make_once(
        db,
        tenant_id,
        once,
        make=lambda connection: _submit_child(db, connection, tenant_id, job_id, redo, most=most, actor=actor),
        answer_of=lambda child: {"id": child.id},
        again=lambda connection, stored: read_one_job(db, connection, tenant_id, stored["id"]),
    )


def _submit_child(
    db: Database, connection: Connection, tenant_id: str, job_id: str, redo: Redo, *, most: int, actor: str
) -> Job:
    if connection.execute(one_job(tenant_id, job_id)).first() is None:
        raise NotFound("job", job_id)
    parent = read_one_job(db, connection, tenant_id, job_id)
    if parent.rights is None:
        raise NothingToRedo("The job states no right, as jobs of early versions do: submit its pictures anew.")
    chosen = read_images(db, connection, tenant_id, job_id, ids=redo.image_ids, only=redo.only, limit=most + 1)
    missing = set(redo.image_ids) - {image.id for image in chosen}
    if missing:
        raise NotFound("image", min(missing))
    if not chosen or len(chosen) > most:
        raise NothingToRedo(
            "No image of the job is selected." if not chosen else f"More than {most} images are selected."
        )
    if any(image.state not in ENDED for image in chosen) or parent.state in OPEN_JOB:
        raise JobNotEnded(job_id)
    child = _child(parent, parent.rights, chosen, redo)
    return write_job(db, connection, tenant_id, child, actor)[0]


def _child(parent: Job, rights: Rights, chosen: list[Image], redo: Redo) -> NewJob:
    mask = redo.mask if redo.mask is not None else _mask_of(parent)
    destination = redo.destination or (parent.destination if redo.replaces else None)
    return NewJob(
        images=[_again(image, redo) for image in chosen],
        mask=mask,
        options=parent.options if redo.options is None else parent.options.with_image(redo.options),
        rights=rights,
        parent_job_id=parent.id,
        replaces=redo.replaces,
        name=redo.name or parent.name,
        labels=parent.labels,
        metadata=parent.metadata,
        kind=parent.kind,
        priority=redo.priority or parent.priority,
        destination=destination,
        webhook_endpoint_id=redo.webhook_endpoint_id or parent.webhook_endpoint_id,
        mail=None if parent.mail is None else parent.mail.wish,
        retention_s=redo.retention_s,
        key_id=redo.key_id,
    )


def _mask_of(parent: Job) -> JobMask | None:
    """The parent's mask; one that it found in its pictures is the templates that were approved."""
    if isinstance(parent.mask, AutoMask):
        if not parent.mask.templates:
            raise NothingToRedo("The job began without a mark: name a mask for the images.")
        return TemplatesMask(templates=list(parent.mask.templates))
    return parent.mask


def _again(image: Image, redo: Redo) -> NewImage:
    own_mask: ImageMask | None = image.mask if redo.mask is None else None
    options = image.options
    if redo.options is not None and options is not None:
        options = ImageOptions.model_validate({**options.document(), **redo.options.document()})
    return NewImage(
        name=image.name,
        path=image.path,
        source_upload_id=None if image.source_url is not None else image.source_key.rpartition("/")[2],
        source_url=image.source_url,
        mask=own_mask,
        options=options,
        custom_id=image.custom_id,
        metadata=image.metadata or None,
        redo_of=image.id,
    )

"""Jobs and images, as they are submitted and as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cleanplate.base.masks import FileMask, ImageMask, JobMask
from cleanplate.base.options import ImageOptions, JobOptions
from storage.records.documents import Review
from storage.records.states import ImageState, JobState, Priority, RightsBasis


@dataclass(frozen=True, kw_only=True)
class Rights:
    """Why a tenant may have the marks removed: a statement of somebody who answers for it."""

    basis: RightsBasis
    #: Who states it: a person's name or address.
    attested_by: str
    #: Where the right is written down: a contract, a licence, an order. Free text.
    reference: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NewImage:
    """An image of a job to be submitted, from an upload or from an address."""

    #: Its name for people: the file's name, not a path. ``None``: its upload's.
    name: str | None
    source_upload_id: str | None = None
    #: ``https://`` or ``s3://``, checked before; then it has a name too.
    source_url: str | None = None
    #: ``None``: the job's.
    mask: ImageMask | None = None
    #: They win over the job's, field by field.
    options: ImageOptions | None = None
    #: Its name in the tenant's own books.
    custom_id: str | None = None

    @property
    def mask_upload_id(self) -> str | None:
        """The upload of its own mask's file; ``None``: its mask is not a file."""
        return self.mask.upload_id if isinstance(self.mask, FileMask) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedRow:
    """A row of a manifest that was no good and was left out."""

    #: In the file, from 1.
    line: int
    custom_id: str | None
    detail: str


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to be submitted."""

    images: list[NewImage]
    #: Of images without a mask of their own.
    mask: JobMask | None = None
    options: JobOptions = field(default_factory=JobOptions)
    rights: Rights
    webhook_endpoint_id: str | None = None
    #: Seconds from its end until it is deleted; ``None``: never.
    retention_s: int | None = None
    #: Rows of its manifest that are not among the images.
    skipped: list[SkippedRow] = field(default_factory=list)
    priority: Priority = Priority.BULK
    #: Images that wait for a worker at this time fail; ``None``: they wait as long as it takes.
    deadline: datetime | None = None
    #: W3C ``traceparent`` of its submission, where that is traced.
    trace: str | None = None

    @property
    def mask_upload_id(self) -> str | None:
        """The upload of its mask's file; ``None``: its mask is not a file."""
        return self.mask.upload_id if isinstance(self.mask, FileMask) else None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Images of a job by state. They sum to the job's total at every moment."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0
    canceled: int = 0

    @property
    def ended(self) -> int:
        return self.succeeded + self.skipped + self.failed + self.canceled

    @property
    def total(self) -> int:
        return self.queued + self.running + self.ended


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job with its counts."""

    id: str
    tenant_id: str
    state: JobState
    options: JobOptions
    #: ``None`` for jobs of the time before it was asked for.
    rights: Rights | None
    webhook_endpoint_id: str | None
    priority: Priority
    #: Images that wait for a worker at this time fail.
    deadline: datetime | None
    #: Whether it, its tenant, or everything is paused.
    paused: bool
    #: Images in all.
    total: int
    counts: Counts
    #: Network passes done so far, over all images.
    tiles_done: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    #: Images ended per second since the start (or over the last minutes); ``None`` before the first.
    images_per_second: float | None
    #: Seconds until the end at that rate; ``None`` where unknown, 0 when ended.
    eta_s: float | None
    #: When it is deleted with its blobs; ``None`` before its end, or for never.
    expires_at: datetime | None
    #: Of all images without their own. ``None``: each has its own, or its file's upload was not kept (before 0013).
    mask: JobMask | None
    #: Of a job whose mark is estimated; ``None`` until it is known.
    review: Review | None
    #: Rows of its manifest that were left out.
    rows_skipped: int
    #: Its place among the jobs that no worker has begun, by their making, from 1; ``None`` once it has begun.
    queue_position: int | None


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image of a job."""

    id: str
    job_id: str
    tenant_id: str
    #: 0-based place in the job.
    position: int
    name: str
    custom_id: str | None
    state: ImageState
    #: Blank where the picture is at ``source_url``.
    source_key: str
    source_url: str | None
    #: Blank where the mask is not a file.
    mask_key: str
    #: ``None``: the job's.
    mask: ImageMask | None
    options: ImageOptions | None
    #: ``None`` until it has ended with a result.
    result_key: str | None
    content_type: str | None
    width: int | None
    height: int | None
    #: Leases taken so far.
    attempt: int
    tiles_done: int
    tiles_total: int | None
    error_code: str | None
    error_detail: str | None
    #: What was done, as the worker reports it; :class:`ImageRecord` reads what the service needs of it.
    record: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

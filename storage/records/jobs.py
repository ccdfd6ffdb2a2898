"""Jobs and images: as they are submitted, and as the ledger holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cleanplate.base.destinations import Destination
from cleanplate.base.image_records import ImageRecord
from cleanplate.base.mail import JobMail, Mail
from cleanplate.base.masks import FileMask, ImageMask, JobMask
from cleanplate.base.options import ImageOptions, JobOptions
from cleanplate.base.templates import Review
from storage.records.states import ImageReview, ImageState, JobKind, JobState, Priority, RightsBasis
from storage.records.webhooks import JobWebhook


@dataclass(frozen=True, kw_only=True)
class Rights:
    """The tenant's statement that it may have the marks removed."""

    basis: RightsBasis
    #: Name or address of the person who makes the statement.
    attested_by: str
    #: The document that grants the right: a contract, a licence, an order. Free text.
    reference: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NewImage:
    """An image of a job to be submitted, from an upload or from a URL."""

    #: Its name for people: the file's name, not a path. ``None``: its upload's.
    name: str | None
    source_upload_id: str | None = None
    #: ``https://`` or ``s3://``, already checked; an image with a URL also has a name.
    source_url: str | None = None
    #: ``None``: the job's.
    mask: ImageMask | None = None
    #: They win over the job's, field by field.
    options: ImageOptions | None = None
    #: Its name in the tenant's own system.
    custom_id: str | None = None
    metadata: dict[str, str] | None = None
    #: Where it lies in the tenant's folders: ``shirts/front/01.jpg``.
    path: str | None = None
    #: The image of the parent job that it does again.
    redo_of: str | None = None

    @property
    def mask_upload_id(self) -> str | None:
        """The upload of its own mask's file; ``None``: its mask is not a file."""
        return self.mask.upload_id if isinstance(self.mask, FileMask) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedRow:
    """A row of a manifest that is invalid and was skipped."""

    #: Line of the file, from 1.
    line: int
    custom_id: str | None
    #: ``None``: not kept (before 0022).
    code: str | None
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
    #: Endpoints beside that one, and one that is made for this job alone.
    further_webhooks: list[str] = field(default_factory=list)
    own_webhook: JobWebhook | None = None
    #: The address that is told of its end.
    mail: Mail | None = None
    #: Seconds from its end to its deletion; ``None``: never deleted.
    retention_s: int | None = None
    #: Rows of its manifest that are not among the images.
    skipped: list[SkippedRow] = field(default_factory=list)
    priority: Priority = Priority.BULK
    #: Images that still wait for a worker at this time fail; ``None``: no deadline.
    deadline: datetime | None = None
    #: W3C ``traceparent`` of its submission; ``None``: not traced.
    trace: str | None = None
    kind: JobKind = JobKind.CATALOGUE
    #: For people.
    name: str | None = None
    labels: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    #: Where its results are written beside the service's store.
    destination: Destination | None = None
    #: The job whose images it does again, and whether its results replace theirs.
    parent_job_id: str | None = None
    replaces: bool = False
    #: The API key of the request; ``None``: not submitted over the API.
    key_id: str | None = None

    @property
    def mask_upload_id(self) -> str | None:
        """The upload of its mask's file; ``None``: its mask is not a file."""
        return self.mask.upload_id if isinstance(self.mask, FileMask) else None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Number of a job's images by state. The numbers sum to the job's total at every moment."""

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
    kind: JobKind
    #: For people; ``None``: it has none.
    name: str | None
    labels: list[str]
    metadata: dict[str, str]
    #: The job whose images it does again, and whether its results replace theirs.
    parent_job_id: str | None
    replaces: bool
    #: The API key that submitted it; ``None``: not known.
    key_id: str | None
    #: Where its results are written beside the service's store.
    destination: Destination | None
    options: JobOptions
    #: ``None`` for jobs that were submitted before the API required it.
    rights: Rights | None
    webhook_endpoint_id: str | None
    #: Ids of further endpoints; some may have been deleted since.
    further_webhooks: list[str]
    #: The address that is told of its end, and the fate of the latest mail; ``None``: none is told.
    mail: JobMail | None
    priority: Priority
    #: Images that still wait for a worker at this time fail.
    deadline: datetime | None
    #: Whether it, its tenant, or everything is paused.
    paused: bool
    #: Number of its images.
    total: int
    counts: Counts
    #: Network passes done so far, over all images.
    tiles_done: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    #: Images ended per second since the start (or over the last minutes); ``None`` before the first.
    images_per_second: float | None
    #: Seconds until the end at that rate; ``None``: unknown; 0: ended.
    eta_s: float | None
    #: When it is deleted with its blobs; ``None`` before its end, and for jobs that are never deleted.
    expires_at: datetime | None
    #: Of all images without their own. ``None``: each has its own, or its file's upload was not kept (before 0013).
    mask: JobMask | None
    #: Of a job whose mark is estimated; ``None`` until it is known.
    review: Review | None
    #: Number of rows of its manifest that were skipped.
    rows_skipped: int
    #: Its place among the jobs that no worker has begun, oldest first, from 1; ``None`` once it has begun.
    queue_position: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """An image with a result: the part of it that a list of a job's results needs."""

    id: str
    position: int
    name: str
    custom_id: str | None
    state: ImageState
    result_key: str
    content_type: str | None
    width: int | None
    height: int | None
    #: Of the result's file, in hexadecimal digits.
    sha256: str | None
    finished_at: datetime | None
    path: str | None
    metadata: dict[str, str]
    review: ImageReview
    #: Size of the result's file; ``None``: not kept.
    bytes: int | None
    destination_url: str | None
    #: The image that did it again, whose result this is.
    replaced_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image of a job."""

    id: str
    job_id: str
    tenant_id: str
    #: 0-based place in the job.
    position: int
    name: str
    #: Where it lies in the tenant's folders; ``None``: not stated.
    path: str | None
    custom_id: str | None
    metadata: dict[str, str]
    #: A person's judgement of its result.
    review: ImageReview
    review_note: str | None
    #: The image of the parent job that it does again.
    redo_of: str | None
    state: ImageState
    #: Blank where the picture comes from ``source_url``.
    source_key: str
    source_url: str | None
    #: Blank where the mask is not a file.
    mask_key: str
    #: ``None``: the job's.
    mask: ImageMask | None
    options: ImageOptions | None
    #: ``None`` until it has ended with a result.
    result_key: str | None
    #: In hexadecimal; ``None``: no result, or not kept (before 0020).
    result_sha256: str | None
    #: Of the result's file; ``None``: no result, or not kept (before 0021).
    result_bytes: int | None
    result_crc32: int | None
    #: Where the worker has written it as well.
    destination_url: str | None
    content_type: str | None
    width: int | None
    height: int | None
    #: Leases taken so far.
    attempt: int
    tiles_done: int
    tiles_total: int | None
    error_code: str | None
    error_detail: str | None
    #: Empty until an attempt has ended.
    record: ImageRecord
    #: How much a person should look at its result; 0: not at all, or not kept (before 0027).
    doubt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    #: The image that did it again last, if its result replaces this one's.
    replacement: Image | None = None

    @property
    def current(self) -> Image:
        """The image whose result counts: its replacement, or itself."""
        return self if self.replacement is None else self.replacement

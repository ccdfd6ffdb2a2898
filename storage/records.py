"""What the ledger hands out: frozen records, and the two life cycles of the product.

A job::

    queued ──first image leased──▶ running ──last image ended──▶ completed
       └──────────────── cancel ───────┴──────────────────────▶ canceled

An image::

    queued ──leased──▶ running ──finished under its lease──▶ succeeded | skipped | failed
       ▲                  │
       └── lease expired, │ transient failure (attempt + 1, until the limit: failed)
       └── job canceled ──┴─▶ canceled
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    #: A sample of its pictures is looked at for the mark that they share.
    ESTIMATING = "estimating"
    #: Waits for a person to say which templates are right.
    NEEDS_REVIEW = "needs_review"
    #: Accepted; no image has been leased yet.
    QUEUED = "queued"
    #: At least one image has been leased.
    RUNNING = "running"
    #: Every image has ended, whatever its end.
    COMPLETED = "completed"
    #: Stopped by the tenant.
    CANCELED = "canceled"
    #: Could not be begun.
    FAILED = "failed"


class ImageState(StrEnum):
    #: Waits for a worker.
    QUEUED = "queued"
    #: A worker holds its lease.
    RUNNING = "running"
    #: The result is stored.
    SUCCEEDED = "succeeded"
    #: Nothing was to be done; the result is the source.
    SKIPPED = "skipped"
    #: Ended without a result; ``error_code`` says why.
    FAILED = "failed"
    #: The job was canceled first.
    CANCELED = "canceled"


class TemplateKind(StrEnum):
    #: Of a mask's file or boxes: its pixels are inpainted.
    MASK = "mask"
    #: Of a logo with alpha: its pixels are un-blended.
    LOGO = "logo"
    #: Of pictures that share a mark: the same.
    ESTIMATE = "estimate"


class TemplateState(StrEnum):
    #: Is being made, or waits for a worker that makes it.
    ESTIMATING = "estimating"
    #: Made; a person is to look at it.
    NEEDS_REVIEW = "needs_review"
    #: Jobs may name it.
    READY = "ready"
    #: Could not be made; ``error_code`` says why.
    FAILED = "failed"
    #: A person looked and said no.
    REJECTED = "rejected"


class Priority(StrEnum):
    """Which of two jobs goes first, whoever they belong to. In the order in which workers look at them."""

    #: Somebody waits for it: it overtakes ``bulk``.
    INTERACTIVE = "interactive"
    #: A catalogue, done as soon as possible.
    BULK = "bulk"


class PausedBy(StrEnum):
    #: By the command line, or by the service itself.
    OPERATOR = "operator"
    #: By a key of the tenant's own, over the API.
    TENANT = "tenant"


#: Jobs whose images wait until their mark is known.
HELD_JOB = (JobState.ESTIMATING, JobState.NEEDS_REVIEW)
ENDED = frozenset({ImageState.SUCCEEDED, ImageState.SKIPPED, ImageState.FAILED, ImageState.CANCELED})


class RightsBasis(StrEnum):
    #: The pictures are the tenant's own.
    OWNER = "owner"
    #: A licence gives the right to change them.
    LICENSEE = "licensee"
    #: The tenant works for whoever holds the right.
    AUTHORISED_AGENT = "authorised_agent"


#: Events that are not asked for: images of large jobs together, and the test of an endpoint.
BATCH_EVENT = "image.batch"
PING_EVENT = "ping"


class EventFilter(StrEnum):
    """What an endpoint can ask to be told of: a type of event, all of one kind, or all."""

    JOB_COMPLETED = "job.completed"
    JOB_CANCELED = "job.canceled"
    #: Its mark was looked for, and a person is to say what holds.
    JOB_NEEDS_REVIEW = "job.needs_review"
    IMAGE_SUCCEEDED = "image.succeeded"
    IMAGE_SKIPPED = "image.skipped"
    IMAGE_FAILED = "image.failed"
    #: Jobs may name it.
    TEMPLATE_READY = "template.ready"
    TEMPLATE_NEEDS_REVIEW = "template.needs_review"
    TEMPLATE_FAILED = "template.failed"
    #: Another endpoint of the tenant was disabled.
    WEBHOOK_DISABLED = "webhook.disabled"
    JOBS = "job.*"
    IMAGES = "image.*"
    TEMPLATES = "template.*"
    WEBHOOKS = "webhook.*"
    ALL = "*"


class DeliveryState(StrEnum):
    #: Due at ``next_attempt_at``.
    PENDING = "pending"
    #: The receiver answered 2xx.
    DELIVERED = "delivered"
    #: The schedule is used up, or the endpoint is disabled.
    FAILED = "failed"


class Scope(StrEnum):
    #: Make uploads and jobs; cancel, retry and delete jobs.
    SUBMIT = "submit"
    #: See jobs, images and results.
    READ = "read"
    #: Everything else: webhooks, keys.
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who makes a request, by the key that came with it."""

    key_id: str
    tenant_id: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key as listed: never with its secret."""

    id: str
    tenant_id: str
    name: str
    #: First characters, enough to recognise it.
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    #: ``None``: never.
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What a tenant may ask for; ``None``: as much as it likes."""

    #: By day of UTC.
    images_per_day: int | None = None
    #: Queued or running at once.
    images_in_flight: int | None = None
    #: Of announced uploads, by day of UTC.
    bytes_per_day: int | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A tenant's quota and what it has used of it."""

    quota: Quota
    images_today: int
    images_in_flight: int
    bytes_today: int


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A place for bytes that a tenant will send; ``key`` is where they land in the blob store."""

    id: str
    tenant_id: str
    key: str
    filename: str
    content_type: str
    #: In bytes, where it was announced.
    size: int | None
    #: Names its transfer in parts until it is complete; ``""``: the transfer is still to be opened.
    parts_id: str | None
    created_at: datetime
    expires_at: datetime


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
    #: ``None``, and no ``mask`` either: the job's mask.
    mask_upload_id: str | None
    #: Boxes, or how the mask's file is placed: see :class:`storage.options.MaskPlace`.
    mask: dict[str, Any] | None = None
    #: Its own options, only those that were given; they win over the job's.
    options: dict[str, Any] | None = None
    #: Its name in the tenant's own books.
    custom_id: str | None = None


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
    mask_upload_id: str | None
    #: Of images without a mask of their own: boxes, or how the mask's file is placed.
    mask: dict[str, Any] | None = None
    options: dict[str, Any]
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
    options: dict[str, Any]
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
    #: Of all images without their own.
    mask: dict[str, Any] | None
    #: Of a job whose mark is estimated: ``templates`` found, or the ``error``; ``None`` until it is known.
    review: dict[str, Any] | None
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
    #: Blank where the mask is boxes.
    mask_key: str
    mask: dict[str, Any] | None
    options: dict[str, Any] | None
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
    #: What was done: method, regions, device, fallbacks, seconds by stage.
    record: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Images of one job to be published as one message."""

    job_id: str
    image_ids: list[str]
    #: The job's own.
    priority: Priority = Priority.BULK
    #: The queue it travels in; a bulk shard whose turn has come travels with the interactive ones.
    queue: Priority = Priority.BULK


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What the dispatcher is to publish now."""

    shards: list[Shard]
    #: Shards that were on their way before: published and not leased.
    under_way: int


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Images of one priority that have not ended, over all tenants; paused ones do not count as queued."""

    queued: int
    running: int
    #: Seconds since the submission of the oldest job with an image that waits; 0 where none does.
    oldest_s: float


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """How much there is to do."""

    waiting: dict[Priority, Waiting]
    #: Images that are paused.
    paused: int
    #: Worker processes that hold a lease.
    busy_workers: int

    @property
    def queued(self) -> int:
        return sum(waiting.queued for waiting in self.waiting.values())

    @property
    def running(self) -> int:
        return sum(waiting.running for waiting in self.waiting.values())


@dataclass(frozen=True, kw_only=True)
class NewTemplate:
    """A template to be made."""

    name: str
    kind: TemplateKind
    #: ``upload_ids``, ``place``, ``opacity``, ``force``, ``approve``: see :mod:`storage.options`.
    spec: dict[str, Any]
    #: With ``estimate``: the job whose pictures are looked at, instead of uploads.
    source_job_id: str | None = None
    webhook_endpoint_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Template:
    """A watermark known for many images, or the work of making one."""

    id: str
    tenant_id: str
    name: str
    #: Among those of its name, from 1.
    version: int
    kind: TemplateKind
    state: TemplateState
    spec: dict[str, Any]
    source_job_id: str | None
    found_with_id: str | None
    #: Anchor, scale, distance and size of the mark; ``None`` until it is made.
    place: dict[str, Any] | None
    samples: int | None
    quality: dict[str, Any] | None
    #: 0 to 1.
    confidence: float | None
    warnings: list[str]
    file_key: str | None
    #: Blob keys by name.
    previews: dict[str, str]
    webhook_endpoint_id: str | None
    #: ``stage``, ``done`` and ``total`` while it is made.
    progress: dict[str, Any] | None
    attempt: int
    error_code: str | None
    error_detail: str | None
    created_at: datetime
    finished_at: datetime | None
    reviewed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class SampleSource:
    """A picture that a template is made from."""

    name: str
    #: Blank where the picture is at ``source_url``.
    source_key: str
    source_url: str | None


@dataclass(frozen=True, kw_only=True)
class LeasedTemplate:
    """What a worker needs to know of a template that it is to make."""

    id: str
    tenant_id: str
    kind: TemplateKind
    spec: dict[str, Any]
    sources: list[SampleSource]
    attempt: int


@dataclass(frozen=True, kw_only=True)
class MadeTemplate:
    """A template that a worker has made; its file and pictures are stored already."""

    id: str
    place: dict[str, Any]
    samples: int
    quality: dict[str, Any] | None
    confidence: float
    warnings: list[str]
    file_key: str
    previews: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class UsedTemplate:
    """A template as an image's worker needs it."""

    id: str
    file_key: str


@dataclass(frozen=True, kw_only=True)
class LeasedImage:
    """What a worker needs to know of an image it holds."""

    id: str
    job_id: str
    tenant_id: str
    name: str
    #: Blank where the picture is at ``source_url``.
    source_key: str
    source_url: str | None
    #: Blank where the mask is boxes.
    mask_key: str
    #: Boxes, or how the mask's file is placed: the image's own, else the job's.
    mask: dict[str, Any] | None
    #: Marks to be taken off instead of a mask; empty: there is a mask.
    templates: tuple[UsedTemplate, ...] = ()
    #: The job's with the image's own over them.
    options: dict[str, Any]
    attempt: int
    #: W3C ``traceparent`` of the job's submission, where that was traced.
    trace: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an image ended, or why it must be tried again (``retry``). Said by the worker that holds the lease."""

    image_id: str
    #: SUCCEEDED, SKIPPED or FAILED.
    state: ImageState
    result_key: str | None = None
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    tiles_done: int = 0
    error_code: str | None = None
    error_detail: str | None = None
    #: With FAILED: a transient cause. The image goes back to the queue unless its attempts are used up.
    retry: bool = False
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WebhookEndpoint:
    """Where a tenant's events are posted."""

    id: str
    tenant_id: str
    url: str
    #: Filters: what it is told of.
    events: list[str]
    created_at: datetime
    #: Until when the secret before this one signs too; ``None``: there is none.
    previous_secret_expires_at: datetime | None
    #: When the first post failed after the last that did not.
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An event on its way to an endpoint, claimed for one attempt."""

    #: Also the ``webhook-id`` header: the same on every attempt.
    id: str
    endpoint_id: str
    #: ``None``: of no job.
    job_id: str | None = None
    url: str
    #: The endpoint's secret, and the one before it while both sign.
    secrets: tuple[str, ...]
    event_type: str
    payload: dict[str, Any]
    #: Attempts made before this one.
    attempts: int


@dataclass(frozen=True, kw_only=True)
class DeliveryAttempt:
    """One post of a delivery, and what came of it."""

    attempt: int
    at: datetime
    #: ``None``: there was no answer; ``error`` says why.
    status: int | None
    error: str | None
    #: The first characters of the answer.
    excerpt: str | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord:
    """A delivery as its tenant sees it."""

    id: str
    endpoint_id: str
    job_id: str | None
    event_type: str
    sequence: int
    payload: dict[str, Any]
    state: DeliveryState
    created_at: datetime
    #: ``None`` where nothing more is attempted.
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    #: Oldest first.
    log: list[DeliveryAttempt]


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """What happened, for good. ``sequence`` counts a tenant's entries from 1; ``hash`` also covers all before it."""

    tenant_id: str
    sequence: int
    at: datetime
    #: ``job.submitted``, ``image.succeeded`` and the like.
    action: str
    #: Who did it: ``key:<id>``, ``worker:<name>`` or ``service``.
    actor: str
    job_id: str | None
    image_id: str | None
    data: dict[str, Any]
    hash: str

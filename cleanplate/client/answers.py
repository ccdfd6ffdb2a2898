"""Answers of the API: frozen pydantic models that ignore unknown fields.

A newer service may send more fields than this client knows. Fields that an older service lacks have a default.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cleanplate.base.destinations import Destination
from cleanplate.base.documents import JsonObject
from cleanplate.base.image_records import ImageRecord
from cleanplate.base.mail import JobMail
from cleanplate.base.masks import ImageMask, JobMask
from cleanplate.base.options import ImageOptions, JobOptions
from cleanplate.base.templates import Review, TemplatePlace, TemplateProgress, TemplateQuality, TemplateWarning

DeliveryState = Literal["pending", "delivered", "failed"]
TemplateState = Literal["estimating", "needs_review", "ready", "failed", "rejected"]
JobState = Literal["estimating", "needs_review", "queued", "running", "completed", "canceled"]
JobKind = Literal["catalogue", "repair"]
ImageReview = Literal["unseen", "kept", "rejected"]
ImageState = Literal["queued", "running", "succeeded", "skipped", "failed", "canceled"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rights(_Answer):
    """The right by which the marks may be removed: every job states it, and the service keeps it for good."""

    #: ``owner``, ``licensee`` or ``authorised_agent``.
    basis: Literal["owner", "licensee", "authorised_agent"]
    #: The person who answers for it.
    attested_by: str
    #: The document that grants it: a licence, a contract, an order.
    reference: str


class PartSlot(_Answer):
    """The link for one part of a large file, counted from 1, of ``size`` bytes."""

    number: int
    size: int
    url: str
    headers: dict[str, str]


class UploadSlot(_Answer):
    """The link for one file: ``method`` on ``url`` with exactly these ``headers``, before ``expires_at``."""

    id: str
    filename: str
    method: str
    #: ``None`` where the file goes in parts.
    url: str | None
    headers: dict[str, str]
    parts: list[PartSlot] = []
    expires_at: datetime


class JobCounts(_Answer):
    """Images of a job by state; they sum to the job's total."""

    queued: int
    running: int
    succeeded: int
    skipped: int
    failed: int
    canceled: int

    @property
    def ended(self) -> int:
        return self.succeeded + self.skipped + self.failed + self.canceled


class ImageError(_Answer):
    """Why an image, or a template, failed: a stable code and a sentence."""

    code: str
    detail: str


class JobLinks(_Answer):
    """Paths of a job's parts."""

    self: str
    images: str
    results: str
    errors: str
    skipped: str
    archive: str


class JobAnswer(_Answer):
    """A job and its progress."""

    id: str
    state: JobState
    #: ``repair``: a picture repaired by hand on the page.
    kind: JobKind = "catalogue"
    #: For people.
    name: str | None = None
    labels: list[str] = []
    metadata: dict[str, str] = {}
    #: The API key that submitted it; ``None``: not known.
    key_id: str | None = None
    #: The job whose images it does again, and whether its results replace theirs.
    parent_job_id: str | None = None
    replaces: bool = False
    #: Where its results are written as well.
    destination: Destination | JsonObject | None = Field(default=None, union_mode="left_to_right")
    total: int
    counts: JobCounts
    #: Share of the images that have ended, 0 to 1.
    progress: float
    rights: Rights | None = None
    tiles_done: int
    images_per_second: float | None
    #: Seconds until the end at the present rate; ``None`` where unknown.
    eta_s: float | None
    #: Its place among the jobs that have not begun, from 1; ``None`` once it has begun.
    queue_position: int | None = None
    priority: Literal["interactive", "bulk"] = "bulk"
    #: Images that wait for a worker at this time fail.
    deadline: datetime | None = None
    #: Whether the job, its tenant or the whole service is paused.
    paused: bool = False
    #: The marks found in its pictures, once the search has ended.
    review: Review | None = None
    #: The options of all images, with their defaults.
    options: JobOptions | JsonObject = Field(default=JobOptions(), union_mode="left_to_right")
    #: As submitted; ``None``: each image has its own.
    mask: JobMask | JsonObject | None = Field(default=None, union_mode="left_to_right")
    #: Rows of its manifest that were left out.
    rows_skipped: int = 0
    webhook_id: str | None = None
    #: Further ones: named, of all jobs, or of this job alone.
    webhook_ids: list[str] = []
    #: The address that is mailed, and the fate of the latest mail.
    mail: JobMail | JsonObject | None = Field(default=None, union_mode="left_to_right")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    #: The time of its deletion; ``None`` before its end, or where it is kept for good.
    expires_at: datetime | None = None
    links: JobLinks | None = None

    @property
    def ended(self) -> bool:
        return self.state in {"completed", "canceled"}


class LeftOutKey(_Answer):
    """A key or a row that a job would leave out."""

    code: str | None
    detail: str


class DryRun(_Answer):
    """What a job would be; nothing was written."""

    images: int
    rows_skipped: int
    #: The first hundred of them.
    skipped: list[LeftOutKey]
    #: Images by the kind of their mask.
    masks: dict[str, int]
    #: The first hundred addresses of results.
    destinations: list[str]
    #: The pace of the latest jobs; ``None`` where there are none.
    images_per_second: float | None
    #: The time of the images at that pace.
    seconds: float | None
    #: Images in which a mark is expected; ``None`` where marks are looked for in each.
    marks_expected: int | None = None
    #: Seconds of devices that they would cost; ``None`` where the tenant has no work yet.
    device_seconds: float | None = None
    #: Rest of the quota of images a day; ``None``: no such quota.
    images_left_today: int | None = None


class FailureReason(_Answer):
    """Images of a job that failed with one code; ``detail`` is that of one of them."""

    code: str
    count: int
    detail: str


class JobOverview(_Answer):
    """A job's failures by reason, the most frequent first, and its mean seconds per image by stage."""

    reasons: list[FailureReason]
    stages: dict[str, float]


class PauseAnswer(_Answer):
    """Whether all jobs of the tenant are paused, and by whom."""

    paused: bool
    by: list[Literal["tenant", "operator"]]


class TemplateAnswer(_Answer):
    """A watermark known for many images, or the work of estimating one."""

    id: str
    name: str
    version: int
    kind: Literal["mask", "logo", "estimate"]
    state: TemplateState
    #: ``None`` before and after the estimate.
    progress: TemplateProgress | None
    #: Number of times that a worker began the estimate.
    attempt: int
    error: ImageError | None
    warnings: list[str]
    #: The same as ``warnings``, each with its code and parameters.
    cautions: list[TemplateWarning] = Field(default_factory=list)
    #: 0 to 1.
    confidence: float | None
    samples: int | None
    #: How well opacity, colour and place are known.
    quality: TemplateQuality | None = None
    #: Its size, its anchor, and whether it grows with the picture.
    place: TemplatePlace | JsonObject | None = Field(default=None, union_mode="left_to_right")
    #: Paths of preview pictures, by name.
    previews: dict[str, str]
    source_job_id: str | None
    #: The template beside which it was found, in the same pictures.
    found_with: str | None = None
    webhook_id: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    reviewed_at: datetime | None = None


class ImageAnswer(_Answer):
    """One image of a job."""

    id: str
    job_id: str
    #: 0-based place in the job.
    position: int
    name: str
    #: Where it lies in the submitter's folders.
    path: str | None = None
    #: The submitter's own name for it.
    custom_id: str | None = None
    metadata: dict[str, str] = {}
    #: A person's judgement of its result.
    review: ImageReview = "unseen"
    review_note: str | None = None
    #: The image of the parent job that it does again, and the image whose result replaces its own.
    redo_of: str | None = None
    replaced_by: str | None = None
    #: The address that the service fetches it from; ``None`` for uploads.
    source_url: str | None = None
    #: Its own mask and options, as submitted; ``None``: the job's.
    mask: ImageMask | JsonObject | None = Field(default=None, union_mode="left_to_right")
    options: ImageOptions | JsonObject | None = Field(default=None, union_mode="left_to_right")
    state: ImageState
    #: Pixels; ``None`` until a worker has read it.
    width: int | None
    height: int | None
    tiles_done: int = 0
    tiles_total: int | None = None
    #: Number of times that a worker began it.
    attempt: int
    error: ImageError | None
    #: How it was repaired; empty until an attempt has ended.
    record: ImageRecord = ImageRecord()
    #: Paths of its result and its preview; ``None`` while there is none.
    result_url: str | None
    #: Where the result was written as well.
    destination_url: str | None = None
    preview_url: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Reviewed(_Answer):
    """Images whose judgement was written."""

    changed: int


class ResultLine(_Answer):
    """A line of a job's results."""

    image_id: str
    custom_id: str | None
    metadata: dict[str, str] = {}
    name: str
    path: str | None = None
    position: int
    state: ImageState = "succeeded"
    review: ImageReview = "unseen"
    #: The image of a child job whose result this is.
    replaced_by: str | None = None
    content_type: str | None
    #: Pixels.
    width: int | None = None
    height: int | None = None
    #: Of the result's file, in hexadecimal digits.
    sha256: str | None
    #: Its size.
    bytes: int | None = None
    #: Name of the result's file; ``None``: the service is older.
    file_name: str | None = None
    #: Path of the result.
    result_url: str | None = None
    #: Where it was written as well.
    destination_url: str | None = None


class ErrorLine(_Answer):
    """A line of a job's errors: one image that failed."""

    image_id: str
    custom_id: str | None
    metadata: dict[str, str] = {}
    name: str
    path: str | None = None
    position: int
    error: ImageError


class SkippedLine(_Answer):
    """A row of a job's manifest, or a key of its source, that was left out; ``line`` counts from 1."""

    custom_id: str | None
    line: int
    code: str | None = None
    detail: str


class WebhookAnswer(_Answer):
    """A webhook endpoint. Only the calls that create it or rotate its secret return the ``secret``."""

    id: str
    url: str
    events: list[str] = []
    secret: str | None = None
    #: Whether every new job tells it.
    all_jobs: bool = False
    #: The job to which it belongs; ``None``: the tenant's.
    job_id: str | None = None
    created_at: datetime | None = None
    #: Until this time posts carry a signature by the previous secret too.
    previous_secret_expires_at: datetime | None = None
    #: The first failure since the last success.
    failing_since: datetime | None = None
    #: Nothing has been posted to it since then; ``None`` while it is enabled.
    disabled_at: datetime | None = None
    disabled_reason: str | None = None


class Recovered(_Answer):
    """Deliveries that are queued again; ``more``: others have failed, repeat the call."""

    queued: int
    more: bool


class DeliveryAttempt(_Answer):
    """One post to a webhook; ``status`` is ``None`` and ``error`` says why where no answer came."""

    attempt: int
    at: datetime
    status: int | None
    error: str | None
    #: The first characters of the answer.
    excerpt: str | None
    seconds: float


class DeliveryAnswer(_Answer):
    """An event on its way to a webhook."""

    #: Also the header ``webhook-id`` of each post.
    id: str
    webhook_id: str
    job_id: str | None
    event_type: str
    #: Counts the deliveries of one job to one webhook, from 1.
    sequence: int
    #: The body of the post.
    payload: JsonObject
    state: DeliveryState
    created_at: datetime
    #: ``None`` after the last attempt.
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    #: All attempts, oldest first.
    log: list[DeliveryAttempt]


class ReadinessAnswer(_Answer):
    """A service that takes jobs, and its workers."""

    status: str
    #: Processes that take images; an older service does not say.
    workers: int | None = None
    #: Processes that load their network.
    starting: int = 0
    #: Why a worker, or another program of ``cleanplate up``, does not run, as a code.
    reason: str | None = None


class UsageWork(_Answer):
    """The service's work on images that ended with a result."""

    images: int
    #: Of the results, in millions of pixels.
    megapixels: float
    #: Of the results' files.
    bytes: int
    #: Seconds in which devices worked on them.
    device_seconds: float


class UsageDay(UsageWork):
    """The work of one day of UTC."""

    day: date


class UsageAnswer(_Answer):
    """The work for the key's tenant from ``since`` to ``until``: the days with any, oldest first, and their sum."""

    since: date
    until: date
    data: list[UsageDay]
    total: UsageWork


class DeviceAnswer(_Answer):
    """A device of a worker machine and the process that works on it. Sizes in bytes; ``None``: unknown."""

    host: str
    device: str
    state: Literal["starting", "working", "waiting", "crash_loop", "draining"]
    #: Why its process does not work: a code and a sentence. ``None``: it works.
    reason: str | None = None
    #: Number of times that its process died.
    deaths: int
    #: Images ended since its process began, and the mean of the last minute.
    images: int
    images_per_second: float
    resident_bytes: int
    memory_used: int | None
    memory_total: int | None
    temperature_c: int | None
    told_at: datetime

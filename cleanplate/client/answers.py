"""What the API answers, as the client hands it out: frozen pydantic models that ignore fields they do not know.

A newer service may say more than this client understands; what it says here keeps its meaning.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

TemplateState = Literal["estimating", "needs_review", "ready", "failed", "rejected"]
JobState = Literal["estimating", "needs_review", "queued", "running", "completed", "canceled"]
ImageState = Literal["queued", "running", "succeeded", "skipped", "failed", "canceled"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rights(_Answer):
    """By which right the marks may be removed: every job states it, and the service keeps it for good."""

    #: ``owner``, ``licensee`` or ``authorised_agent``.
    basis: Literal["owner", "licensee", "authorised_agent"]
    #: Who answers for it.
    attested_by: str
    #: Where it is written down: a licence, a contract, an order.
    reference: str


class PartSlot(_Answer):
    """Where to send one part of a large file, counted from 1, of ``size`` bytes."""

    number: int
    size: int
    url: str
    headers: dict[str, str]


class UploadSlot(_Answer):
    """Where to send one file: ``method`` on ``url`` with exactly these ``headers``, before ``expires_at``."""

    id: str
    filename: str
    method: str
    #: ``None`` where it goes in parts.
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


class ReviewAnswer(_Answer):
    """What was found in the pictures of a job with ``mode: auto``: templates' ids, or why there are none."""

    templates: list[str]
    error: ImageError | None = None


class JobAnswer(_Answer):
    """A job and how far it is."""

    id: str
    state: JobState
    total: int
    counts: JobCounts
    #: Share of the images that have ended, 0 to 1.
    progress: float
    rights: Rights | None = None
    tiles_done: int
    images_per_second: float | None
    #: Seconds until the end at the present rate; ``None`` where unknown.
    eta_s: float | None
    #: Its place in the line before it has begun.
    queue_position: int | None = None
    priority: Literal["interactive", "bulk"] = "bulk"
    #: Images that wait for a worker at this time fail.
    deadline: datetime | None = None
    paused: bool = False
    #: Once its pictures were looked at for their mark.
    review: ReviewAnswer | None = None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in {"completed", "canceled"}


class TemplateAnswer(_Answer):
    """A watermark known for many images, or the work of making one."""

    id: str
    name: str
    version: int
    kind: Literal["mask", "logo", "estimate"]
    state: TemplateState
    #: ``stage``, ``done`` and ``total`` while it is made.
    progress: dict[str, Any] | None
    #: Times that a worker has begun to make it.
    attempt: int
    error: ImageError | None
    warnings: list[str]
    #: 0 to 1.
    confidence: float | None
    samples: int | None
    #: Paths of pictures to look at, by name.
    previews: dict[str, str]
    source_job_id: str | None


class ImageAnswer(_Answer):
    """One image of a job."""

    id: str
    job_id: str
    #: 0-based place in the job.
    position: int
    name: str
    state: ImageState
    width: int | None
    height: int | None
    attempt: int
    error: ImageError | None
    #: Path of its result; ``None`` while there is none.
    result_url: str | None


class ResultLine(_Answer):
    """A line of a job's results."""

    image_id: str
    custom_id: str | None
    name: str
    position: int
    content_type: str | None
    #: Of the result's file, in hexadecimal digits.
    sha256: str | None


class WebhookAnswer(_Answer):
    """A webhook endpoint. ``secret`` is told once, by the call that makes it."""

    id: str
    url: str
    events: list[str] = []
    secret: str | None = None

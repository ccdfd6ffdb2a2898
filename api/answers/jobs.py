"""Jobs, their counts, and the overview of their images."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator

from api.answers.base import Answer
from api.example_ids import JOB_ID, KEY_ID
from cleanplate.base.destinations import Destination
from cleanplate.base.mail import JobMail
from cleanplate.base.masks import JobMask
from cleanplate.base.options import JobOptions
from cleanplate.base.templates import Review
from storage import records
from storage.json_columns import read_job_mask
from storage.records import (
    JobKind,
    JobState,
    PausedBy,
    Priority,
    RightsBasis,
)


class Counts(Answer):
    """Images by state; they sum to the job's total at every moment."""

    model_config = ConfigDict(from_attributes=True)

    queued: int
    running: int
    succeeded: int
    skipped: int
    failed: int
    canceled: int


class Rights(Answer):
    """The right by which the marks may be removed, as the job states it."""

    model_config = ConfigDict(from_attributes=True)

    basis: RightsBasis
    attested_by: str
    reference: str


class ImageError(Answer):
    """The reason why an image failed."""

    code: str = Field(examples=["image_truncated"])
    detail: str


class JobLinks(Answer):
    """Paths of the job and its parts."""

    self: str = Field(examples=[f"/v1/jobs/{JOB_ID}"])
    images: str = Field(examples=[f"/v1/jobs/{JOB_ID}/images"])
    results: str = Field(examples=[f"/v1/jobs/{JOB_ID}/results"])
    errors: str = Field(examples=[f"/v1/jobs/{JOB_ID}/errors"])
    skipped: str = Field(examples=[f"/v1/jobs/{JOB_ID}/skipped"])
    archive: str = Field(examples=[f"/v1/jobs/{JOB_ID}/archive"])

    @classmethod
    def of(cls, job_id: str) -> Self:
        """The links of a job."""
        path = f"/v1/jobs/{job_id}"
        parts = {name: f"{path}/{name}" for name in ("images", "results", "errors", "skipped", "archive")}
        return cls.model_validate({"self": path, **parts})


class Job(Answer):
    """A job and its progress."""

    id: str = Field(examples=[JOB_ID])
    state: JobState = Field(description="`completed`: every image has ended; not all need have succeeded.")
    kind: JobKind = Field(default=JobKind.CATALOGUE, description="`repair`: a picture repaired by hand on the page.")
    name: str | None = Field(default=None, description="Its name for people.", examples=["Spring catalogue, shirts"])
    labels: list[str] = Field(default=[], examples=[["spring", "shirts"]])
    metadata: dict[str, str] = Field(default={}, description="Texts of your own.", examples=[{"season": "2026-spring"}])
    key_id: str | None = Field(
        default=None, description="The API key that submitted it; null where it is not known.", examples=[KEY_ID]
    )
    parent_job_id: str | None = Field(default=None, description="The job whose images this one does again.")
    replaces: bool = Field(default=False, description="Whether its results replace those of its parent.")
    total: int = Field(description="Images in all.")
    counts: Counts
    progress: float = Field(description="Share of the images that have ended, 0 to 1.", examples=[0.25])
    tiles_done: int = Field(description="Passes of the network so far.")
    images_per_second: float | None = Field(description="Images ended per second; null before the first.")
    eta_s: float | None = Field(description="Seconds until the end at that rate; null where unknown.")
    queue_position: int | None = Field(
        description="Its place among the jobs that have not begun, from 1 to 1000; null once it has begun."
    )
    destination: Destination | None = Field(
        default=None, description="Where its results are written as well; null: nowhere."
    )
    options: JobOptions = Field(description="The options of all images, with their defaults.")
    mask: JobMask | None = Field(
        description=(
            "The mask of the images that have none of their own, as it was sent (`mask_upload_id` is answered as "
            "`mask`); null: each image has its own."
        )
    )
    review: Review | None = Field(
        description="With `mask: {mode: auto}`: the marks found in the pictures; null until the search has ended."
    )
    rows_skipped: int = Field(description="Rows of its manifest that were left out; `links.skipped` lists them.")
    rights: Rights | None = Field(description="Null for jobs of versions that did not ask for it.")
    webhook_id: str | None
    webhook_ids: list[str] = Field(
        default=[], description="Further webhooks: named, of all jobs, or of this job alone. Some may be deleted."
    )
    mail: JobMail | None = Field(
        default=None, description="The address that is mailed, and what became of the latest mail; null: none is."
    )
    priority: Priority
    deadline: datetime | None = Field(description="Images that wait for a worker at this time fail.")
    paused: bool = Field(description="Whether it, its tenant or the whole service is paused.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None = Field(
        description="The time of its deletion with its files; null before its end, or where it is kept."
    )
    links: JobLinks

    @field_validator("mask", mode="before")
    @classmethod
    def _read_mask(cls, mask: Any) -> Any:
        """An answer that is repeated for its idempotency key may hold a mask as an earlier version wrote it."""
        return read_job_mask(mask) if isinstance(mask, dict) else mask

    @classmethod
    def of(cls, job: records.Job) -> Self:
        """The answer of the ledger's record."""
        return cls(
            id=job.id,
            state=job.state,
            kind=job.kind,
            name=job.name,
            labels=job.labels,
            metadata=job.metadata,
            key_id=job.key_id,
            parent_job_id=job.parent_job_id,
            replaces=job.replaces,
            destination=job.destination,
            total=job.total,
            counts=Counts.model_validate(job.counts),
            progress=round(job.counts.ended / job.total, 6) if job.total else 1.0,
            tiles_done=job.tiles_done,
            images_per_second=job.images_per_second,
            eta_s=job.eta_s,
            queue_position=job.queue_position,
            options=job.options,
            mask=job.mask,
            review=job.review,
            rows_skipped=job.rows_skipped,
            rights=Rights.model_validate(job.rights) if job.rights else None,
            webhook_id=job.webhook_endpoint_id,
            webhook_ids=job.further_webhooks,
            mail=job.mail,
            priority=job.priority,
            deadline=job.deadline,
            paused=job.paused,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=job.expires_at,
            links=JobLinks.of(job.id),
        )


class LeftOutKey(Answer):
    """A key or a row that the job would leave out."""

    code: str | None = Field(examples=["not_a_picture"])
    detail: str


class DryRun(Answer):
    """The job that a request with `dry_run` would make. Nothing was written."""

    images: int = Field(description="Images that it would have; each counts against the quota of images a day.")
    rows_skipped: int = Field(description="Rows or keys that it would leave out.")
    skipped: list[LeftOutKey] = Field(description="The first hundred of them.")
    masks: dict[str, int] = Field(
        description="Images by the kind of their mask: `file`, `boxes`, `template`, `templates`, `text`, `auto`.",
        examples=[{"template": 1990, "file": 10}],
    )
    marks_expected: int | None = Field(
        description=(
            "Images in which a mark is expected: all with a painted mask or boxes; with an estimated template, the "
            "share of its samples in which it was found again. Null where marks are looked for in each picture."
        )
    )
    destinations: list[str] = Field(description="The first hundred addresses of results, where there is a destination.")
    images_per_second: float | None = Field(
        description="The pace of the tenant's latest jobs that have ended; null where there are none."
    )
    seconds: float | None = Field(description="The time that the images would take at that pace.")
    device_seconds: float | None = Field(
        description=(
            "The seconds of devices that they would cost, by the tenant's images of the last 30 days; see `/v1/usage`."
        )
    )
    images_left_today: int | None = Field(description="Rest of the quota of images a day; null: no such quota.")


class JobEvent(Answer):
    """The fields of one server-sent event (text/event-stream)."""

    id: str = Field(description="The value to send as `Last-Event-ID`.", examples=["0b6cf1d1a0b8d9e5b5a1c3f2e4d60718"])
    event: Literal["progress", "end", "gone", "job"] = Field(description="The kind of event.")
    data: str = Field(
        description="The job as JSON, see `Job`; of `gone` an empty object.",
        json_schema_extra={"contentMediaType": "application/json"},
    )


class Pause(Answer):
    """Whether all jobs of a tenant are paused, and by whom."""

    paused: bool
    by: list[PausedBy] = Field(description="`tenant`: by one of its keys; `operator`: by whoever runs the service.")

    @classmethod
    def of(cls, by: set[PausedBy]) -> Self:
        """The ledger's answer as clients see it."""
        return cls(paused=bool(by), by=sorted(by))


class Reason(Answer):
    """The images that failed with one code."""

    model_config = ConfigDict(from_attributes=True)

    code: str = Field(examples=["image_truncated"])
    count: int
    detail: str = Field(description="The detail of one of them.")


class Overview(Answer):
    """A job's images as a whole."""

    model_config = ConfigDict(from_attributes=True)

    reasons: list[Reason] = Field(description="The reasons why images failed, the most frequent first.")
    stages: dict[str, float] = Field(
        description="Mean seconds of an image by stage, in the order of the work.", examples=[{"network": 0.012}]
    )


class JobPage(Answer):
    """A part of the list of jobs, newest first."""

    data: list[Job]
    next_cursor: str | None = Field(description="The cursor of the next part; null at the end.")

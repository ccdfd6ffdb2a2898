"""What clients get: pydantic models of every answer, made from the ledger's records."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from storage import records
from storage.records import (
    DeliveryState,
    ImageState,
    JobState,
    PausedBy,
    Priority,
    RightsBasis,
    TemplateKind,
    TemplateState,
)

_UPLOAD = "upl_019aab5c2f6e7b3e9d2a8c4f1e0b7d63"
_JOB = "job_019aab5d10437c2e8f6b5a4d3c2b1a09"
_IMAGE = "img_019aab5d10447d3fa0c1b2d3e4f5a697"
_DELIVERY = "evt_019aab5d3044711ea0c1b2d3e4f5a697"
_TEMPLATE = "tpl_019aab5e40717a6d8c9b0a1f2e3d4c5b"
_WEBHOOK = "whe_019aab5b00127a10b1c2d3e4f5061728"


class Answer(BaseModel):
    """The base of what clients get."""

    model_config = ConfigDict(frozen=True)


class UploadPart(Answer):
    """Where to `PUT` one part of a file; its answer's `ETag` is wanted in the end."""

    number: int = Field(description="From 1.")
    size: int = Field(description="Bytes of this part, exactly: the file's next ones.")
    url: str = Field(description="The signed address to send the part to.")
    headers: dict[str, str] = Field(description="Headers that must be sent.", examples=[{"Content-Length": "8388608"}])
    expires_at: datetime = Field(description="When the address stops working.")


class UploadParts(Answer):
    """Links of parts, in the order asked for."""

    parts: list[UploadPart]


class Upload(Answer):
    """Where and how to send one file: make exactly this request, with the file as its body."""

    id: str = Field(description="Names the file when the job is submitted.", examples=[_UPLOAD])
    filename: str = Field(description="The name as it is kept.", examples=["shirt-01.jpg"])
    method: str = Field(description="The method to use.", examples=["PUT"])
    url: str | None = Field(
        description="The signed address to send the bytes to. Whoever has it can send. Null where there are `parts`."
    )
    headers: dict[str, str] = Field(description="Headers that must be sent.", examples=[{"Content-Type": "image/jpeg"}])
    fields: dict[str, str] = Field(
        description="With `POST`: the form's fields, to be sent before the last one, `file`, which has the bytes."
    )
    parts: list[UploadPart] = Field(
        description="With `multipart`: where each part goes; then `POST /v1/uploads/{upload_id}/complete`."
    )
    expires_at: datetime = Field(description="When the address stops working.")


class Uploads(Answer):
    """The files' places, in the order asked for."""

    uploads: list[Upload]


class StoredUpload(Answer):
    """A file that arrived whole."""

    id: str = Field(description="Names the file when the job is submitted.", examples=[_UPLOAD])
    filename: str = Field(description="The name as it is kept.", examples=["wall.tif"])
    content_type: str = Field(examples=["image/tiff"])
    size: int = Field(description="Bytes.", examples=[12_582_912])
    expires_at: datetime = Field(description="When it is dropped, unless a job names it.")


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
    """By which right the marks may be removed, as it was stated with the job."""

    model_config = ConfigDict(from_attributes=True)

    basis: RightsBasis
    attested_by: str
    reference: str


class ImageError(Answer):
    """Why an image failed."""

    code: str = Field(examples=["image_truncated"])
    detail: str


class Review(Answer):
    """What was found in the pictures of a job that waits for its mark."""

    templates: list[str] = Field(description="The marks found, the commonest first.", examples=[[_TEMPLATE]])
    error: ImageError | None = Field(default=None, description="Why none was found; null where some were.")


class JobLinks(Answer):
    """Where to read on."""

    self: str = Field(examples=[f"/v1/jobs/{_JOB}"])
    images: str = Field(examples=[f"/v1/jobs/{_JOB}/images"])
    results: str = Field(examples=[f"/v1/jobs/{_JOB}/results"])
    errors: str = Field(examples=[f"/v1/jobs/{_JOB}/errors"])
    skipped: str = Field(examples=[f"/v1/jobs/{_JOB}/skipped"])
    archive: str = Field(examples=[f"/v1/jobs/{_JOB}/archive"])

    @classmethod
    def of(cls, job_id: str) -> Self:
        """The links of a job."""
        path = f"/v1/jobs/{job_id}"
        parts = {name: f"{path}/{name}" for name in ("images", "results", "errors", "skipped", "archive")}
        return cls.model_validate({"self": path, **parts})


class Job(Answer):
    """A job and how far it is."""

    id: str = Field(examples=[_JOB])
    state: JobState = Field(description="`completed` says that every image has ended, not that all succeeded.")
    total: int = Field(description="Images in all.")
    counts: Counts
    progress: float = Field(description="Share of the images that have ended, 0 to 1.", examples=[0.25])
    tiles_done: int = Field(description="Passes of the network done so far.")
    images_per_second: float | None = Field(description="Images ended per second; null before the first.")
    eta_s: float | None = Field(description="Seconds until the end at that rate; null where unknown.")
    queue_position: int | None = Field(
        description="Its place among the jobs that wait to begin, from 1, counted to 1000; null once it has begun."
    )
    options: dict[str, Any]
    mask: dict[str, Any] | None = Field(
        description="Boxes, or how the mask's file is laid on pictures; null where it is taken as it is."
    )
    review: Review | None = Field(
        description="With `mask: {mode: auto}`: what was found in the pictures; null until it is known."
    )
    rows_skipped: int = Field(description="Rows of its manifest that were left out; `links.skipped` lists them.")
    rights: Rights | None = Field(description="Null for jobs of the time before it was asked for.")
    webhook_id: str | None
    priority: Priority
    deadline: datetime | None = Field(description="Images that wait for a worker at this time fail.")
    paused: bool = Field(description="Whether it, its tenant or the whole service is paused.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None = Field(
        description="When it is deleted with its files; null before its end, or where it is kept."
    )
    links: JobLinks

    @classmethod
    def of(cls, job: records.Job) -> Self:
        """The ledger's record as clients see it."""
        return cls(
            id=job.id,
            state=job.state,
            total=job.total,
            counts=Counts.model_validate(job.counts),
            progress=round(job.counts.ended / job.total, 6) if job.total else 1.0,
            tiles_done=job.tiles_done,
            images_per_second=job.images_per_second,
            eta_s=job.eta_s,
            queue_position=job.queue_position,
            options=job.options,
            mask=job.mask,
            review=Review.model_validate(job.review) if job.review is not None else None,
            rows_skipped=job.rows_skipped,
            rights=Rights.model_validate(job.rights) if job.rights else None,
            webhook_id=job.webhook_endpoint_id,
            priority=job.priority,
            deadline=job.deadline,
            paused=job.paused,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=job.expires_at,
            links=JobLinks.of(job.id),
        )


class JobEvent(Answer):
    """One server-sent event (text/event-stream): its fields."""

    id: str = Field(description="To be sent back as `Last-Event-ID`.", examples=["0b6cf1d1a0b8d9e5b5a1c3f2e4d60718"])
    event: Literal["progress", "end", "gone", "job"] = Field(description="What has happened.")
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


class Image(Answer):
    """One picture of a job."""

    id: str = Field(examples=[_IMAGE])
    job_id: str = Field(examples=[_JOB])
    position: int = Field(description="Its place in the job, from 0.")
    name: str = Field(examples=["shirt-01.jpg"])
    custom_id: str | None = Field(description="Its name in your own books, as it was submitted.")
    source_url: str | None = Field(description="Where it is fetched from; null for uploads.")
    mask: dict[str, Any] | None = Field(description="Its own mask's boxes or placement; null where it has the job's.")
    options: dict[str, Any] | None = Field(description="Its own options; null where it has only the job's.")
    state: ImageState
    width: int | None = Field(description="Pixels; null until a worker has read it.")
    height: int | None
    tiles_done: int
    tiles_total: int | None
    attempt: int = Field(description="Times that a worker has begun it.")
    error: ImageError | None
    record: dict[str, Any] = Field(description="What was done: method, regions, device, seconds by stage.")
    result_url: str | None = Field(
        description="Where to fetch the result; null while there is none.", examples=[f"/v1/images/{_IMAGE}/result"]
    )
    preview_url: str | None = Field(
        description="A small picture before and after; null while there is none.",
        examples=[f"/v1/images/{_IMAGE}/preview"],
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, image: records.Image) -> Self:
        """The ledger's record as clients see it."""
        failed = image.state is ImageState.FAILED
        return cls(
            id=image.id,
            job_id=image.job_id,
            position=image.position,
            name=image.name,
            custom_id=image.custom_id,
            source_url=image.source_url,
            mask=image.mask,
            options=image.options,
            state=image.state,
            width=image.width,
            height=image.height,
            tiles_done=image.tiles_done,
            tiles_total=image.tiles_total,
            attempt=image.attempt,
            error=ImageError(code=image.error_code or "", detail=image.error_detail or "") if failed else None,
            record=image.record,
            result_url=f"/v1/images/{image.id}/result" if image.result_key else None,
            preview_url=f"/v1/images/{image.id}/preview" if "preview" in image.record else None,
            created_at=image.created_at,
            started_at=image.started_at,
            finished_at=image.finished_at,
        )


class Reason(Answer):
    """Images that failed with one code."""

    model_config = ConfigDict(from_attributes=True)

    code: str = Field(examples=["image_truncated"])
    count: int
    detail: str = Field(description="What is said of one of them.")


class Overview(Answer):
    """A job's images as a whole."""

    model_config = ConfigDict(from_attributes=True)

    reasons: list[Reason] = Field(description="Why images failed, the most frequent reason first.")
    stages: dict[str, float] = Field(
        description="Mean seconds of an image by stage, in the order of the work.", examples=[{"network": 0.012}]
    )


class ResultLine(Answer):
    """A line of a job's results."""

    custom_id: str | None
    name: str
    image_id: str
    position: int
    state: ImageState
    content_type: str | None
    width: int | None
    height: int | None
    sha256: str | None = Field(description="Of the result's file.")
    result_url: str

    @classmethod
    def of(cls, image: records.Image) -> Self:
        """The ledger's record as clients see it."""
        return cls(
            custom_id=image.custom_id,
            name=image.name,
            image_id=image.id,
            position=image.position,
            state=image.state,
            content_type=image.content_type,
            width=image.width,
            height=image.height,
            sha256=image.record.get("sha256", {}).get("result"),
            result_url=f"/v1/images/{image.id}/result",
        )


class ErrorLine(Answer):
    """A line of a job's errors."""

    custom_id: str | None
    name: str
    image_id: str
    position: int
    error: ImageError

    @classmethod
    def of(cls, image: records.Image) -> Self:
        """The ledger's record as clients see it."""
        return cls(
            custom_id=image.custom_id,
            name=image.name,
            image_id=image.id,
            position=image.position,
            error=ImageError(code=image.error_code or "", detail=image.error_detail or ""),
        )


class SkippedLine(Answer):
    """A row of a job's manifest that was left out."""

    custom_id: str | None
    line: int = Field(description="In the manifest, from 1.")
    detail: str

    @classmethod
    def of(cls, row: records.SkippedRow) -> Self:
        """The ledger's record as clients see it."""
        return cls(custom_id=row.custom_id, line=row.line, detail=row.detail)


class TemplateProgress(Answer):
    """How far the making of a template is."""

    stage: str = Field(examples=["outline"])
    done: int
    total: int


class Template(Answer):
    """A watermark known for many images."""

    id: str = Field(examples=[_TEMPLATE])
    name: str
    version: int = Field(description="Among those of its name, from 1.")
    kind: TemplateKind = Field(description="What it is made of: a `mask`, a `logo`, or pictures (`estimate`).")
    state: TemplateState = Field(description="Jobs may name those that are `ready`.")
    progress: TemplateProgress | None = Field(description="While it is made; null before and after.")
    attempt: int = Field(description="Times that a worker has begun to make it.")
    error: ImageError | None = Field(description="Why it could not be made.")
    warnings: list[str] = Field(description="Sentences for whoever decides about it.")
    confidence: float | None = Field(description="0 to 1: what `approve: auto` goes by; null until it is made.")
    samples: int | None = Field(description="Pictures that it was estimated from.")
    quality: dict[str, Any] | None = Field(description="How well its opacity, colour and place are known.")
    place: dict[str, Any] | None = Field(description="Its size, its anchor, and whether it grows with the picture.")
    previews: dict[str, str] = Field(
        description="Pictures to look at, by name: `mask`, `opacity`, `colour`, `before-1`, `after-1` and so on.",
        examples=[{"mask": f"/v1/templates/{_TEMPLATE}/previews/mask"}],
    )
    source_job_id: str | None = Field(description="The job in whose pictures it was found.")
    found_with: str | None = Field(description="The template beside which it was found, in the same pictures.")
    webhook_id: str | None
    created_at: datetime
    finished_at: datetime | None
    reviewed_at: datetime | None

    @classmethod
    def of(cls, template: records.Template) -> Self:
        """The ledger's record as clients see it."""
        same = ("id", "name", "version", "kind", "state", "warnings", "confidence", "samples", "quality", "place")
        times = ("attempt", "source_job_id", "created_at", "finished_at", "reviewed_at")
        path = f"/v1/templates/{template.id}/previews"
        failed = template.error_code is not None
        return cls(
            **{name: getattr(template, name) for name in (*same, *times)},
            progress=TemplateProgress.model_validate(template.progress) if template.progress else None,
            error=ImageError(code=template.error_code or "", detail=template.error_detail or "") if failed else None,
            previews={name: f"{path}/{name}" for name in template.previews},
            found_with=template.found_with_id,
            webhook_id=template.webhook_endpoint_id,
        )


class TemplatePage(Answer):
    """A part of the list of templates, newest first."""

    data: list[Template]
    next_cursor: str | None = Field(description="For the next part; null at the end.")


class JobPage(Answer):
    """A part of the list of jobs, newest first."""

    data: list[Job]
    next_cursor: str | None = Field(description="For the next part; null at the end.")


class ImagePage(Answer):
    """A part of a job's images, in the job's order."""

    data: list[Image]
    next_cursor: str | None = Field(description="For the next part; null at the end.")


class Webhook(Answer):
    """An address that is told when a job completes and when an image fails."""

    id: str = Field(examples=[_WEBHOOK])
    url: str = Field(examples=["https://shop.example/hooks/cleanplate"])
    events: list[str] = Field(description="What it is told of.", examples=[["job.*", "image.failed"]])
    created_at: datetime
    previous_secret_expires_at: datetime | None = Field(
        description="Until when the secret before this one signs too; null where there is none."
    )
    failing_since: datetime | None = Field(
        description="When the first post failed after the last that did not; after days of that it is disabled."
    )
    disabled_at: datetime | None = Field(description="Since when nothing is posted to it; null while it is in use.")
    disabled_reason: str | None

    @classmethod
    def fields_of(cls, endpoint: records.WebhookEndpoint) -> dict[str, Any]:
        """The ledger's record as clients see it."""
        return {name: getattr(endpoint, name) for name in cls.model_fields if name != "secret"}


class WebhookWithSecret(Webhook):
    """The new address with its secret, which is not shown again."""

    secret: str = Field(description="Verifies the signatures (Standard Webhooks). Keep it; it is shown this once.")


class WebhookPage(Answer):
    """All webhooks of the tenant."""

    data: list[Webhook]
    next_cursor: str | None = Field(description="Always null: the list is short.")


class DeliveryAttempt(Answer):
    """One post, and what came of it."""

    model_config = ConfigDict(from_attributes=True)

    attempt: int
    at: datetime
    status: int | None = Field(description="The HTTP status of the answer; null where there was none.")
    error: str | None = Field(description="Why there was no answer.")
    excerpt: str | None = Field(description="The first characters of the answer.")
    seconds: float


class Delivery(Answer):
    """An event on its way to a webhook."""

    id: str = Field(description="Also the header `webhook-id` of each post.", examples=[_DELIVERY])
    webhook_id: str = Field(examples=[_WEBHOOK])
    job_id: str | None
    event_type: str = Field(examples=["job.completed"])
    sequence: int = Field(description="Counts the deliveries of one job to one webhook from 1.")
    payload: dict[str, Any] = Field(description="The body that is posted.")
    state: DeliveryState
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="Null where nothing more is attempted.")
    delivered_at: datetime | None
    log: list[DeliveryAttempt] = Field(description="All attempts, oldest first.")

    @classmethod
    def of(cls, delivery: records.DeliveryRecord) -> Self:
        """The ledger's record as clients see it."""
        fields = {name: value for name, value in vars(delivery).items() if name not in {"endpoint_id", "log"}}
        log = [DeliveryAttempt.model_validate(attempt) for attempt in delivery.log]
        return cls(webhook_id=delivery.endpoint_id, log=log, **fields)


class DeliveryPage(Answer):
    """A part of a webhook's deliveries, newest first."""

    data: list[Delivery]
    next_cursor: str | None = Field(description="For the next part; null at the end.")


class Health(Answer):
    """The service answers."""

    status: str = Field(examples=["ok"])


class Fault(BaseModel):
    """One fault of a request: where, and what."""

    pointer: str | None = Field(default=None, description="JSON pointer into the body.", examples=["#/images/0/name"])
    parameter: str | None = Field(default=None, description="Name of the query parameter.")
    line: int | None = Field(default=None, description="Line of the manifest, from 1.")
    code: str | None = Field(default=None, description="Of a manifest's row: what is wrong with it.")
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457, application/problem+json)."""

    type: str = Field(description="Address of the code's documentation.")
    title: str = Field(description="What all problems of this code share.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened and what to do about it.")
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="Stable; write programs against this one.", examples=["upload_unknown"])
    request_id: str = Field(description="Name it when you report the problem.")
    errors: list[Fault] | None = Field(default=None, description="The faults of the request, with their places.")

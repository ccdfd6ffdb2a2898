"""Jobs: of uploads and addresses, of a manifest, and of pictures in the request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from api.example_ids import MASK_ID, TEMPLATE_ID, UPLOAD_ID
from api.requests.fields import FileName, FilePart, Id, Line, PageOf, Request, Url
from api.requests.masks import GivenMask, JobMask, Masked
from storage.options import JobOptions
from storage.records import (
    ImageState,
    JobState,
    Priority,
    Rights,
    RightsBasis,
)


class NewImage(Masked):
    """One picture of a job: sent before by an upload, or fetched from its address by the service."""

    upload_id: Id | None = Field(default=None, description="The picture's upload.", examples=[UPLOAD_ID])
    url: Url | None = Field(
        default=None,
        description="Instead of an upload: `https://` of a public server, or `s3://bucket/key` of an allowed bucket.",
        examples=["https://shop.example/pictures/shirt-01.jpg"],
    )
    name: FileName | None = Field(
        default=None, description="Its file name. Missing: its upload's, or the last part of its address."
    )
    mask: GivenMask | None = Field(default=None, description="Its own mask. Missing: the job's.")
    options: JobOptions | None = Field(default=None, description="Its own options: what they name wins over the job's.")
    custom_id: Line | None = Field(
        default=None,
        max_length=200,
        description="Its name in your own books: comes back in every list, results and errors.",
        examples=["sku-4711-front"],
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.upload_id is None) == (self.url is None):
            raise ValueError("give either upload_id or url")
        return self


class GivenManifest(Request):
    """A file that lists a job's pictures, a line each: JSON Lines of `NewImage`, or CSV with the same columns."""

    model_config = ConfigDict(json_schema_extra={"example": {"upload_id": UPLOAD_ID, "on_error": "skip"}})

    upload_id: Id | None = Field(default=None, description="The file's upload.")
    url: Url | None = Field(
        default=None,
        description="Instead of an upload: `s3://bucket/key` of an allowed bucket.",
        examples=["s3://catalogue/spring.csv"],
    )
    format: Literal["jsonl", "csv"] | None = Field(default=None, description="Missing: as the file begins.")
    on_error: Literal["reject", "skip"] = Field(
        default="reject",
        description="What a bad row does: the job is refused with its line and reason; or it is left out and listed.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.upload_id is None) == (self.url is None):
            raise ValueError("give either upload_id or url")
        return self


class Stated(Request):
    """By which right the marks may be removed. Kept with the job and in the audit log."""

    rights_basis: RightsBasis = Field(
        description="`owner` of the pictures, `licensee`, or `authorised_agent` of either.", examples=["owner"]
    )
    attested_by: Line = Field(max_length=200, description="Who answers for it.", examples=["Jo Doe, Doe Shirts Ltd"])
    rights_reference: Line = Field(
        max_length=500,
        description="Where it is written down: a licence, a contract, an order.",
        examples=["own photographs, spring catalogue"],
    )

    retention_days: int | None = Field(
        default=None,
        ge=1,
        le=3650,
        description="Days from its end until the job is deleted with all its files. Missing: the service's own choice.",
    )

    priority: Priority = Field(
        default=Priority.BULK,
        description="`interactive`: somebody waits for it, and it overtakes `bulk`, which still gets its part.",
    )
    deadline: AwareDatetime | None = Field(
        default=None,
        description=(
            "Images that wait for a worker at this time fail with `deadline_passed`. Missing: they wait as long as it "
            "takes."
        ),
        examples=["2026-05-01T18:00:00Z"],
    )

    @field_validator("deadline")
    @classmethod
    def _to_come(cls, value: datetime | None) -> datetime | None:
        if value is not None and value <= datetime.now(UTC):
            raise ValueError("The deadline has passed already.")
        return value

    @property
    def rights(self) -> Rights:
        """The statement as the ledger keeps it."""
        return Rights(basis=self.rights_basis, attested_by=self.attested_by, reference=self.rights_reference)


class JobTerms(Stated, Masked):
    """What holds for all pictures of a job, wherever they come from."""

    mask: JobMask | None = Field(default=None, description="The mask of every picture that has none of its own.")
    options: JobOptions = Field(default_factory=JobOptions, description="How to work.")
    webhook_id: Id | None = Field(default=None, description="Where to post `job.completed` and `image.failed`.")


class NewJob(JobTerms):
    """Pictures to be cleaned: listed here, in a manifest, or all of a folder in S3."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "images": [{"upload_id": UPLOAD_ID, "name": "shirt-01.jpg"}],
                "mask_upload_id": MASK_ID,
                "options": {"dilation_px": 4},
                "rights_basis": "owner",
                "attested_by": "Jo Doe, Doe Shirts Ltd",
                "rights_reference": "own photographs, spring catalogue",
            }
        }
    )

    images: list[NewImage] | None = Field(
        default=None, min_length=1, description="The pictures, in the order in which they are listed."
    )
    manifest: GivenManifest | None = Field(default=None, description="Instead of `images`: a file that lists them.")
    folder: Url | None = Field(
        default=None,
        description="Instead of `images`: every picture under `s3://bucket/prefix/` of an allowed bucket.",
        examples=["s3://catalogue/spring/"],
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if sum(way is not None for way in (self.images, self.manifest, self.folder)) != 1:
            raise ValueError("give one of images, manifest and folder")
        return self


class ManifestTerms(JobTerms):
    """The part `job` of a job that brings its manifest along."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "mask": {"boxes": [[0.72, 0.9, 0.25, 0.07]], "units": "relative"},
                "on_error": "skip",
                "rights_basis": "owner",
                "attested_by": "Jo Doe, Doe Shirts Ltd",
                "rights_reference": "own photographs, spring catalogue",
            }
        }
    )

    format: Literal["jsonl", "csv"] | None = Field(default=None, description="Missing: as the file begins.")
    on_error: Literal["reject", "skip"] = Field(
        default="reject",
        description="What a bad row does: the job is refused with its line and reason; or it is left out and listed.",
    )


class ManifestJob(Request):
    """The parts of a job that brings its manifest along (multipart/form-data)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "manifest": "custom_id,url\nsku-4711,https://shop.example/pictures/shirt-01.jpg\n",
                "job": (
                    '{"mask": {"boxes": [[0.72, 0.9, 0.25, 0.07]], "units": "relative"}, "on_error": "skip", '
                    '"rights_basis": "owner", "attested_by": "Jo Doe, Doe Shirts Ltd", '
                    '"rights_reference": "own photographs, spring catalogue"}'
                ),
            }
        }
    )

    manifest: FilePart = Field(description="The file: JSON Lines or CSV, with a file name.")
    job: str = Field(description="Everything else: a JSON object, see `ManifestTerms`.")


class InlineJob(Stated):
    """The parts of a small job that brings its pictures along (multipart/form-data)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "images": ["(bytes of shirt-01.jpg)", "(bytes of shirt-02.jpg)"],
                "mask": "(bytes of mask.png)",
                "options": '{"dilation_px": 4}',
                "rights_basis": "owner",
                "attested_by": "Jo Doe, Doe Shirts Ltd",
                "rights_reference": "own photographs, spring catalogue",
            }
        }
    )

    images: list[Annotated[str, Field(json_schema_extra={"format": "binary"})]] = Field(
        description="The pictures: one part each, with its file name."
    )
    mask: str | None = Field(
        default=None, description="The mask of every picture.", json_schema_extra={"format": "binary"}
    )
    masks: list[Annotated[str, Field(json_schema_extra={"format": "binary"})]] | None = Field(
        default=None, description="Instead of `mask`: one mask for each picture, in the same order."
    )
    mask_place: str | None = Field(
        default=None,
        description=(
            "A JSON object, see `InlinePlace`: with `boxes`, or `mode: text`, instead of a mask's file; without them, "
            "how the file of `mask` is laid on pictures of other shapes."
        ),
        examples=['{"boxes": [[0.72, 0.9, 0.25, 0.07]], "units": "relative"}'],
    )
    options: str | None = Field(default=None, description="How to work: a JSON object, see `JobOptions`.")
    webhook: Id | None = Field(default=None, description="Where to post `job.completed` and `image.failed`.")


class Approve(Request):
    """Which templates a job begins with."""

    model_config = ConfigDict(json_schema_extra={"example": {"templates": [TEMPLATE_ID]}})

    templates: list[Id] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description="Missing: those found in its pictures, but for rejected ones. Others of the tenant's may be named.",
    )


class JobsPageOf(PageOf):
    """Which jobs."""

    state: JobState | None = Field(default=None, description="Only jobs in this state.")


class ImagesPageOf(PageOf):
    """Which images of a job."""

    state: ImageState | None = Field(default=None, description="Only images in this state.")
    error_code: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]{1,60}$", description="Only images that failed with this code."
    )

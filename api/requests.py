"""What clients send: pydantic models of every request, with the examples that the documentation shows.

Fields that are not known are refused, so that a misspelt option is an error and not silently ignored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)

from api.filenames import clean_filename
from storage.options import JobOptions
from storage.records import ImageState, JobState, Priority, Rights, RightsBasis

#: Ids as clients may send them; what the ledger makes fits in.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
FileName = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(clean_filename)]
ContentType = Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9][a-z0-9.+-]*$", max_length=100)]
#: A part of a form that is a file.
FilePart = Annotated[str, Field(json_schema_extra={"format": "binary"})]

#: One line for people: printable, not blank.
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]

_UPLOAD = "upl_019aab5c2f6e7b3e9d2a8c4f1e0b7d63"
_MASK = "upl_019aab5c2f6f7c21a4b1d0e9f8a7c652"


class Request(BaseModel):
    """The base of what clients send."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NewUpload(Request):
    """A file that will be sent."""

    filename: FileName = Field(description="The file's name; a path's folders are dropped.", examples=["shirt-01.jpg"])
    content_type: ContentType = Field(
        description="The file's media type; the link takes no other.", examples=["image/jpeg"]
    )
    size: int | None = Field(
        default=None,
        ge=1,
        le=2**40,
        description="The file's size in bytes; the link takes no other. Required where the tenant's bytes are counted.",
        examples=[184_320],
    )


class NewUploads(Request):
    """Files that will be sent to the object store."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"files": [{"filename": "shirt-01.jpg", "content_type": "image/jpeg"}]}}
    )

    files: list[NewUpload] = Field(min_length=1, max_length=1000, description="1 to 1000 files.")


class NewImage(Request):
    """One picture of a job, sent before by an upload."""

    upload_id: Id = Field(description="The picture.", examples=[_UPLOAD])
    name: FileName | None = Field(default=None, description="Its name. Missing: `image-` and its place in the job.")
    mask_upload_id: Id | None = Field(default=None, description="Its own mask. Missing: the job's.")
    custom_id: Line | None = Field(
        default=None,
        max_length=200,
        description="Its name in your own books: comes back in every list, results and errors.",
        examples=["sku-4711-front"],
    )


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


class NewJob(Stated):
    """Pictures to be cleaned, by the ids of their uploads."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "images": [{"upload_id": _UPLOAD, "name": "shirt-01.jpg"}],
                "mask_upload_id": _MASK,
                "options": {"dilation_px": 4},
                "rights_basis": "owner",
                "attested_by": "Jo Doe, Doe Shirts Ltd",
                "rights_reference": "own photographs, spring catalogue",
            }
        }
    )

    images: list[NewImage] = Field(min_length=1, description="The pictures, in the order in which they are listed.")
    mask_upload_id: Id | None = Field(default=None, description="The mask of every picture that has none of its own.")
    options: JobOptions = Field(default_factory=JobOptions, description="How to work.")
    webhook_id: Id | None = Field(default=None, description="Where to post `job.completed` and `image.failed`.")


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
    options: str | None = Field(default=None, description="How to work: a JSON object, see `JobOptions`.")
    webhook: Id | None = Field(default=None, description="Where to post `job.completed` and `image.failed`.")


class PageOf(Request):
    """Which part of a list."""

    limit: int = Field(default=100, ge=1, le=1000, description="Most entries in the answer.")
    cursor: str | None = Field(
        default=None, max_length=200, description="`next_cursor` of the answer before. Missing: from the beginning."
    )


class Wait(Request):
    """How long to wait for news."""

    wait: int = Field(
        default=0,
        ge=0,
        le=60,
        description="Seconds to wait until the job is no longer as `If-None-Match` names it, or as it is now.",
    )


class JobsPageOf(PageOf):
    """Which jobs."""

    state: JobState | None = Field(default=None, description="Only jobs in this state.")


class ImagesPageOf(PageOf):
    """Which images of a job."""

    state: ImageState | None = Field(default=None, description="Only images in this state.")


class NewWebhook(Request):
    """An address that wants to be told."""

    model_config = ConfigDict(json_schema_extra={"example": {"url": "https://shop.example/hooks/cleanplate"}})

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="https, a public host, no user name or password.",
        examples=["https://shop.example/hooks/cleanplate"],
    )

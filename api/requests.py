"""What clients send: pydantic models of every request, with the examples that the documentation shows.

Fields that are not known are refused, so that a misspelt option is an error and not silently ignored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from api.filenames import clean_filename
from storage.ledger.webhooks import USUAL_EVENTS
from storage.options import Approval, JobOptions, LogoPlace, MaskPlace
from storage.records import (
    DeliveryState,
    EventFilter,
    ImageState,
    JobState,
    Priority,
    Rights,
    RightsBasis,
    TemplateState,
)

#: Ids as clients may send them; what the ledger makes fits in.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
FileName = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(clean_filename)]
ContentType = Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9][a-z0-9.+-]*$", max_length=100)]
#: Whether it may be connected to, is decided apart.
Url = Annotated[str, Field(min_length=1, max_length=2000)]
#: A part of a form that is a file.
FilePart = Annotated[str, Field(json_schema_extra={"format": "binary"})]

#: One line for people: printable, not blank.
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]

_UPLOAD = "upl_019aab5c2f6e7b3e9d2a8c4f1e0b7d63"
_MASK = "upl_019aab5c2f6f7c21a4b1d0e9f8a7c652"
_TEMPLATE = "tpl_019aab5e40717a6d8c9b0a1f2e3d4c5b"


class Request(BaseModel):
    """The base of what clients send."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenMask(MaskPlace):
    """What is to be repaired: a mask's file by its upload, boxes, or marks that are known by their templates.

    A mask is laid on pictures of other shapes by its anchor; a template knows itself where its mark is.
    """

    model_config = ConfigDict(json_schema_extra={"example": {"upload_id": _MASK, "anchor": "bottom_right"}})

    upload_id: Id | None = Field(default=None, description="The mask's file.")
    template: Id | None = Field(
        default=None, description="Instead of a mask: the mark to be taken off, by its template.", examples=[_TEMPLATE]
    )
    templates: list[Id] | None = Field(
        default=None, min_length=1, max_length=8, description="The same for several marks, the first first."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        self.check()
        return self

    def check(self) -> None:
        """Raises ValueError: not one way to say it."""
        ways = (self.upload_id, self.boxes, self.template, self.templates)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give one of upload_id, boxes, template and templates")
        if self.named and self.kept():
            raise ValueError("a template knows where its mark is: give it alone")

    @property
    def named(self) -> list[str]:
        """Ids of templates, each once."""
        return list(dict.fromkeys([self.template] if self.template is not None else self.templates or []))


class JobMask(GivenMask, Approval):
    """What is to be repaired in every picture that has no mask of its own; or that it is to be found in them."""

    model_config = ConfigDict(json_schema_extra={"example": {"mode": "auto", "approve": "person"}})

    mode: Literal["auto"] | None = Field(
        default=None,
        description=(
            "Instead of a mask: a sample of the pictures is looked at for the mark that they share; the job waits in "
            "`needs_review` until what was found is approved (`POST /v1/jobs/{job_id}/approve`), or `approve: auto` "
            "lets it begin."
        ),
    )

    def check(self) -> None:
        """Raises ValueError: not one way to say it."""
        if self.mode is None:
            if self.model_fields_set & set(Approval.model_fields):
                raise ValueError("approve, min_confidence and force belong to mode: auto")
            super().check()
        elif self.kept() or self.upload_id is not None or self.named:
            raise ValueError("with mode: auto the mark is found in the pictures: say nothing else of it")


class _Masked(Request):
    """What has a mask of its own, or not."""

    mask_upload_id: Id | None = Field(default=None, description="Short for `mask` with nothing but an `upload_id`.")

    @model_validator(mode="after")
    def _one_mask(self) -> Self:
        if self.mask_upload_id is not None and getattr(self, "mask", None) is not None:
            raise ValueError("give either mask or mask_upload_id")
        return self


class NewImage(_Masked):
    """One picture of a job: sent before by an upload, or fetched from its address by the service."""

    upload_id: Id | None = Field(default=None, description="The picture's upload.", examples=[_UPLOAD])
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

    model_config = ConfigDict(json_schema_extra={"example": {"upload_id": _UPLOAD, "on_error": "skip"}})

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


class JobTerms(Stated, _Masked):
    """What holds for all pictures of a job, wherever they come from."""

    mask: JobMask | None = Field(default=None, description="The mask of every picture that has none of its own.")
    options: JobOptions = Field(default_factory=JobOptions, description="How to work.")
    webhook_id: Id | None = Field(default=None, description="Where to post `job.completed` and `image.failed`.")


class NewJob(JobTerms):
    """Pictures to be cleaned: listed here, in a manifest, or all of a folder in S3."""

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
            "A JSON object, see `MaskPlace`: with `boxes` instead of a mask's file; without them, how the file of "
            "`mask` is laid on pictures of other shapes."
        ),
        examples=['{"boxes": [[0.72, 0.9, 0.25, 0.07]], "units": "relative"}'],
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


class TemplatesPageOf(PageOf):
    """Which templates."""

    state: TemplateState | None = Field(default=None, description="Only templates in this state.")
    job_id: Id | None = Field(default=None, description="Only those found in this job's pictures.")


class GivenLogo(LogoPlace):
    """A logo with alpha as it was laid on the pictures."""

    upload_id: Id = Field(description="Its file: a picture with alpha, in the size that it has on the pictures.")


class FromPictures(Approval):
    """Pictures that share a mark."""

    upload_ids: list[Id] | None = Field(
        default=None, min_length=5, max_length=400, description="Their uploads; 50 different ones are plenty."
    )
    job_id: Id | None = Field(default=None, description="Instead of uploads: a sample of this job's pictures.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.upload_ids is None) == (self.job_id is None):
            raise ValueError("give either upload_ids or job_id")
        return self


class TemplateMask(MaskPlace):
    """A mask's file, and how it is laid on pictures of other shapes."""

    upload_id: Id = Field(description="The mask's file.")

    @model_validator(mode="after")
    def _a_file(self) -> Self:
        if self.boxes is not None:
            raise ValueError("a template is made of a mask's file; boxes are given with the job")
        return self


class NewTemplate(Request):
    """A watermark to be known for many images: made of a mask, of a logo, or of pictures that share it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"name": "spring", "estimate": {"upload_ids": [_UPLOAD, _MASK, f"{_UPLOAD}2", "upl_4", "upl_5"]}}
        }
    )

    name: Line = Field(
        max_length=200,
        description="For people; a name that there is already gets another version.",
        examples=["spring"],
    )
    mask: TemplateMask | None = Field(default=None, description="Its pixels are inpainted.")
    logo: GivenLogo | None = Field(default=None, description="Its pixels are un-blended, as far as it is translucent.")
    estimate: FromPictures | None = Field(default=None, description="It is found in pictures, and un-blended.")
    webhook_id: Id | None = Field(
        default=None, description="Where to post `template.ready`, `template.needs_review` and `template.failed`."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.mask, self.logo, self.estimate)) != 1:
            raise ValueError("give one of mask, logo and estimate")
        return self


class Approve(Request):
    """Which templates a job begins with."""

    model_config = ConfigDict(json_schema_extra={"example": {"templates": [_TEMPLATE]}})

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


class DeliveriesPageOf(PageOf):
    """Which deliveries of a webhook."""

    state: DeliveryState | None = Field(default=None, description="Only deliveries in this state.")
    job_id: Id | None = Field(default=None, description="Only deliveries that tell of this job.")


class Rotation(Request):
    """How a secret gives way to another."""

    keep_s: int = Field(
        default=86_400, ge=0, le=604_800, description="Seconds for which the secret before signs too, up to a week."
    )


Events = Annotated[list[EventFilter], Field(min_length=1, max_length=len(EventFilter))]


class NewWebhook(Request):
    """An address that wants to be told."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"url": "https://shop.example/hooks/cleanplate", "events": ["job.*", "image.failed"]}
        }
    )

    events: Events = Field(
        default=list(USUAL_EVENTS),
        description="What it is told of: types, `job.*`, `image.*`, `webhook.*` or `*`.",
    )

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="https, a public host, no user name or password.",
        examples=["https://shop.example/hooks/cleanplate"],
    )


class WebhookChanges(Request):
    """What is to be otherwise; what is missing stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"events": ["job.*", "image.*"], "enabled": True}})

    url: str | None = Field(default=None, min_length=1, max_length=2000, description="Another address.")
    events: Events | None = Field(default=None, description="What it is told of from now on.")
    enabled: Literal[True] | None = Field(default=None, description="Post to it again after it was disabled.")

"""Jobs: of uploads and addresses, of a manifest, and of pictures in the request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    ConfigDict,
    Field,
    Json,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from api.example_ids import IMAGE_ID, KEY_ID, MASK_ID, TEMPLATE_ID, UPLOAD_ID
from api.requests.fields import FileName, FilePart, FilePath, Labels, Line, Metadata, PageQuery, Request, Sha256, Url
from api.requests.masks import ImageMaskFields, JobMaskFields
from api.requests.webhooks import OwnWebhook
from cleanplate.base.destinations import Destination
from cleanplate.base.documents import Id
from cleanplate.base.mail import Mail
from cleanplate.base.masks import AutoMask
from cleanplate.base.options import ImageOptions, JobOptions
from storage.ledger.jobs.filters import ImageFilter, JobFilter
from storage.records import (
    ImageReview,
    ImageState,
    JobKind,
    JobState,
    Priority,
    Rights,
    RightsBasis,
)

#: Images validated at once.
_SLICE = 1000


def labels_of(text: str | None) -> list[str]:
    """Labels that commas separate."""
    return [label for label in (part.strip() for part in (text or "").split(",")) if label]


Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
ListedLabels = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")]


class NewImage(ImageMaskFields):
    """One picture of a job: an upload that was sent before, or an address from which the service fetches it."""

    upload_id: Id | None = Field(default=None, description="The picture's upload.", examples=[UPLOAD_ID])
    url: Url | None = Field(
        default=None,
        description="Instead of an upload: `https://` of a public server, or `s3://bucket/key` of an allowed bucket.",
        examples=["https://shop.example/pictures/shirt-01.jpg"],
    )
    name: FileName | None = Field(
        default=None, description="The file name. Missing: the path's, the upload's, or the address's last part."
    )
    path: FilePath | None = Field(
        default=None,
        description=(
            "Where the picture lies in your own folders, with its file name. Results, events, ZIP and destination keep "
            "it. Parts are separated by slashes; none may be `..`."
        ),
        examples=["shirts/front/01.jpg"],
    )
    options: ImageOptions | None = Field(
        default=None, description="The image's own options: the fields that they name win over the job's."
    )
    custom_id: Line | None = Field(
        default=None,
        max_length=200,
        description="The image's name in your own books; every list, results and errors repeat it.",
        examples=["sku-4711-front"],
    )
    metadata: Metadata | None = Field(
        default=None,
        description="Up to 16 texts of your own by key; every list repeats them, and filters by them.",
        examples=[{"colour": "teal"}],
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.upload_id is None) == (self.url is None):
            raise ValueError("give either upload_id or url")
        return self


class ManifestSource(Request):
    """A file that lists a job's pictures, a line each: JSON Lines of `NewImage`, or CSV with the same columns."""

    model_config = ConfigDict(json_schema_extra={"example": {"upload_id": UPLOAD_ID, "on_error": "skip"}})

    upload_id: Id | None = Field(default=None, description="The file's upload.")
    url: Url | None = Field(
        default=None,
        description="Instead of an upload: `s3://bucket/key` of an allowed bucket.",
        examples=["s3://catalogue/spring.csv"],
    )
    format: Literal["jsonl", "csv"] | None = Field(
        default=None, description="The file's format. Missing: it is told by the file's first characters."
    )
    on_error: Literal["reject", "skip"] = Field(
        default="reject",
        description="`reject`: a bad row refuses the job, with its line and reason. `skip`: it is left out and listed.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.upload_id is None) == (self.url is None):
            raise ValueError("give either upload_id or url")
        return self


class JobBasics(Request):
    """The fields of every job: the right to remove the marks (kept with the job and in the audit log), and times."""

    rights_basis: RightsBasis = Field(
        description="The right by which the marks may be removed: of the `owner` of the pictures, a `licensee`, or an "
        "`authorised_agent` of either.",
        examples=["owner"],
    )
    attested_by: Line = Field(
        max_length=200, description="The person who answers for that right.", examples=["Jo Doe, Doe Shirts Ltd"]
    )
    rights_reference: Line = Field(
        max_length=500,
        description="The document that grants the right: a licence, a contract, an order.",
        examples=["own photographs, spring catalogue"],
    )
    retention_days: int | None = Field(
        default=None,
        ge=1,
        le=3650,
        description="Days from the job's end until it is deleted with all its files. Missing: the service's default.",
    )
    priority: Priority = Field(
        default=Priority.BULK,
        description="`interactive` jobs go before `bulk` ones, for people who wait; `bulk` still gets its share.",
    )
    deadline: AwareDatetime | None = Field(
        default=None,
        description=(
            "Images that still wait for a worker at this time fail with `deadline_passed`. Missing: no limit."
        ),
        examples=["2026-05-01T18:00:00Z"],
    )

    @field_validator("deadline")
    @classmethod
    def _in_the_future(cls, value: datetime | None) -> datetime | None:
        if value is not None and value <= datetime.now(UTC):
            raise ValueError("the deadline has passed already")
        return value

    @property
    def rights(self) -> Rights:
        """The right as the ledger keeps it."""
        return Rights(basis=self.rights_basis, attested_by=self.attested_by, reference=self.rights_reference)


class JobNames(Request):
    """The fields by which a job is found again."""

    name: Line | None = Field(
        default=None, max_length=200, description="A name for people.", examples=["Spring catalogue, shirts"]
    )
    labels: Labels | None = Field(
        default=None, description="Up to 16 words; lists filter by them.", examples=[["spring", "shirts"]]
    )
    metadata: Metadata | None = Field(
        default=None,
        description="Up to 16 texts of your own by key; lists filter by them.",
        examples=[{"season": "2026-spring"}],
    )


class JobTerms(JobBasics, JobNames, JobMaskFields):
    """The fields of every JSON job, wherever its pictures come from."""

    kind: JobKind = Field(
        default=JobKind.CATALOGUE,
        description="`repair`: a picture that a person repairs by hand; lists of jobs leave it out unless asked.",
    )

    options: JobOptions = Field(default_factory=JobOptions, description="How all images are repaired.")
    destination: Destination | Url | None = Field(
        default=None,
        description=(
            "A bucket of yours into which each result is written as well: an address with places in braces, such as "
            "`s3://catalogue/clean/{path}`, or with headers."
        ),
        examples=["s3://catalogue/clean/{path}"],
    )
    webhook_id: Id | None = Field(default=None, description="The webhook that gets `job.completed` and `image.failed`.")
    webhook_ids: Annotated[list[Id], Field(min_length=1, max_length=8)] | None = Field(
        default=None, description="Up to 8 further webhooks; each gets the events that it asks for."
    )
    webhook: OwnWebhook | None = Field(default=None, description="An address that gets the events of this job alone.")
    mail: Mail | None = Field(
        default=None, description="An address that is mailed at the job's end, and when a mark waits for approval."
    )


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
    manifest: ManifestSource | None = Field(default=None, description="Instead of `images`: a file that lists them.")
    folder: Url | None = Field(
        default=None,
        description="Instead of `images`: every picture under `s3://bucket/prefix/` of an allowed bucket.",
        examples=["s3://catalogue/spring/"],
    )

    source: Url | Annotated[list[Url], Field(min_length=1, max_length=100)] | None = Field(
        default=None,
        description=("As `folder`, or several of them. Keys under it that are left out are told, see `links.skipped`."),
        examples=["s3://catalogue/spring/"],
    )
    only_new: bool = Field(
        default=False,
        description=(
            "With `source` and `destination`: leaves out each picture whose present version has its result there, as "
            "in a nightly run."
        ),
    )
    dry_run: bool = Field(
        default=False,
        description="Submits nothing and answers 200 with what the job would be, see `DryRun`.",
    )

    @field_validator("images", mode="wrap")
    @classmethod
    def _stop_at_faults(cls, listed: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """Validates in slices up to the first with a fault: a fault of each of 100,000 images costs much memory."""
        if not isinstance(listed, list) or not listed:
            return validate(listed)
        valid = []
        for end in range(_SLICE, len(listed) + _SLICE, _SLICE):
            try:
                valid += validate(listed[end - _SLICE : end])
            except ValidationError:
                # Once more from the first, so that the places are right.
                return validate(listed[:end])
        return valid

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if sum(way is not None for way in (self.images, self.manifest, self.folder, self.source)) != 1:
            raise ValueError("give one of images, manifest, folder and source")
        if self.only_new and (not self.folders or self.destination is None):
            raise ValueError("only_new compares a source with a destination: give both")
        return self

    @property
    def folders(self) -> list[str]:
        """The folders in S3 whose pictures are taken, with a slash at their ends."""
        named = [self.folder] if self.folder is not None else self.source
        urls = [named] if isinstance(named, str) else named or []
        return [url if url.endswith("/") else f"{url}/" for url in urls]


class ManifestTerms(JobTerms):
    """The part `job` of a form that contains a manifest."""

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

    format: Literal["jsonl", "csv"] | None = Field(
        default=None, description="The file's format. Missing: it is told by the file's first characters."
    )
    on_error: Literal["reject", "skip"] = Field(
        default="reject",
        description="`reject`: a bad row refuses the job, with its line and reason. `skip`: it is left out and listed.",
    )


class ManifestJob(Request):
    """The parts of a job whose form contains its manifest (multipart/form-data)."""

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
    job: str = Field(description="All other fields: a JSON object, see `ManifestTerms`.")


class InlineJob(JobBasics):
    """The parts of a small job whose form contains its pictures (multipart/form-data)."""

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
            "A JSON object, see `MaskPlace`: `boxes` or `mode: text` instead of a mask's file; or the `anchor` and "
            "`scale` by which the file `mask` is laid on pictures of other shapes."
        ),
        examples=['{"boxes": [[0.72, 0.9, 0.25, 0.07]], "units": "relative"}'],
    )
    options: str | None = Field(
        default=None, description="How all images are repaired: a JSON object, see `JobOptions`."
    )
    name: Line | None = Field(default=None, max_length=200, description="A name for people.")
    labels: ListedLabels | None = Field(default=None, description="Labels, separated by commas.")
    metadata: Json[Metadata] | None = Field(
        default=None,
        description="A JSON object: up to 16 texts of your own by key.",
        examples=['{"season": "2026-spring"}'],
    )
    webhook: Id | None = Field(default=None, description="The webhook that gets `job.completed` and `image.failed`.")


class Approve(Request):
    """The templates that a job begins with."""

    model_config = ConfigDict(json_schema_extra={"example": {"templates": [TEMPLATE_ID]}})

    templates: list[Id] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description="Any of the tenant's. Missing: those found in the job's pictures, without rejected ones.",
    )


class JobChanges(JobNames):
    """Changes of a job; missing fields stay as they are, an empty list or object removes what there is."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "Spring, second try", "labels": ["spring"]}})


class _JobFields(PageQuery):
    """Filters by fields of jobs."""

    kind: Literal["catalogue", "repair", "any"] = Field(
        default="catalogue", description="Only jobs of this kind. `repair`: those of the page that repairs one picture."
    )
    created_after: AwareDatetime | None = Field(
        default=None, description="Only jobs made at this time or later.", examples=["2026-05-01T00:00:00Z"]
    )
    created_before: AwareDatetime | None = Field(
        default=None, description="Only jobs made before this time.", examples=["2026-05-08T00:00:00Z"]
    )
    key_id: Id | None = Field(default=None, description="Only jobs that this API key submitted.", examples=[KEY_ID])
    webhook_id: Id | None = Field(default=None, description="Only jobs that name this webhook.")

    @property
    def only_kind(self) -> JobKind | None:
        """The kind that the list is restricted to."""
        return None if self.kind == "any" else JobKind(self.kind)


class JobsQuery(_JobFields):
    """The part of the list of jobs to read."""

    state: JobState | None = Field(default=None, description="Only jobs in this state.")
    label: ListedLabels | None = Field(
        default=None, description="Only jobs with all of these labels, separated by commas.", examples=["spring,shirts"]
    )
    metadata: Json[Metadata] | None = Field(
        default=None,
        description="A JSON object: only jobs whose metadata has these texts.",
        examples=['{"season": "2026-spring"}'],
    )
    q: Words | None = Field(
        default=None, description="Only jobs whose name contains all of these words.", examples=["spring shirts"]
    )
    order: Literal["newest", "oldest"] = Field(default="newest", description="The job that comes first.")

    @property
    def filter(self) -> JobFilter:
        """The filter of the ledger's list."""
        return JobFilter(
            state=self.state,
            kind=self.only_kind,
            labels=labels_of(self.label),
            metadata=self.metadata or {},
            created_after=self.created_after,
            created_before=self.created_before,
            key_id=self.key_id,
            webhook_id=self.webhook_id,
            words=self.q,
        )


Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000, pattern=r"^[^\x00]*$")]


class NewReview(Request):
    """A person's judgement of an image's result."""

    model_config = ConfigDict(json_schema_extra={"example": {"review": "rejected", "note": "The collar is smeared."}})

    review: ImageReview = Field(
        description="`kept`: it is good; `rejected`: it is to be done again; `unseen`: neither."
    )
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000, pattern=r"^[^\x00]*$")] | None = (
        Field(default=None, description="Why, for people.")
    )


class NewReviews(NewReview):
    """A person's judgement of several images of a job."""

    model_config = ConfigDict(json_schema_extra={"example": {"review": "kept", "images": [IMAGE_ID]}})

    images: list[Id] = Field(min_length=1, max_length=1000, description="Up to 1000 images of the job.")


class NewRedo(JobMaskFields):
    """Images of a job to be done again, as a child of the job. Without a selection: those that were rejected."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"review": "rejected", "mask": {"template": TEMPLATE_ID}, "replace": True}}
    )

    images: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="Up to 1000 images of the job, by their ids."
    )
    state: ImageState | None = Field(default=None, description="Instead: those in this state.")
    error_code: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]{1,60}$", description="Instead: those that failed with this code."
    )
    review: ImageReview | None = Field(default=None, description="Instead: those that were judged so.")
    options: ImageOptions | None = Field(
        default=None, description="Options that win over those of the job and of its images, field by field."
    )
    replace: bool = Field(
        default=True,
        description="Whether the results replace those of the images, in results and ZIP. Else they stand beside.",
    )
    name: Line | None = Field(default=None, max_length=200, description="The child's name. Missing: the job's.")
    priority: Priority | None = Field(default=None, description="Missing: the job's.")
    destination: Destination | Url | None = Field(
        default=None, description="Missing: the job's where results replace its own, else none."
    )
    webhook_id: Id | None = Field(default=None, description="Missing: the job's.")
    retention_days: int | None = Field(default=None, ge=1, le=3650, description="As for any job.")

    @model_validator(mode="after")
    def _one_selection(self) -> Self:
        named = [self.images, self.state, self.error_code, self.review]
        if sum(selection is not None for selection in named) > 1:
            raise ValueError("give one of images, state, error_code and review")
        if isinstance(self.mask, AutoMask):
            raise ValueError("name a template: a mark is not searched for again")
        return self

    @property
    def filter(self) -> ImageFilter:
        """The filter of images that are not named by id."""
        if self.images is not None:
            return ImageFilter()
        if self.state is None and self.error_code is None:
            return ImageFilter(review=self.review or ImageReview.REJECTED)
        return ImageFilter(state=self.state, error_code=self.error_code)


class _ImageFields(Request):
    """Filters by fields of images."""

    review: ImageReview | None = Field(default=None, description="Only images that were judged so.")

    state: ImageState | None = Field(default=None, description="Only images in this state.")
    error_code: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]{1,60}$", description="Only images that failed with this code."
    )
    custom_id: Line | None = Field(default=None, max_length=200, description="Only images with this `custom_id`.")
    metadata: Json[Metadata] | None = Field(
        default=None,
        description="A JSON object: only images whose metadata has these texts.",
        examples=['{"colour": "teal"}'],
    )
    q: Words | None = Field(
        default=None, description="Only images whose name or `custom_id` contains all of these words."
    )


class ImagesQuery(PageQuery, _ImageFields):
    """The part of a job's images to read."""

    order: Literal["position", "doubt"] = Field(
        default="position",
        description=(
            "`position`: the job's order. `doubt`: for a person who judges results: those in which a mark may still "
            "show first, then by what is left of it, then by the share of the picture that was invented."
        ),
    )

    @property
    def filter(self) -> ImageFilter:
        """The filter of the ledger's list."""
        return ImageFilter(
            state=self.state,
            error_code=self.error_code,
            custom_id=self.custom_id,
            metadata=self.metadata or {},
            words=self.q,
            review=self.review,
        )


class ImageSearch(_JobFields, _ImageFields):
    """The images to find among those of all jobs."""

    sha256: Sha256 | None = Field(default=None, description="Only the image whose result has this SHA-256.")
    job_label: ListedLabels | None = Field(
        default=None, description="Only images of jobs with all of these labels, separated by commas."
    )
    job_metadata: Json[Metadata] | None = Field(
        default=None, description="A JSON object: only images of jobs whose metadata has these texts."
    )
    job_q: Words | None = Field(default=None, description="Only images of jobs whose name contains all of these words.")

    @property
    def image_filter(self) -> ImageFilter:
        """The filter by fields of images."""
        return ImageFilter(
            state=self.state,
            error_code=self.error_code,
            custom_id=self.custom_id,
            sha256=self.sha256,
            metadata=self.metadata or {},
            words=self.q,
            review=self.review,
        )

    @property
    def job_filter(self) -> JobFilter:
        """The filter by fields of their jobs."""
        return JobFilter(
            kind=self.only_kind,
            labels=labels_of(self.job_label),
            metadata=self.job_metadata or {},
            created_after=self.created_after,
            created_before=self.created_before,
            key_id=self.key_id,
            webhook_id=self.webhook_id,
            words=self.job_q,
        )

"""Images of a job, and the lines of its manifests."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from api.answers.base import Answer
from api.answers.jobs import ImageError
from api.example_ids import IMAGE_ID, JOB_ID
from api.filenames import download_name
from cleanplate.base.image_records import FileHashes, ImageRecord
from cleanplate.base.masks import ImageMask
from cleanplate.base.options import ImageOptions
from storage import records
from storage.records import ImageReview, ImageState


class Image(Answer):
    """One picture of a job."""

    id: str = Field(examples=[IMAGE_ID])
    job_id: str = Field(examples=[JOB_ID])
    position: int = Field(description="The image's place in the job, from 0.")
    name: str = Field(examples=["shirt-01.jpg"])
    path: str | None = Field(
        description="Where it lies in your own folders, as it was submitted.", examples=["shirts/front/01.jpg"]
    )
    custom_id: str | None = Field(description="The image's name in your own books, as it was submitted.")
    metadata: dict[str, str] = Field(description="Texts of your own, as they were submitted.")
    review: ImageReview = Field(description="A person's judgement of the result.")
    review_note: str | None = Field(description="Why, for people.")
    redo_of: str | None = Field(description="The image of the parent job that this one does again.")
    replaced_by: str | None = Field(
        description="The image that did this one again and whose result counts: `result_url` leads to it."
    )
    source_url: str | None = Field(description="The address that it is fetched from; null for uploads.")
    mask: ImageMask | None = Field(description="The image's own mask, as it was sent; null: the job's mask.")
    options: ImageOptions | None = Field(
        description="The image's own options, as they were sent; null: the job's options."
    )
    state: ImageState
    width: int | None = Field(description="Pixels; null until a worker has read it.")
    height: int | None
    tiles_done: int
    tiles_total: int | None
    attempt: int = Field(description="Number of times that a worker began it.")
    error: ImageError | None
    record: ImageRecord = Field(description="How it was repaired; empty until an attempt has ended.")
    result_url: str | None = Field(
        description="The path of the result; null while there is none.", examples=[f"/v1/images/{IMAGE_ID}/result"]
    )
    destination_url: str | None = Field(
        description="Where the result was written as well; null: nowhere.", examples=["s3://catalogue/clean/a.jpg"]
    )
    preview_url: str | None = Field(
        description="The path of a small picture before and after; null while there is none.",
        examples=[f"/v1/images/{IMAGE_ID}/preview"],
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, image: records.Image) -> Self:
        """The answer of the ledger's record."""
        failed = image.state is ImageState.FAILED
        return cls(
            id=image.id,
            job_id=image.job_id,
            position=image.position,
            name=image.name,
            path=image.path,
            custom_id=image.custom_id,
            metadata=image.metadata,
            review=image.review,
            review_note=image.review_note,
            redo_of=image.redo_of,
            replaced_by=None if image.replacement is None else image.replacement.id,
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
            result_url=f"/v1/images/{image.id}/result" if image.current.result_key else None,
            destination_url=image.destination_url,
            preview_url=f"/v1/images/{image.id}/preview" if image.record.preview is not None else None,
            created_at=image.created_at,
            started_at=image.started_at,
            finished_at=image.finished_at,
        )


class ResultLine(Answer):
    """One line of a job's results."""

    custom_id: str | None
    metadata: dict[str, str]
    name: str
    path: str | None
    image_id: str
    position: int
    state: ImageState
    review: ImageReview
    replaced_by: str | None = Field(description="The image of a child job whose result this is.")
    content_type: str | None
    width: int | None
    height: int | None
    sha256: str | None = Field(description="SHA-256 of the result's file, in hexadecimal.")
    bytes: int | None = Field(description="Its size; null for results of earlier versions.")
    file_name: str = Field(
        description="Name of the result's file: the picture's, with the ending of the result's format or the kept one."
    )
    result_url: str
    destination_url: str | None = Field(description="Where it was written as well.")

    @classmethod
    def of(cls, result: records.Result) -> Self:
        """The answer of the ledger's record."""
        return cls(
            file_name=download_name(result),
            custom_id=result.custom_id,
            metadata=result.metadata,
            name=result.name,
            path=result.path,
            image_id=result.id,
            position=result.position,
            state=result.state,
            review=result.review,
            replaced_by=result.replaced_by,
            content_type=result.content_type,
            width=result.width,
            height=result.height,
            sha256=result.sha256,
            bytes=result.bytes,
            result_url=f"/v1/images/{result.id}/result",
            destination_url=result.destination_url,
        )


class ManifestLine(Answer):
    """One line of `manifest.jsonl`, the last file of a job's ZIP: every image of the job, in its order."""

    file: str | None = Field(description="The result's path in the ZIP; null where there is no result.")
    destination_url: str | None = Field(description="Where the result was written as well.")
    path: str | None = Field(description="The path that was submitted.")
    name: str
    custom_id: str | None
    metadata: dict[str, str]
    image_id: str
    redo_of: str | None
    replaced_by: str | None = Field(description="The image of a child job whose result this is.")
    review: ImageReview
    state: ImageState
    code: str | None = Field(description="The code of the error, of an image that failed.")
    detail: str | None
    method: str | None = Field(description="What was done: the method of the repair.")
    source_sha256: str | None
    sha256: str | None = Field(description="SHA-256 of the result's file.")
    bytes: int | None = Field(description="Size of the result's file.")
    width: int | None
    height: int | None

    @classmethod
    def of(cls, image: records.Image, file: str | None, size: int | None) -> Self:
        """The line of an image whose result, of this size, is ``file`` in the ZIP."""
        current = image.current
        hashes = current.record.sha256 or FileHashes()
        return cls(
            file=file,
            destination_url=current.destination_url,
            path=image.path,
            name=image.name,
            custom_id=image.custom_id,
            metadata=image.metadata,
            image_id=image.id,
            redo_of=image.redo_of,
            replaced_by=None if image.replacement is None else image.replacement.id,
            review=image.review,
            state=current.state,
            code=current.error_code,
            detail=current.error_detail,
            method=current.record.method,
            source_sha256=hashes.source,
            sha256=hashes.result,
            bytes=size,
            width=current.width,
            height=current.height,
        )


class ErrorLine(Answer):
    """One line of a job's errors."""

    custom_id: str | None
    metadata: dict[str, str]
    name: str
    path: str | None
    image_id: str
    position: int
    error: ImageError

    @classmethod
    def of(cls, image: records.Image) -> Self:
        """The answer of the ledger's record."""
        return cls(
            custom_id=image.custom_id,
            metadata=image.metadata,
            name=image.name,
            path=image.path,
            image_id=image.id,
            position=image.position,
            error=ImageError(code=image.error_code or "", detail=image.error_detail or ""),
        )


class SkippedLine(Answer):
    """A row of a job's manifest that was left out."""

    custom_id: str | None
    line: int = Field(description="The row's line in the manifest, or the key's number in the listing, from 1.")
    code: str | None = Field(description="Why, as a code; null in jobs of earlier versions.", examples=["mask_missing"])
    detail: str

    @classmethod
    def of(cls, row: records.SkippedRow) -> Self:
        """The answer of the ledger's record."""
        return cls(custom_id=row.custom_id, line=row.line, code=row.code, detail=row.detail)


class Reviewed(Answer):
    """Images whose judgement was written."""

    changed: int


class ImagePage(Answer):
    """A part of a job's images, in the job's order."""

    data: list[Image]
    next_cursor: str | None = Field(description="The cursor of the next part; null at the end.")

"""Requests about uploads: files to send, and parts that were sent."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from api.requests.fields import ContentType, FileName, FilePart, Request


class NewUpload(Request):
    """A file to be sent."""

    filename: FileName = Field(description="The file's name; folders of a path are dropped.", examples=["shirt-01.jpg"])
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
    method: Literal["put", "post", "multipart"] = Field(
        default="put",
        description=(
            "How the file is sent. `put`: its bytes as the body. `post`: a form, as browsers send it. `multipart`: "
            "a large file in parts of some megabytes, each of which may be sent again; it needs the `size`."
        ),
    )

    @model_validator(mode="after")
    def _parts_need_the_size(self) -> Self:
        if self.method == "multipart" and self.size is None:
            raise ValueError("a file that is sent in parts needs its size")
        return self


class NewUploads(Request):
    """Files to be sent to the object store."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "files": [
                    {"filename": "shirt-01.jpg", "content_type": "image/jpeg"},
                    {"filename": "wall.tif", "content_type": "image/tiff", "size": 12_582_912, "method": "multipart"},
                ]
            }
        }
    )

    files: list[NewUpload] = Field(min_length=1, max_length=1000, description="1 to 1000 files.")


PartNumber = Annotated[int, Field(ge=1, le=10_000, description="The part's number, from 1.")]


class WantedParts(Request):
    """Parts that need new links."""

    model_config = ConfigDict(json_schema_extra={"example": {"numbers": [1, 2]}})

    numbers: list[PartNumber] = Field(min_length=1, max_length=10_000, description="The parts' numbers, from 1.")


class SentPart(Request):
    """A part that was sent."""

    number: PartNumber
    etag: str = Field(
        pattern=r'^"?[A-Za-z0-9-]{1,128}"?$',
        description="The header `ETag` of the answer to the part.",
        examples=['"9bb58f26192e4ba00f01e2e7b136bbd8"'],
    )


class SentParts(Request):
    """All parts of a file."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "parts": [
                    {"number": 1, "etag": '"9bb58f26192e4ba00f01e2e7b136bbd8"'},
                    {"number": 2, "etag": '"0f343b0931126a20f133d67c2b018a3b"'},
                ]
            }
        }
    )

    parts: list[SentPart] = Field(min_length=1, max_length=10_000, description="Every part once, in any order.")


class FileForm(Request):
    """The form by which a link takes a file."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"key": "t/tnt_1/uploads/upl_1", "Content-Type": "image/jpeg", "file": "@shirt-01.jpg"}
        }
    )

    key: str = Field(description="The value that came with the link.")
    content_type: str = Field(alias="Content-Type", description="The value that came with the link.")
    file: FilePart = Field(description="The file; the last field of the form.")

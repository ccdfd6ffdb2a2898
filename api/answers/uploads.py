"""Links of uploads, and files that arrived."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.answers.base import Answer
from api.example_ids import UPLOAD_ID


class UploadPart(Answer):
    """The link of one part of a file, for `PUT`; the completion needs the `ETag` of the answer."""

    number: int = Field(description="The part's number, from 1.")
    size: int = Field(description="The exact number of bytes of this part, which follow the previous part.")
    url: str = Field(description="The signed address for the part.")
    headers: dict[str, str] = Field(description="Headers of the request.", examples=[{"Content-Length": "8388608"}])
    expires_at: datetime = Field(description="The time at which the address expires.")


class UploadParts(Answer):
    """Links of parts, in the order of the request."""

    parts: list[UploadPart]


class Upload(Answer):
    """The request that sends one file: make exactly this one, with the file as its body."""

    id: str = Field(description="The upload's id; jobs name the file by it.", examples=[UPLOAD_ID])
    filename: str = Field(description="The file's name, without folders.", examples=["shirt-01.jpg"])
    method: str = Field(description="The method to use.", examples=["PUT"])
    url: str | None = Field(
        description="The signed address for the bytes; everybody who has it can send. Null where there are `parts`."
    )
    headers: dict[str, str] = Field(description="Headers of the request.", examples=[{"Content-Type": "image/jpeg"}])
    fields: dict[str, str] = Field(
        description="With `POST`: the form's fields; the field `file` with the bytes comes last."
    )
    parts: list[UploadPart] = Field(
        description="With `multipart`: a link for each part; then `POST /v1/uploads/{upload_id}/complete`."
    )
    expires_at: datetime = Field(description="The time at which the address expires.")


class Uploads(Answer):
    """The files' links, in the order of the request."""

    uploads: list[Upload]


class StoredUpload(Answer):
    """A file that arrived completely."""

    id: str = Field(description="The upload's id; jobs name the file by it.", examples=[UPLOAD_ID])
    filename: str = Field(description="The file's name, without folders.", examples=["wall.tif"])
    content_type: str = Field(examples=["image/tiff"])
    size: int = Field(description="Bytes.", examples=[12_582_912])
    expires_at: datetime = Field(description="The time of its deletion, unless a job names it.")

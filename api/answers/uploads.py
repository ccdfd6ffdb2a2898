"""Where files are to be sent."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.answers.base import Answer
from api.example_ids import UPLOAD_ID


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

    id: str = Field(description="Names the file when the job is submitted.", examples=[UPLOAD_ID])
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

    id: str = Field(description="Names the file when the job is submitted.", examples=[UPLOAD_ID])
    filename: str = Field(description="The name as it is kept.", examples=["wall.tif"])
    content_type: str = Field(examples=["image/tiff"])
    size: int = Field(description="Bytes.", examples=[12_582_912])
    expires_at: datetime = Field(description="When it is dropped, unless a job names it.")

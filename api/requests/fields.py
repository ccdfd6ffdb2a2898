"""Fields that many requests share: ids, names, addresses, pages of lists."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from api.filenames import clean_filename, clean_path

FileName = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(clean_filename)]
FilePath = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(clean_path)]
ContentType = Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9][a-z0-9.+-]*$", max_length=100)]
#: :mod:`storage.blobs.buckets` decides whether the service may connect to it.
Url = Annotated[str, Field(min_length=1, max_length=2000)]
#: A part of a form that is a file.
FilePart = Annotated[str, Field(json_schema_extra={"format": "binary"})]
#: One line for people: printable, not blank.
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]


Label = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f,]*$")
]
Labels = Annotated[list[Label], Field(max_length=16), AfterValidator(lambda labels: list(dict.fromkeys(labels)))]
MetadataKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
MetadataValue = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)]
#: SHA-256 in hexadecimal digits.
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Request(BaseModel):
    """The base of all requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(Request):
    """The part of a list to read."""

    limit: int = Field(default=100, ge=1, le=1000, description="Entries in the answer, at most.")
    cursor: str | None = Field(
        default=None, max_length=200, description="`next_cursor` of the previous answer. Missing: the first part."
    )


class WaitQuery(Request):
    """How long to wait for a change."""

    wait: int = Field(
        default=0,
        ge=0,
        le=60,
        description="Seconds to wait until the job differs from its state in `If-None-Match`, or from its state now.",
    )

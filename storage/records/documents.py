"""Documents that workers leave in the ledger: what they did with an image, and what they found in a job's pictures."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Hashes(BaseModel):
    """SHA-256 of what an attempt read and wrote, in hexadecimal digits."""

    model_config = ConfigDict(extra="allow", frozen=True)

    source: str | None = None
    result: str | None = None


class ImageRecord(BaseModel):
    """The part of an image's record that the service itself reads.

    The rest is free: the methods of ``model`` add what they have to tell, and clients get the whole document.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    sha256: Hashes = Hashes()
    method: str | None = None
    #: The first template whose mark was taken off.
    template: str | None = None
    #: Name of the process.
    worker: str = ""
    #: By stage.
    seconds: dict[str, float] = {}
    #: Width and height of the stored preview; ``None``: there is none.
    preview: dict[str, int] | None = None


class ReviewError(BaseModel):
    """Why no mark was found in a job's pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str
    detail: str
    #: How many more pictures are needed, where that is the cause.
    needed: int | None = None


class Review(BaseModel):
    """What was found in the pictures of a job whose mark is estimated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Ids of the templates found, the commonest mark first.
    templates: list[str]
    error: ReviewError | None = None

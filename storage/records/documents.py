"""Documents that workers write into the ledger: the record of an image, and the review of a job's pictures."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

#: Stages of an image in which a device works on it.
DEVICE_STAGES = ("network", "unblend")


class Hashes(BaseModel):
    """SHA-256 of the files that an attempt read and wrote, in hexadecimal digits."""

    model_config = ConfigDict(extra="allow", frozen=True)

    source: str | None = None
    result: str | None = None


class ImageRecord(BaseModel):
    """The part of an image's record that the service itself reads.

    The other fields are free: the methods of ``model`` add theirs, and clients get the whole document.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    sha256: Hashes = Hashes()
    method: str | None = None
    #: The first template whose mark was removed.
    template: str | None = None
    #: Name of the process.
    worker: str = ""
    #: By stage.
    seconds: dict[str, float] = {}
    #: Of the result's file.
    bytes: int = 0
    #: Width and height of the stored preview; ``None``: there is none.
    preview: dict[str, int] | None = None

    @property
    def device_ms(self) -> int:
        """Milliseconds in which the device worked on the image."""
        return round(1000 * sum(self.seconds.get(stage, 0.0) for stage in DEVICE_STAGES))


class ReviewError(BaseModel):
    """The reason why no mark was found in a job's pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str
    detail: str
    #: Number of missing pictures, where that is the cause.
    needed: int | None = None


class Review(BaseModel):
    """The templates found in the pictures of a job with an estimated mark, or the reason for none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Ids of the found templates, the most frequent mark first.
    templates: list[str]
    error: ReviewError | None = None

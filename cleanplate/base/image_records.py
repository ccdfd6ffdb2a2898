"""The record of an image's repair. A worker writes it, the ledger keeps it, the API and the client read it.

Every field may be missing: it has no meaning for this image, or an earlier version wrote the record.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from cleanplate.base.documents import Report


class FileHashes(Report):
    """SHA-256 of the files that an attempt read and wrote, in hexadecimal digits."""

    source: str | None = None
    mask: str | None = Field(default=None, description="Of the mask's file.")
    result: str | None = None


class PreviewSize(Report):
    """The size of each half of the preview."""

    width: int | None = Field(default=None, description="Pixels.")
    height: int | None = None


class ExtensionChange(BaseModel):
    """A file name's ending that belongs to another format, and the ending of the result."""

    model_config = ConfigDict(extra="ignore", frozen=True, serialize_by_alias=True)

    source: str = Field(alias="from", examples=[".png"])
    to: str = Field(examples=[".webp"])

    @classmethod
    def of(cls, source: str, to: str) -> Self:
        """The change between two endings, each with its dot."""
        return cls(**{"from": source, "to": to})


class ExtensionKept(Report):
    """A file name's ending that was kept although it belongs to another format."""

    name: str | None = Field(default=None, description="The ending of the name.", examples=[".png"])
    format: str | None = Field(default=None, description="The usual ending of the result's format.", examples=[".webp"])


class ImageRecord(Report):
    """The worker's report on an image: method, device, file and marks."""

    method: str | None = Field(default=None, description="The method in words.")
    worker: str | None = Field(default=None, description="Name of the process.")
    device: str | None = Field(default=None, description="The network's device.", examples=["cuda:0"])
    precision: str | None = Field(default=None, description="The network's numbers.", examples=["fp16"])
    device_notes: list[str] | None = Field(
        default=None, description="Deviations of the network on this device, in sentences."
    )
    sha256: FileHashes | None = Field(default=None, description="SHA-256 of the files, in hexadecimal digits.")
    seconds: dict[str, float] | None = Field(
        default=None, description="Seconds by stage.", examples=[{"decode": 0.02, "network": 0.012}]
    )
    bytes: int | None = Field(default=None, description="Of the result's file.")
    preview: PreviewSize | None = Field(default=None, description="The stored preview; missing: there is none.")
    extension_changed: ExtensionChange | None = Field(
        default=None, description="The result's ending differs from that of the image's name."
    )
    extension_kept: ExtensionKept | None = Field(
        default=None, description="The name kept its ending, as the job asked, although the format has another."
    )
    format: str | None = Field(default=None, description="The result's format.", examples=["JPEG"])
    written: str | None = Field(
        default=None,
        description="How the file was written: `spliced`, `lossless`, `recoded`, `converted`; `mask`: it is the mask.",
        examples=["spliced"],
    )
    reason: str | None = Field(
        default=None,
        description="Sentences about the file's repair; `text_not_found`, `mark_not_found`: why it was skipped.",
    )
    outside_db: float | None = Field(
        default=None,
        description="Similarity to the source outside the mask (PSNR, dB), as read back; missing: equal there.",
        examples=[46.3],
    )
    size_ratio: float | None = Field(
        default=None, description="Size of a file that was coded again over that of its source.", examples=[1.2]
    )
    left_out: list[str] | None = Field(default=None, description="Parts of the source that the result lacks.")
    alpha: str | None = Field(
        default=None, description="Transparency under the mark: `repaired` or `kept`.", examples=["repaired"]
    )
    c2pa: bool | None = Field(default=None, description="Whether the source has a C2PA manifest.")
    frames: int | None = Field(default=None, description="Number of frames or pages, where there are several.")
    regions: int | None = Field(default=None, description="Number of separate regions that were repaired.")
    tiles: int | None = Field(default=None, description="Number of tiles.")
    dilation_px: int | None = Field(default=None, description="Pixels by which the mask was widened.")
    feather_px: int | None = Field(default=None, description="Pixels over which the repair fades in.")
    masked_share: float | None = Field(default=None, description="Share of the picture that was repaired, 0 to 1.")
    recovered: float | None = Field(
        default=None,
        description="Share of the mask's area that was recovered from under a translucent mark, 0 to 1; the rest was "
        "invented. Missing: all was.",
    )
    opacity: list[float] | None = Field(default=None, description="Of the translucent marks that were removed, 0 to 1.")
    learned_from: int | None = Field(
        default=None,
        description="Number of the job's pictures from which the mark under the mask was learned. Missing: this "
        "picture alone told it, or all was filled.",
    )
    textured: float | None = Field(
        default=None,
        description="Share of the repaired area that has texture copied from the picture, 0 to 1. Missing: none.",
    )
    template: str | None = Field(default=None, description="The first template whose mark was removed.")
    templates: list[str] | None = Field(default=None, description="The templates whose marks were looked for.")
    marks: int | None = Field(default=None, description="Number of marks that were removed.")
    methods: list[str] | None = Field(
        default=None, description="How marks were removed: `unblended`, `fused` or `inpainted`."
    )
    ghost: float | None = Field(
        default=None, description="The strongest visible correlation of a cleaned place with its mark; 0 is clean."
    )
    strength: list[float] | None = Field(default=None, description="Of each mark, relative to its template.")
    shift: list[tuple[int, int]] | None = Field(
        default=None, description="Of each mark: its distance from the template's place, in pixels."
    )
    certainty: list[float] | None = Field(
        default=None, description="With `result: mask`, of each mark: how sure it is that it is there, 0 to 1."
    )
    residual_mark: bool | None = Field(default=None, description="Whether a mark still shows.")
    texts: list[str] | None = Field(default=None, description="Texts that were taken off, at most 20.")
    doubts: list[str] | None = Field(
        default=None,
        description="Reasons to look at the result of a text mark: `hole_large`, `over_detail`.",
    )
    texts_seen: int | None = Field(default=None, description="Number of lines of text that were seen.")

"""The facts of a repair that a file's record names."""

from __future__ import annotations

from typing import TypedDict


class RepairRecord(TypedDict, total=False):
    """The facts of a repaired file; one that has no meaning for it is missing."""

    #: The result's format: ``JPEG``.
    format: str
    #: ``spliced``, ``lossless``, ``recoded`` or ``converted``.
    written: str
    #: Sentences about what could not be kept.
    reason: str
    #: Similarity to the source outside the mask in dB, as read back; missing where they are equal.
    outside_db: float
    #: Size of a file that was coded again over that of its source.
    size_ratio: float
    #: Parts of the source that the result lacks.
    left_out: list[str]
    #: Transparency under the mark: ``repaired`` or ``kept``.
    alpha: str
    #: Whether the source has a C2PA manifest.
    c2pa: bool
    #: Number of frames or pages, where there are several.
    frames: int
    regions: int
    tiles: int
    dilation_px: int
    feather_px: int
    #: Share of the picture that was repaired, 0 to 1.
    masked_share: float


class MarksRecord(RepairRecord, total=False):
    """The facts of a file from which known marks were removed."""

    marks: int
    #: Values of :class:`model.watermark.remove.Method`.
    methods: list[str]
    #: The strongest visible correlation of a cleaned place with its mark; 0 is clean.
    ghost: float
    #: Of each mark, relative to its template, and its distance from the template's place in px.
    strength: list[float]
    shift: list[tuple[int, int]]
    #: Whether a mark still shows.
    residual_mark: bool


class RecoveryRecord(TypedDict, total=False):
    """Where the repaired pixels come from; empty where the network filled all."""

    #: Share of the mask's area that comes from the picture, 0 to 1; the rest was invented.
    recovered: float
    #: Of the marks, 0 to 1, each value once.
    opacity: list[float]
    #: Number of the job's pictures from which the mark was learned; missing where this picture alone told it.
    learned_from: int
    #: Share of the hole that has texture copied from the picture, 0 to 1.
    textured: float

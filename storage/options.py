"""What a tenant may choose for a job: the API validates with it, the ledger keeps it, workers read it back.

A field that is ``None`` leaves the choice to the picture.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class JobOptions(BaseModel):
    """Options shared by all images of a job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dilation_px: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="How far the mask is widened before the repair, in pixels. Empty: 3 to 5, by the picture's size.",
    )
    feather_px: int | None = Field(
        default=None,
        ge=0,
        le=32,
        description="Over how many pixels the repair fades into the picture at the widened mask's edge. Empty: 2.",
    )
    mask_inverted: bool = Field(
        default=False, description="Whether the mask is black, not white, where the picture is to be repaired."
    )
    output: Literal["jpeg", "png", "webp", "avif", "tiff"] | None = Field(
        default=None, description="Format of the results. Empty: each picture's own."
    )
    label: bool = Field(
        default=False,
        description=(
            "Whether results say how they were made: the IPTC digital source type "
            "compositeWithTrainedAlgorithmicMedia, and a line in the XMP history with job, method and software."
        ),
    )

"""How images are repaired: the options of a job, and those of one of its images.

An option that is ``None`` is chosen by the picture itself. An image's options win over its job's, field by field.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cleanplate.base.documents import Document


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    dilation_px: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description=(
            "Pixels by which the mask is widened before the repair. Null: 0 to 8, as far as the mark shows around each "
            "part of the mask."
        ),
    )
    feather_px: int | None = Field(
        default=None,
        ge=0,
        le=32,
        description=(
            "Pixels over which the repair fades into the picture at the widened mask's edge. Null: 2 where "
            "`dilation_px` is given, else 0."
        ),
    )
    method: Literal["auto", "recover", "fill"] = Field(
        default="auto",
        description=(
            "How painted and text marks are repaired. `auto`: the picture under a translucent mark is recovered where "
            "the evidence is sure, the rest is filled. `recover`: also where it is not sure. `fill`: all is filled. "
            "The record's `recovered` is the share of the mask that was recovered."
        ),
    )
    texture: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description=(
            "How much of the picture's own fine detail is copied into the fill of painted and text marks; 0: none. "
            "Null: 1. The record's `textured` is the share of the repaired area that has some."
        ),
    )
    result: Literal["picture", "mask"] = Field(
        default="picture",
        description=(
            "What comes back. `picture`: the repaired one. `mask`: a PNG of the picture's size, white where its mark "
            "was found, and nothing is repaired: to look at, or to change before a repair."
        ),
    )
    mask_inverted: bool = Field(
        default=False, description="Whether the mask is black, not white, where the picture is to be repaired."
    )
    mask_threshold: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description=(
            "The least value of a mask's file that marks, in the file's own depth; 1: all that is not zero. Null: the "
            "upper half marks, and softer paint is blended by its strength."
        ),
    )
    max_marked_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description=(
            "The largest share of a picture that its mask may mark before the picture fails with "
            "`mask_covers_nearly_all`. Null: 0.9; 1: no limit."
        ),
    )
    output: Literal["jpeg", "png", "webp", "avif", "tiff"] | None = Field(
        default=None, description="Format of the results. Null: the format of each picture."
    )
    keep_extension: bool = Field(
        default=False,
        description=(
            "Whether a result keeps the ending of its picture's name, so that links to it go on to work, even where "
            "its format has another; the record then has `extension_kept`, else `extension_changed`."
        ),
    )
    label: bool = Field(
        default=False,
        description=(
            "Whether results say how they were made: the IPTC digital source type "
            "compositeWithTrainedAlgorithmicMedia, and a line in the XMP history with job, method and software."
        ),
    )
    model: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$",
        description="The network that fills the hole, one that the service offers. Null: the service's default.",
        examples=["fourier-unet"],
    )
    residual_mark: Literal["fail", "flag"] = Field(
        default="fail",
        description=(
            "With templates: what happens to a picture that still shows the mark after the repair. `fail`: it fails "
            "with `residual_mark`. `flag`: it succeeds with `residual_mark` in its record."
        ),
    )
    ffc_lambda: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Weight of the network's spectral paths: 1 as trained, 0 local only. Null: as trained.",
    )


class JobOptions(_Options):
    """How to repair all images of a job."""

    def with_image(self, image: ImageOptions | None) -> JobOptions:
        """The options of an image: the job's, and over them the fields that the image names."""
        own = {} if image is None else {name: getattr(image, name) for name in image.model_fields_set}
        return self.model_copy(update=own)


class ImageOptions(_Options, Document):
    """How to repair one image: the named fields win over the job's."""

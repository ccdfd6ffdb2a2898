"""What a tenant may choose for a job or an image: the API validates with it, the ledger keeps it, workers read it back.

A field that is ``None`` leaves the choice to the picture. What an image chooses wins over what its job does, field by
field for options (:func:`merged`); a mask is the image's or the job's as a whole.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator


def _with_letters(text: str) -> str:
    if sum(letter.isalnum() for letter in text) < 2:
        raise ValueError("needs two letters or digits at least, to be found by them")
    return text


Anchor = Literal["top_left", "top", "top_right", "left", "center", "right", "bottom_left", "bottom", "bottom_right"]
Scale = Literal["none", "width", "height", "shorter", "longer"]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Extent = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=65_535)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
#: Left, top, width and height, as shares of a picture.
AreaBox = tuple[Share, Share, Annotated[Share, Field(gt=0)], Annotated[Share, Field(gt=0)]]
#: What a mark says: something to read in it, printable.
Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=2, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
    AfterValidator(_with_letters),
]


class JobOptions(BaseModel):
    """How to work: for all images of a job, or for one of them."""

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
    model: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$",
        description="Which network fills the hole, of those that the service offers. Empty: the service's own choice.",
        examples=["fourier-unet"],
    )
    residual_mark: Literal["fail", "flag"] = Field(
        default="fail",
        description=(
            "With templates: what becomes of a picture in which the mark can still be seen after all: it fails with "
            "`residual_mark`, or it is handed out with `residual_mark` in its record."
        ),
    )
    ffc_lambda: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Weight of the network's spectral paths: 1 as trained, 0 local only. Empty: as trained.",
    )


def merged(job: dict[str, Any], image: dict[str, Any] | None) -> dict[str, Any]:
    """What holds for an image: its job's options as they are kept, and over them the fields it was given itself."""
    return {**job, **(image or {})}


class Approval(BaseModel):
    """When a mark that was found in pictures may be used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approve: Literal["person", "auto"] = Field(
        default="person",
        description="Who says that what was found is the mark: a `person` who looks at it, or `auto`: its confidence.",
    )
    min_confidence: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="With `auto`: the least confidence of every mark found; below it a person is asked all the same.",
    )
    force: bool = Field(
        default=False, description="Whether to go on with a warning where there are too few pictures to be sure."
    )

    def passes(self, confidences: list[float]) -> bool:
        """Whether marks that were found with these confidences need no person."""
        return self.approve == "auto" and min(confidences, default=0.0) >= self.min_confidence


class TextMark(BaseModel):
    """Which text on a picture is the mark, with ``mode: text``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    texts: list[Words] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description=(
            "With `mode: text`: what the mark says, any of them. A line that says it, whole or within more, or lines "
            "that make it up, are taken off; case, accents and blanks do not matter, a letter in four may be misread."
        ),
        examples=[["© Doe Shirts"]],
    )
    areas: list[Anchor | AreaBox] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description=(
            "With `mode: text`: where the middle of the mark's lines lies, any of them: left, top, width and height "
            "as shares of the picture's, 0 to 1; or by name: a corner is half as wide and a third as tall as the "
            "picture, a side is a third of it all along, `center` the middle third of both."
        ),
        examples=[["bottom_right", [0.25, 0.4, 0.5, 0.2]]],
    )
    any_text: bool = Field(
        default=False,
        description="With `mode: text`, instead of both: every line is taken off, print on the goods as well.",
    )

    def check_text(self) -> None:
        """Raises ValueError: it is not said which text is the mark."""
        if self.any_text == bool(self.texts or self.areas):
            raise ValueError(
                "mode: text needs texts, areas or both, so that print on the goods stays; or any_text alone, for all"
            )

    def kept_text(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        said = self.model_dump(mode="json", exclude_defaults=True, include=set(TextMark.model_fields))
        return {"mode": "text", **said}


class LogoPlace(BaseModel):
    """Where a logo was laid on the pictures, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    anchor: Anchor = Field(default="bottom_right", description="From where its distance is counted.")
    margin_x: Annotated[float, Field(ge=0, le=65_535, allow_inf_nan=False)] = Field(
        default=0, description="Pixels between the picture's edge and the logo; from the centre: to the right."
    )
    margin_y: Annotated[float, Field(ge=0, le=65_535, allow_inf_nan=False)] = Field(
        default=0, description="The same from above or below; from the centre: down."
    )
    opacity: float = Field(
        default=1, gt=0, le=1, description="How opaque it was laid: multiplies the file's own alpha."
    )
    scale: Literal["none", "width"] = Field(
        default="none", description="Whether it grows with the pictures' `width`, or has its size in every picture."
    )
    reference_width: Side | None = Field(
        default=None, description="With `scale: width`: width of the pictures on which it has its file's size."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.scale == "width") != (self.reference_width is not None):
            raise ValueError("scale: width and reference_width belong together")
        return self


class MaskPlace(BaseModel):
    """Which part of a picture is repaired, where it is not said by a mask's file alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    boxes: list[tuple[Coordinate, Coordinate, Extent, Extent]] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Instead of a file: rectangles, each as left, top, width and height.",
        examples=[[[0.72, 0.9, 0.25, 0.07]]],
    )
    units: Literal["px", "relative"] = Field(
        default="px",
        description="Of `boxes`: pixels, or `relative`: shares of the picture's width and height, 0 to 1.",
    )
    size: tuple[Side, Side] | None = Field(
        default=None,
        description=(
            "Width and height of the picture in which `boxes` were measured, in pixels. Empty: each picture's own."
        ),
    )
    anchor: Anchor | None = Field(
        default=None,
        description=(
            "To which corner, side or centre of the picture the mark keeps its distance, where pictures differ in "
            "shape. The mask's file (or `size`) is that of any one picture with the mark. Empty: the mask has each "
            "picture's size or shape."
        ),
    )
    scale: Scale = Field(
        default="none",
        description=(
            "With `anchor`: how the mark grows with the picture: not at all, with its `width`, `height`, `shorter` "
            "or `longer` side."
        ),
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.boxes is None and (self.units != "px" or self.size is not None):
            raise ValueError("units and size say how boxes are measured, and there are none")
        if self.units == "relative" and (self.size is not None or self.anchor is not None):
            raise ValueError("relative boxes fit every picture: give neither size nor anchor")
        if self.boxes is not None and self.anchor is not None and self.size is None:
            raise ValueError("boxes with an anchor need the size of the picture in which they were measured")
        if self.anchor is None and self.scale != "none":
            raise ValueError("scale needs an anchor")
        return self

    def kept(self) -> dict[str, Any]:
        """As the ledger keeps it: what was said, and no defaults."""
        return self.model_dump(mode="json", exclude_defaults=True, include=set(MaskPlace.model_fields))

"""Facts of a template that a worker has made. The ledger keeps them, the API and the client read them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from cleanplate.base.documents import Report
from cleanplate.base.masks import Placement

#: To the right and down, in pixels.
Vector = tuple[float, float]


class TemplateProgress(BaseModel):
    """The progress of a template's making."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    stage: str = Field(examples=["outline"])
    done: int
    total: int


class TemplateWarning(BaseModel):
    """Something that the reviewer of a template should know."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    code: str = Field(
        description="Stable: `samples_too_few`, `template_unproven`, `mark_of_goods`, `mark_doubtful`, "
        "`mark_scattered`, `mark_not_everywhere`, `end_unseen`, `samples_unreadable`. Empty for templates that were "
        "made before there were codes.",
        examples=["mark_not_everywhere"],
    )
    params: dict[str, str | int] = Field(
        description="Figures and names that belong to the code.", examples=[{"tested": 12, "found": 12, "clean": 11}]
    )
    detail: str = Field(description="The same as an English sentence.")


class TemplateQuality(Report):
    """How well an estimated template is known."""

    samples: int | None = Field(default=None, description="Number of pictures in the estimate.")
    without: int | None = Field(default=None, description="Number of further pictures without the mark.")
    informative: float | None = Field(
        default=None, description="Number of samples that inform about a pixel of the mark; the median."
    )
    error: float | None = Field(default=None, description="Standard error of the opacity; the median over the mark.")
    opacity: float | None = Field(default=None, description="Median opacity of the mark, 0 to 1.")
    z: float | None = Field(default=None, description="Deviation of the shared gradients above chance.")
    margin: float | None = Field(
        default=None, description="Score of the place's rule over the runner-up's; 0 with a single candidate."
    )
    ghost: float | None = Field(default=None, description="Visible rest of the mark in the samples; 0 is clean.")
    strength_spread: float | None = Field(default=None, description="Spread of the mark's strength over the samples.")
    jitter_px: float | None = Field(default=None, description="Spread of the mark's place, in pixels.")
    tested: int | None = Field(default=None, description="Number of samples from which the mark was removed as a test.")
    found: int | None = Field(default=None, description="Number of these in which the mark was found again.")
    clean: int | None = Field(default=None, description="Number of these in which it no longer shows afterwards.")


class MarkLattice(Report):
    """The two periods of a mark that is repeated over the whole picture."""

    first: Vector
    second: Vector


class MarkPlace(Report):
    """The place of a mark with opacity and colour, and its size."""

    anchor: str = Field(
        description="The point of the picture from which the mark's distance counts.", examples=["bottom-right"]
    )
    scale: str = Field(
        description="`pixels`: one size in every picture; `width`, `height`, `shorter`, `longer`: it grows with that "
        "side.",
        examples=["pixels"],
    )
    down: float = Field(description="The mark's top, from the anchor, in pixels of the reference.")
    across: float = Field(description="The mark's left edge, likewise.")
    reference_width: int = Field(description="Width of the pictures in which the mark has its size.")
    reference_height: int | None = Field(default=None, description="Their height, where `scale` needs it.")
    lattice: MarkLattice | None = Field(
        default=None, description="The periods of a repeated mark; missing: the mark stands once."
    )
    shares: tuple[float, float] | None = Field(
        default=None,
        description="Shares of the height and width to count from instead of the anchor: margins in per cent.",
    )
    margin: tuple[float, float] | None = Field(
        default=None, description="Further distance from there, down and across, in pixels that do not scale."
    )
    also: tuple[str, ...] | None = Field(
        default=None, description="Other anchors at which the mark lies with the same margins in some pictures."
    )
    anywhere: bool | None = Field(
        default=None, description="Whether the mark lies anywhere: the place is only the most frequent one."
    )
    width: int | None = Field(default=None, description="Width of the mark, in pixels.")
    height: int | None = None


#: The place of a mark: of a mask's file as it was sent, else as a rule.
TemplatePlace = MarkPlace | Placement


class ReviewError(BaseModel):
    """The reason why no mark was found in a job's pictures."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    code: str = Field(examples=["samples_too_few"])
    detail: str
    needed: int | None = Field(default=None, description="With `samples_too_few`: how many more pictures would do.")


class Review(BaseModel):
    """The marks that were found in the pictures of a job that waits for its mark."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    templates: list[str] = Field(
        description="The templates found, the most frequent mark first.",
        examples=[["tpl_019aab5c2f707d0e8c3b5a4f6e2d1c90"]],
    )
    error: ReviewError | None = Field(default=None, description="The reason why none was found; null where some were.")

"""Masks: which part of a picture is repaired. Requests, the ledger, workers, answers and the client share these types.

A mask has one JSON form: as it is sent, so it is kept and answered. Its fields tell its kind: a file has an
``upload_id``, rectangles have ``boxes``, known marks have ``template`` or ``templates``, and ``mode`` is ``text`` or
``auto``. :data:`ImageMask` holds the kinds of a single image, :data:`JobMask` those of a job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    model_validator,
)

from cleanplate.base.documents import Document, Id

Anchor = Literal["top_left", "top", "top_right", "left", "center", "right", "bottom_left", "bottom", "bottom_right"]
Scale = Literal["none", "width", "height", "shorter", "longer"]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Extent = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=65_535)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
#: Left, top, width and height, as shares of a picture.
AreaBox = tuple[Share, Share, Annotated[Share, Field(gt=0)], Annotated[Share, Field(gt=0)]]
#: A part of a picture, by name or as a box.
Area = Annotated[
    Annotated[Anchor, Tag("<name>")] | Annotated[AreaBox, Tag("<box>")],
    Discriminator(lambda area: "<name>" if isinstance(area, str) else "<box>"),
]


def _with_letters(text: str) -> str:
    if sum(letter.isalnum() for letter in text) < 2:
        raise ValueError("needs at least two letters or digits")
    return text


#: The text of a mark, printable.
Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=2, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
    AfterValidator(_with_letters),
]


class _Placed(Document):
    anchor: Anchor | None = Field(
        default=None,
        description=(
            "The corner, side or centre of the picture to which the mark keeps its distance, where pictures differ in "
            "shape. The mask's file (or `size`) is that of any one picture with the mark. Missing: the mask has each "
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
    def _scale_needs_an_anchor(self) -> Self:
        if self.anchor is None and self.scale != "none":
            raise ValueError("scale needs an anchor")
        return self

    @property
    def placement(self) -> Placement:
        """The fields of the placement alone."""
        named = {name: getattr(self, name) for name in self.model_fields_set if name in Placement.model_fields}
        return Placement(**named)


class Placement(_Placed):
    """How a mask's file is laid on pictures of other sizes and shapes."""


class _Mask(Document):
    @property
    def template_ids(self) -> tuple[str, ...]:
        """The templates whose marks are removed, each once; empty where the mask names none."""
        return ()


class FileMask(_Placed, _Mask):
    """A mask's file: a picture, or JSON shapes."""

    upload_id: Id = Field(description="The file's upload.", examples=["upl_019aab5c2f6f7c21a4b1d0e9f8a7c652"])


class BoxesMask(_Placed, _Mask):
    """Rectangles."""

    boxes: list[tuple[Coordinate, Coordinate, Extent, Extent]] = Field(
        min_length=1,
        max_length=100,
        description="The rectangles, each as left, top, width and height.",
        examples=[[[0.72, 0.9, 0.25, 0.07]]],
    )
    units: Literal["px", "relative"] = Field(
        default="px",
        description="Of `boxes`: pixels, or `relative`: shares of the picture's width and height, 0 to 1.",
    )
    size: tuple[Side, Side] | None = Field(
        default=None,
        description=(
            "Width and height of the picture in which `boxes` were measured, in pixels. Missing: each picture's own."
        ),
    )

    @model_validator(mode="after")
    def _units_and_size_agree(self) -> Self:
        if self.units == "relative" and (self.size is not None or self.anchor is not None):
            raise ValueError("relative boxes fit every picture: give neither size nor anchor")
        if self.anchor is not None and self.size is None:
            raise ValueError("boxes with an anchor need the size of the picture in which they were measured")
        return self


class TemplateMask(_Mask):
    """A mark that is known by its template."""

    template: Id = Field(description="The template.", examples=["tpl_019aab5c2f707d0e8c3b5a4f6e2d1c90"])

    @property
    def template_ids(self) -> tuple[str, ...]:
        return (self.template,)


class TemplatesMask(_Mask):
    """Several marks that are known by their templates."""

    templates: list[Id] = Field(
        min_length=1,
        max_length=8,
        description="The templates, in the order in which their marks are removed.",
        examples=[["tpl_019aab5c2f707d0e8c3b5a4f6e2d1c90"]],
    )

    @property
    def template_ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.templates))


class TextMask(_Mask):
    """Text that is found in each picture by itself; a picture without it is `skipped`."""

    mode: Literal["text"] = Field(description="Text in the picture.")
    texts: list[Words] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description=(
            "What the mark says, any of them. A line with the text in it, or several lines that make it up, are taken "
            "off; case, accents and blanks do not matter, and one letter in four may be misread."
        ),
        examples=[["© Doe Shirts"]],
    )
    areas: list[Area] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description=(
            "Where the middle of the mark's lines lies, any of them. Either left, top, width and height as shares of "
            "the picture, 0 to 1; or a name: a corner is half as wide and a third as tall as the picture, a side is "
            "a third of it over its whole length, `center` is the middle third of both."
        ),
        examples=[["bottom_right", [0.25, 0.4, 0.5, 0.2]]],
    )
    any_text: bool = Field(
        default=False, description="Instead of both: every line is taken off, print on the goods as well."
    )

    @model_validator(mode="after")
    def _some_text_is_chosen(self) -> Self:
        if self.any_text == bool(self.texts or self.areas):
            raise ValueError(
                "mode: text needs texts, areas or both, so that print on the goods stays; or any_text alone, for all"
            )
        return self


class Approval(BaseModel):
    """When a mark that was found in pictures may be used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approve: Literal["person", "auto"] = Field(
        default="person",
        description="Who approves the marks that were found: a `person`, or `auto`: their confidence.",
    )
    min_confidence: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="With `auto`: the least confidence of every mark found; below it a person decides.",
    )
    force: bool = Field(
        default=False, description="Whether to go on with a warning where there are too few pictures to be sure."
    )

    def passes(self, confidences: list[float]) -> bool:
        """Whether marks that were found with these confidences need no person."""
        return self.approve == "auto" and min(confidences, default=0.0) >= self.min_confidence


class PaintedMark(BaseModel):
    """A mark that is painted over in one picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    upload_id: Id = Field(description="The upload of the picture.")
    mask_upload_id: Id = Field(description="The upload of its mask: a picture of the same size, white on the mark.")


class KnownMark(BaseModel):
    """The look of a mark that is to be found in pictures, where it is known: then one picture with it is enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    logo_upload_id: Id | None = Field(
        default=None,
        description=(
            "The upload of the mark's own file, a picture with alpha. It is looked for at every place, in sizes of 0.3 "
            "to 3 of the file, at every opacity, in its own colours, inverted, white and black."
        ),
    )
    painted: PaintedMark | None = Field(
        default=None, description="Instead: one picture in which the mark is painted over."
    )

    @model_validator(mode="after")
    def _one_look(self) -> Self:
        if self.logo_upload_id is not None and self.painted is not None:
            raise ValueError("give either logo_upload_id or painted")
        return self

    @property
    def known_uploads(self) -> tuple[str, ...]:
        """The uploads that show the mark: the logo, or the painted picture and its mask; empty where it is unknown."""
        if self.logo_upload_id is not None:
            return (self.logo_upload_id,)
        return () if self.painted is None else (self.painted.upload_id, self.painted.mask_upload_id)


class AutoMask(_Mask, KnownMark, Approval):
    """The mark that the job's pictures share, found in a sample of them.

    The job waits in `needs_review` until the marks found are approved (`POST /v1/jobs/{job_id}/approve`), or
    `approve: auto` lets it begin.
    """

    mode: Literal["auto"] = Field(description="The mark is found in the job's pictures.")
    templates: list[Id] | None = Field(
        default=None,
        description="Only in answers: the templates that the job began with; missing until then.",
        json_schema_extra={"readOnly": True},
    )

    @property
    def template_ids(self) -> tuple[str, ...]:
        return tuple(self.templates or ())


class LogoPlace(BaseModel):
    """Where a logo was laid on the pictures, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    anchor: Anchor = Field(default="bottom_right", description="The point of the picture from which margins count.")
    margin_x: Annotated[float, Field(ge=0, le=65_535, allow_inf_nan=False)] = Field(
        default=0, description="Pixels between the picture's edge and the logo; from the centre: to the right."
    )
    margin_y: Annotated[float, Field(ge=0, le=65_535, allow_inf_nan=False)] = Field(
        default=0, description="The same from above or below; from the centre: down."
    )
    opacity: float = Field(default=1, gt=0, le=1, description="Its opacity: multiplies the file's own alpha.")
    scale: Literal["none", "width"] = Field(
        default="none", description="Whether it grows with the pictures' `width`, or has its size in every picture."
    )
    reference_width: Side | None = Field(
        default=None, description="With `scale: width`: width of the pictures on which it has its file's size."
    )

    @model_validator(mode="after")
    def _width_needs_a_reference(self) -> Self:
        if (self.scale == "width") != (self.reference_width is not None):
            raise ValueError("scale: width and reference_width belong together")
        return self


#: Kinds by the field that only they have.
_KIND_BY_FIELD = {
    "upload_id": "<file>",
    "boxes": "<boxes>",
    "template": "<template>",
    "templates": "<templates>",
}
_KIND_BY_MODE = {"text": "<text>", "auto": "<auto>"}
#: Pydantic puts the kind of a union's member into the place of an error; a path within the document leaves it out.
UNION_TAGS = frozenset({*_KIND_BY_FIELD.values(), *_KIND_BY_MODE.values(), "<name>", "<box>"})


def kind_of(mask: Any) -> str | None:
    """The kind of a mask, by its fields; ``None``: it has none, or several."""
    fields = mask if isinstance(mask, Mapping) else vars(mask) if isinstance(mask, _Mask) else {}
    if "mode" in fields:
        mode = fields["mode"]
        return _KIND_BY_MODE.get(mode) if isinstance(mode, str) else None
    kinds = [kind for field, kind in _KIND_BY_FIELD.items() if field in fields]
    return kinds[0] if len(kinds) == 1 else None


_OfImages = (
    Annotated[FileMask, Tag("<file>")]
    | Annotated[BoxesMask, Tag("<boxes>")]
    | Annotated[TemplateMask, Tag("<template>")]
    | Annotated[TemplatesMask, Tag("<templates>")]
    | Annotated[TextMask, Tag("<text>")]
)
#: The mask of one image.
ImageMask = Annotated[
    _OfImages,
    Discriminator(
        kind_of,
        custom_error_type="mask_kind",
        custom_error_message="Give one of upload_id, boxes, template, templates and mode: text",
    ),
]
#: The mask of all images of a job that have none of their own.
JobMask = Annotated[
    _OfImages | Annotated[AutoMask, Tag("<auto>")],
    Discriminator(
        kind_of,
        custom_error_type="mask_kind",
        custom_error_message="Give one of upload_id, boxes, template, templates, mode: text and mode: auto",
    ),
]
#: They read masks from JSON.
IMAGE_MASK: TypeAdapter[ImageMask] = TypeAdapter(ImageMask)
JOB_MASK: TypeAdapter[JobMask] = TypeAdapter(JobMask)

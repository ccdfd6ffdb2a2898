"""What is to be repaired, for a job and for one of its pictures."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from api.example_ids import MASK_ID, TEMPLATE_ID
from api.requests.fields import Id, Request
from storage.options import Approval, MaskPlace, TextMark

_TEXT_ONLY = "texts, areas and any_text belong to mode: text"
_TEXT_ALONE = "with mode: text the mark is found in each picture: give texts, areas or any_text alone"


class AnyMask(MaskPlace, TextMark):
    """What images and jobs can both say of what is to be repaired."""

    #: Which modes there are, those who inherit say.
    mode: Literal["auto", "text"] | None = None
    upload_id: Id | None = Field(default=None, description="The mask's file.")
    template: Id | None = Field(
        default=None,
        description="Instead of a mask: the mark to be taken off, by its template.",
        examples=[TEMPLATE_ID],
    )
    templates: list[Id] | None = Field(
        default=None, min_length=1, max_length=8, description="The same for several marks, the first first."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        self.check()
        return self

    def check(self) -> None:
        """Raises ValueError: not one way to say it."""
        if self.mode == "text":
            if self.kept() or self.upload_id is not None or self.named:
                raise ValueError(_TEXT_ALONE)
            self.check_text()
            return
        if self.model_fields_set & set(TextMark.model_fields):
            raise ValueError(_TEXT_ONLY)
        ways = (self.upload_id, self.boxes, self.template, self.templates)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give one of upload_id, boxes, template and templates")
        if self.named and self.kept():
            raise ValueError("a template knows where its mark is: give it alone")

    @property
    def named(self) -> list[str]:
        """Ids of templates, each once."""
        return list(dict.fromkeys([self.template] if self.template is not None else self.templates or []))


class GivenMask(AnyMask):
    """What is to be repaired: a mask's file by its upload, boxes, marks that are known by their templates, or text.

    A mask is laid on pictures of other shapes by its anchor; a template knows itself where its mark is.
    """

    model_config = ConfigDict(json_schema_extra={"example": {"upload_id": MASK_ID, "anchor": "bottom_right"}})

    mode: Literal["text"] | None = Field(
        default=None, description="Instead of a mask: text in the picture, by `texts` and `areas`."
    )


class JobMask(AnyMask, Approval):
    """What is to be repaired in every picture that has no mask of its own; or that it is to be found in them."""

    model_config = ConfigDict(json_schema_extra={"example": {"mode": "auto", "approve": "person"}})

    mode: Literal["auto", "text"] | None = Field(
        default=None,
        description=(
            "Instead of a mask. `text`: text marks are looked for in each picture by itself, by `texts` and `areas`; "
            "a picture without them is `skipped`. `auto`: a sample of the pictures is looked at for the mark that they "
            "share; the job waits in `needs_review` until what was found is approved "
            "(`POST /v1/jobs/{job_id}/approve`), or `approve: auto` lets it begin."
        ),
    )

    def check(self) -> None:
        """Raises ValueError: not one way to say it."""
        if self.mode != "auto":
            if self.model_fields_set & set(Approval.model_fields):
                raise ValueError("approve, min_confidence and force belong to mode: auto")
            super().check()
        elif (
            self.kept()
            or self.upload_id is not None
            or self.named
            or self.model_fields_set & set(TextMark.model_fields)
        ):
            raise ValueError("with mode: auto the mark is found in the pictures: say nothing else of it")


class InlinePlace(MaskPlace, TextMark):
    """The part `mask_place` of a job that brings its pictures along."""

    mode: Literal["text"] | None = Field(
        default=None, description="Instead of a mask and of boxes: text in the pictures, by `texts` and `areas`."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.mode is None:
            if self.model_fields_set & set(TextMark.model_fields):
                raise ValueError(_TEXT_ONLY)
        elif super().kept():
            raise ValueError(_TEXT_ALONE)
        else:
            self.check_text()
        return self

    @property
    def alone(self) -> bool:
        """Whether it says by itself what is to be repaired."""
        return self.mode is not None or self.boxes is not None

    def kept(self) -> dict[str, Any]:
        """As the ledger keeps it: what was said, and no defaults."""
        return super().kept() if self.mode is None else self.kept_text()


class Masked(Request):
    """What has a mask of its own, or not."""

    mask_upload_id: Id | None = Field(default=None, description="Short for `mask` with nothing but an `upload_id`.")

    @model_validator(mode="after")
    def _one_mask(self) -> Self:
        if self.mask_upload_id is not None and getattr(self, "mask", None) is not None:
            raise ValueError("give either mask or mask_upload_id")
        return self

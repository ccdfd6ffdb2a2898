"""What is to be repaired, for a job and for one of its pictures."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from api.example_ids import MASK_ID, TEMPLATE_ID
from api.requests.fields import Id, Request
from storage.options import Approval, MaskPlace


class GivenMask(MaskPlace):
    """What is to be repaired: a mask's file by its upload, boxes, or marks that are known by their templates.

    A mask is laid on pictures of other shapes by its anchor; a template knows itself where its mark is.
    """

    model_config = ConfigDict(json_schema_extra={"example": {"upload_id": MASK_ID, "anchor": "bottom_right"}})

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
        ways = (self.upload_id, self.boxes, self.template, self.templates)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give one of upload_id, boxes, template and templates")
        if self.named and self.kept():
            raise ValueError("a template knows where its mark is: give it alone")

    @property
    def named(self) -> list[str]:
        """Ids of templates, each once."""
        return list(dict.fromkeys([self.template] if self.template is not None else self.templates or []))


class JobMask(GivenMask, Approval):
    """What is to be repaired in every picture that has no mask of its own; or that it is to be found in them."""

    model_config = ConfigDict(json_schema_extra={"example": {"mode": "auto", "approve": "person"}})

    mode: Literal["auto"] | None = Field(
        default=None,
        description=(
            "Instead of a mask: a sample of the pictures is looked at for the mark that they share; the job waits in "
            "`needs_review` until what was found is approved (`POST /v1/jobs/{job_id}/approve`), or `approve: auto` "
            "lets it begin."
        ),
    )

    def check(self) -> None:
        """Raises ValueError: not one way to say it."""
        if self.mode is None:
            if self.model_fields_set & set(Approval.model_fields):
                raise ValueError("approve, min_confidence and force belong to mode: auto")
            super().check()
        elif self.kept() or self.upload_id is not None or self.named:
            raise ValueError("with mode: auto the mark is found in the pictures: say nothing else of it")


class Masked(Request):
    """What has a mask of its own, or not."""

    mask_upload_id: Id | None = Field(default=None, description="Short for `mask` with nothing but an `upload_id`.")

    @model_validator(mode="after")
    def _one_mask(self) -> Self:
        if self.mask_upload_id is not None and getattr(self, "mask", None) is not None:
            raise ValueError("give either mask or mask_upload_id")
        return self

"""Templates: of a mask, a logo, or pictures that share a mark."""

from __future__ import annotations

from typing import Self

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from api.example_ids import MASK_ID, UPLOAD_ID
from api.requests.fields import Id, Line, PageOf, Request
from storage.options import Approval, LogoPlace, MaskPlace
from storage.records import (
    TemplateState,
)


class TemplatesPageOf(PageOf):
    """Which templates."""

    state: TemplateState | None = Field(default=None, description="Only templates in this state.")
    job_id: Id | None = Field(default=None, description="Only those found in this job's pictures.")


class GivenLogo(LogoPlace):
    """A logo with alpha as it was laid on the pictures."""

    upload_id: Id = Field(description="Its file: a picture with alpha, in the size that it has on the pictures.")


class FromPictures(Approval):
    """Pictures that share a mark."""

    upload_ids: list[Id] | None = Field(
        default=None, min_length=5, max_length=400, description="Their uploads; 50 different ones are plenty."
    )
    job_id: Id | None = Field(default=None, description="Instead of uploads: a sample of this job's pictures.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.upload_ids is None) == (self.job_id is None):
            raise ValueError("give either upload_ids or job_id")
        return self


class TemplateMask(MaskPlace):
    """A mask's file, and how it is laid on pictures of other shapes."""

    upload_id: Id = Field(description="The mask's file.")

    @model_validator(mode="after")
    def _a_file(self) -> Self:
        if self.boxes is not None:
            raise ValueError("a template is made of a mask's file; boxes are given with the job")
        return self


class NewTemplate(Request):
    """A watermark to be known for many images: made of a mask, of a logo, or of pictures that share it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "spring",
                "estimate": {"upload_ids": [UPLOAD_ID, MASK_ID, f"{UPLOAD_ID}2", "upl_4", "upl_5"]},
            }
        }
    )

    name: Line = Field(
        max_length=200,
        description="For people; a name that there is already gets another version.",
        examples=["spring"],
    )
    mask: TemplateMask | None = Field(default=None, description="Its pixels are inpainted.")
    logo: GivenLogo | None = Field(default=None, description="Its pixels are un-blended, as far as it is translucent.")
    estimate: FromPictures | None = Field(default=None, description="It is found in pictures, and un-blended.")
    webhook_id: Id | None = Field(
        default=None, description="Where to post `template.ready`, `template.needs_review` and `template.failed`."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.mask, self.logo, self.estimate)) != 1:
            raise ValueError("give one of mask, logo and estimate")
        return self

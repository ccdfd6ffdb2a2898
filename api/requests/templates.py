"""Templates: of a mask, a logo, or pictures that share a mark."""

from __future__ import annotations

from typing import Self

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from api.example_ids import MASK_ID, UPLOAD_ID
from api.requests.fields import Line, PageQuery, Request
from cleanplate.base.documents import Id
from cleanplate.base.masks import Approval, FileMask, KnownMark, LogoPlace
from storage.records import (
    TemplateState,
)


class TemplatesQuery(PageQuery):
    """The part of the list of templates to read."""

    state: TemplateState | None = Field(default=None, description="Only templates in this state.")
    job_id: Id | None = Field(default=None, description="Only templates found in this job's pictures.")


class LogoSource(LogoPlace):
    """A logo with alpha as it was laid on the pictures."""

    upload_id: Id = Field(description="The file: a picture with alpha, in the size that it has on the pictures.")


#: Least pictures in which a mark of unknown look is found.
_FEWEST = 5


class EstimateSource(KnownMark, Approval):
    """Pictures that share a mark."""

    upload_ids: list[Id] | None = Field(
        default=None,
        min_length=1,
        max_length=400,
        description=(
            "The pictures' uploads: at least 5, and 50 different pictures suffice. With `logo_upload_id` or `painted` "
            "one is enough."
        ),
    )
    job_id: Id | None = Field(default=None, description="Instead of uploads: a sample of this job's pictures.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.upload_ids is None) == (self.job_id is None):
            raise ValueError("give either upload_ids or job_id")
        if self.upload_ids is not None and len(self.upload_ids) < _FEWEST and not self.known_uploads:
            raise ValueError(f"give at least {_FEWEST} upload_ids, or the mark's look: logo_upload_id or painted")
        return self


class NewTemplate(Request):
    """A watermark that many images share: made of a mask, of a logo, or of pictures with the mark."""

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
        description="A name for people. A name that is used again gets the next version.",
        examples=["spring"],
    )
    mask: FileMask | None = Field(default=None, description="A mask's file; its pixels are inpainted.")
    logo: LogoSource | None = Field(
        default=None, description="A logo; its pixels are un-blended as far as it is translucent."
    )
    estimate: EstimateSource | None = Field(
        default=None, description="Pictures in which the mark is found; its pixels are un-blended."
    )
    webhook_id: Id | None = Field(
        default=None,
        description="The webhook that gets `template.ready`, `template.needs_review` and `template.failed`.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.mask, self.logo, self.estimate)) != 1:
            raise ValueError("give one of mask, logo and estimate")
        return self

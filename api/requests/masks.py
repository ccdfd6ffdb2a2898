"""Masks of requests: of jobs and images by a field each, of forms by the part ``mask_place``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, RootModel, Tag, model_validator

from api.requests.fields import Request
from cleanplate.base.documents import Id
from cleanplate.base.masks import AutoMask, BoxesMask, FileMask, ImageMask, JobMask, Placement, TextMask, kind_of


class _MaskFields(Request):
    mask_upload_id: Id | None = Field(default=None, description="Short for `mask` with nothing but an `upload_id`.")


class ImageMaskFields(_MaskFields):
    """The mask of one image."""

    mask: ImageMask | None = Field(default=None, description="The image's own mask. Missing: the job's.")

    @model_validator(mode="after")
    def _one_mask(self) -> Self:
        _check_one(self.mask, self.mask_upload_id)
        return self

    @property
    def chosen_mask(self) -> ImageMask | None:
        """The image's own mask, by either field."""
        return self.mask if self.mask_upload_id is None else FileMask(upload_id=self.mask_upload_id)


class JobMaskFields(_MaskFields):
    """The mask of the images of a job that have none of their own."""

    mask: JobMask | None = Field(default=None, description="The mask of every image that has none of its own.")

    @model_validator(mode="after")
    def _one_mask(self) -> Self:
        _check_one(self.mask, self.mask_upload_id)
        if isinstance(self.mask, AutoMask) and self.mask.templates is not None:
            raise ValueError("the templates of mode: auto are answered, not sent: name known ones without mode")
        return self

    @property
    def chosen_mask(self) -> JobMask | None:
        """The job's mask, by either field."""
        return self.mask if self.mask_upload_id is None else FileMask(upload_id=self.mask_upload_id)


def _check_one(mask: JobMask | None, mask_upload_id: str | None) -> None:
    if mask is not None and mask_upload_id is not None:
        raise ValueError("give either mask or mask_upload_id")


def _kind_in_form(place: Any) -> str:
    """The kind of a mask in a form; the placement of a file has no field of its kind, so it is the default."""
    kind = kind_of(place)
    if kind in {"<boxes>", "<text>"}:
        return kind
    fields = place if isinstance(place, Mapping) else {}
    return "<text>" if "mode" in fields else "<file>"


class MaskPlace(
    RootModel[
        Annotated[
            Annotated[BoxesMask, Tag("<boxes>")]
            | Annotated[TextMask, Tag("<text>")]
            | Annotated[Placement, Tag("<file>")],
            Discriminator(_kind_in_form),
        ]
    ]
):
    """The part `mask_place` of a form: boxes or text instead of a mask's file, or the placement of the file `mask`."""

    @property
    def mask(self) -> BoxesMask | TextMask | None:
        """The mask; ``None``: the form brings its file."""
        return None if isinstance(self.root, Placement) else self.root

    @property
    def placement(self) -> Placement | None:
        """How the form's file is laid on the pictures; ``None``: the mask is no file."""
        return self.root if isinstance(self.root, Placement) else None

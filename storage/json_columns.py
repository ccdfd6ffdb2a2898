"""JSON columns of the ledger as typed values, also those that an earlier version wrote.

Before revision 0013 the ledger did not keep the upload of a mask's file. A job's ``mask`` was then NULL or its
placement alone; the ``mask`` of an image with a file of its own was ``{}`` or the placement alone, beside its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from cleanplate.base.image_records import ImageRecord
from cleanplate.base.mail import JobMail
from cleanplate.base.masks import IMAGE_MASK, JOB_MASK, ImageMask, JobMask, kind_of
from cleanplate.base.options import ImageOptions, JobOptions
from cleanplate.base.templates import Review, TemplatePlace, TemplateProgress, TemplateQuality

#: The value of a JSON column.
Document = Mapping[str, Any]

_PLACE: TypeAdapter[TemplatePlace] = TypeAdapter(TemplatePlace)


def read_job_mask(document: Document | None, mask_key: str = "") -> JobMask | None:
    """The mask of a job; ``mask_key`` is the key of its file, where that is known.

    ``None``: each image has its own, or an earlier version wrote the row and the file's upload is not known.
    """
    known = _with_upload(document, mask_key)
    return None if known is None else JOB_MASK.validate_python(known)


def read_image_mask(document: Document | None, mask_key: str) -> ImageMask | None:
    """The mask of an image; ``None``: the job's. ``mask_key`` is the key of its file, blank where it has none."""
    known = None if document is None else _with_upload(document, mask_key)
    return None if known is None else IMAGE_MASK.validate_python(known)


def read_job_options(document: Document) -> JobOptions:
    """The options of a job."""
    return JobOptions.model_validate(document)


def read_image_options(document: Document | None) -> ImageOptions | None:
    """The options of an image itself; ``None``: it has none."""
    return None if document is None else ImageOptions.model_validate(document)


def read_image_record(document: Document) -> ImageRecord:
    """The record of an image."""
    return ImageRecord.model_validate(document)


def read_mail(document: Document | None) -> JobMail | None:
    """Whom a job's mail goes to, and its fate; ``None``: to nobody."""
    return None if document is None else JobMail.model_validate(document)


def read_review(document: Document | None) -> Review | None:
    """The marks that were found in a job's pictures; ``None``: nothing has been looked for."""
    return None if document is None else Review.model_validate(document)


def read_place(document: Document | None) -> TemplatePlace | None:
    """The place of a template's mark; ``None`` until the template is made."""
    return None if document is None else _PLACE.validate_python(document)


def read_quality(document: Document | None) -> TemplateQuality | None:
    """The quality of an estimated template."""
    return None if document is None else TemplateQuality.model_validate(document)


def read_progress(document: Document | None) -> TemplateProgress | None:
    """The progress of a template that a worker makes."""
    return None if document is None else TemplateProgress.model_validate(document)


def _with_upload(document: Document | None, mask_key: str) -> Document | None:
    """The document, with the file's upload where an earlier version left it out; ``None``: that is not known."""
    if document is not None and (kind_of(document) is not None or not document.keys() <= {"anchor", "scale"}):
        return document
    # An upload's key ends with its id.
    upload_id = mask_key.rpartition("/")[2]
    return {"upload_id": upload_id, **(document or {})} if upload_id else None

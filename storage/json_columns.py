"""Masks and options as the rows of jobs and images hold them, also rows that an earlier version wrote.

Before revision 0013 the ledger did not keep the upload of a mask's file. A job's ``mask`` was then NULL or its
placement alone; the ``mask`` of an image with a file of its own was ``{}`` or the placement alone, beside its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cleanplate.base.masks import IMAGE_MASK, JOB_MASK, ImageMask, JobMask, kind_of
from cleanplate.base.options import ImageOptions, JobOptions

Document = Mapping[str, Any]


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


def _with_upload(document: Document | None, mask_key: str) -> Document | None:
    """The document, with the file's upload where an earlier version left it out; ``None``: that is not known."""
    if document is not None and (kind_of(document) is not None or not document.keys() <= {"anchor", "scale"}):
        return document
    # An upload's key ends with its id.
    upload_id = mask_key.rpartition("/")[2]
    return {"upload_id": upload_id, **(document or {})} if upload_id else None

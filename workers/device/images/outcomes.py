"""From what happened to an image to what the ledger is told, in words that its owner can act on."""

from __future__ import annotations

from typing import Any

import structlog

from model.errors import ModelError
from storage.errors import BlobNotFound, StorageError
from storage.records import ImageState, LeasedImage, Outcome
from workers.errors import ModelMissing, ResidualMark, SourceError, TemplateGone

log = structlog.get_logger(__name__)

#: Characters of a sentence to an image's owner.
LONGEST_DETAIL = 1000


def failure(image: LeasedImage, error: Exception, record: dict[str, Any]) -> Outcome:
    """A failed outcome, to be tried again where that may help. What nobody foresaw is logged with its traceback.

    ``record``: what is known of the image all the same, and which worker it was.
    """
    match error:
        case BlobNotFound():
            return _failed(
                image,
                record,
                error.code,
                "Its bytes, or its mask's, never arrived: put them to the upload's address, then submit again.",
            )
        case ModelError() | StorageError() | SourceError() | ModelMissing() | ResidualMark() | TemplateGone():
            return _failed(image, record, error.code, str(error), retry=error.transient)
        case _:
            log.error("image.internal_error", image=image.id, job=image.job_id, exc_info=error)
            return _failed(
                image,
                record,
                "internal_error",
                f"The service failed at this image; its log says why under {image.id}.",
                retry=True,
            )


def out_of_time(image: LeasedImage, seconds: float, record: dict[str, Any]) -> Outcome:
    """An image that alone took most of a shard's time limit; ``record`` as for :func:`failure`."""
    return _failed(
        image,
        record,
        "time_limit_exceeded",
        f"The image was not done after {seconds:.0f} seconds: submit it in a smaller size.",
        retry=True,
    )


def _failed(image: LeasedImage, record: dict[str, Any], code: str, detail: str, *, retry: bool = False) -> Outcome:
    # Postgres takes no NUL, and a decoder may quote what it read.
    detail = detail.replace("\x00", "")[:LONGEST_DETAIL]
    return Outcome(
        image_id=image.id, state=ImageState.FAILED, error_code=code, error_detail=detail, retry=retry, record=record
    )

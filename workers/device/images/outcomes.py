"""The outcomes of images: one builder for results, one for failures, in words that an image's owner can act on."""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass

import structlog

from cleanplate.base.image_records import ExtensionChange, ExtensionKept, FileHashes, ImageRecord, PreviewSize
from cleanplate.base.names import stem_and_extension
from model.errors import ModelError
from model.formats import ENDINGS_BY_TYPE
from model.repair.preview import Preview
from storage.errors import BlobNotFound, StorageError
from storage.records import ImageState, LeasedImage, Outcome
from workers.device.images.image_context import ImageContext
from workers.errors import (
    CoderLost,
    CodersDown,
    DestinationRefused,
    DestinationUnavailable,
    ModelMissing,
    ResidualMark,
    SourceError,
    TemplateGone,
)

log = structlog.get_logger(__name__)

#: Longest error detail, in characters.
LONGEST_DETAIL = 1000
#: An ending that may be a part of a key.
_PLAIN_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}")


@dataclass(frozen=True, kw_only=True)
class ResultFile:
    """The finished file of a picture, however it was made."""

    data: bytes
    content_type: str
    #: With its dot: ``.jpg``.
    extension: str
    width: int
    height: int
    #: The work on the picture, for the image's record.
    record: ImageRecord
    #: Where something has changed.
    preview: Preview | None = None
    #: False: no mark was found, and the file is the source's own.
    changed: bool = True


def success(
    context: ImageContext, result: ResultFile, key: str, worker: str, *, destination_url: str | None = None
) -> Outcome:
    """The outcome of a picture whose result lies under ``key``: succeeded, or skipped where nothing changed."""
    _, own_extension = stem_and_extension(context.image.name)
    is_right = own_extension.lower() in ENDINGS_BY_TYPE[result.content_type]
    is_kept = not is_right and result_extension(context, result) == own_extension
    network, small = context.network, result.preview
    attempt = ImageRecord(
        worker=worker,
        device=None if network is None else network.device,
        precision=None if network is None else network.precision,
        device_notes=sorted(context.notes),
        sha256=context.sha256.with_fields(FileHashes(result=sha256(result.data))),
        seconds={stage: round(seconds, 4) for stage, seconds in context.seconds.items()},
        bytes=len(result.data),
        preview=None if small is None else PreviewSize(width=small.width, height=small.height),
        extension_changed=None if is_right or is_kept else ExtensionChange.of(own_extension, result.extension),
        extension_kept=ExtensionKept(name=own_extension, format=result.extension) if is_kept else None,
    )
    return Outcome(
        image_id=context.image.id,
        state=ImageState.SUCCEEDED if result.changed else ImageState.SKIPPED,
        result_key=key,
        result_bytes=len(result.data),
        result_crc32=zlib.crc32(result.data),
        destination_url=destination_url,
        content_type=result.content_type,
        width=result.width,
        height=result.height,
        tiles_done=context.tiles,
        record=result.record.with_fields(context.text_record, attempt),
    )


def result_extension(context: ImageContext, result: ResultFile) -> str:
    """The ending of the result's name: the picture's own where the format has it, or the job keeps it."""
    _, own_extension = stem_and_extension(context.image.name)
    is_right = own_extension.lower() in ENDINGS_BY_TYPE[result.content_type]
    is_kept = context.image.options.keep_extension and _PLAIN_EXTENSION.fullmatch(own_extension) is not None
    return own_extension if is_right or is_kept else result.extension


def failure(image: LeasedImage, error: Exception, record: ImageRecord) -> Outcome:
    """A failed outcome, to be retried where that may help. An unforeseen error is logged with its traceback.

    ``record``: the worker, and the hashes of the files that were read.
    """
    match error:
        case BlobNotFound():
            return _failed(
                image,
                record,
                error.code,
                "Its bytes, or its mask's, never arrived: put them to the upload's address, then submit again.",
            )
        case CoderLost():
            # One death may have other reasons; after a second one, it is the picture that kills coders.
            return _failed(image, record, error.code, str(error), retry=error.code not in image.earlier_codes)
        case (
            ModelError()
            | StorageError()
            | SourceError()
            | DestinationRefused()
            | DestinationUnavailable()
            | ModelMissing()
            | CodersDown()
            | ResidualMark()
            | TemplateGone()
        ):
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


def time_limit_exceeded(image: LeasedImage, seconds: float, record: ImageRecord) -> Outcome:
    """The outcome of an image that alone took most of a shard's time limit; ``record`` as for :func:`failure`."""
    return _failed(
        image,
        record,
        "time_limit_exceeded",
        f"The image was not done after {seconds:.0f} seconds: submit it in a smaller size.",
        retry=True,
    )


def _failed(image: LeasedImage, record: ImageRecord, code: str, detail: str, *, retry: bool = False) -> Outcome:
    return Outcome(
        image_id=image.id,
        state=ImageState.FAILED,
        error_code=code,
        error_detail=error_detail(detail),
        retry=retry,
        record=record,
    )


def error_detail(text: str) -> str:
    """The text as the ledger takes it: Postgres takes no NUL, and a decoder may quote the bytes that it read."""
    return text.replace("\x00", "")[:LONGEST_DETAIL]


def sha256(file: bytes) -> str:
    """The hash in hexadecimal."""
    return hashlib.sha256(file).hexdigest()

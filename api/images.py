"""From an image as a client describes it to one that the ledger takes; every way in passes here.

What the schema cannot know is checked here: whether an address may be fetched from, and whether the service offers the
network that is asked for.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from api import requests
from api.filenames import clean_filename
from cleanplate import text_marks
from cleanplate.base.settings import Settings
from cleanplate.base.weights import SHIPPED
from storage.blobs.buckets import reason_against_source
from storage.options import Approval, JobOptions
from storage.records import NewImage


class Refused(Exception):
    """A part of an image is no good: which field, by which of the problems' codes, and why."""

    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.field = field
        self.detail = detail


def new_image(image: requests.NewImage, settings: Settings) -> NewImage:
    """The image as the ledger takes it.

    Raises:
        Refused: ``url_not_allowed``, ``validation_failed`` or ``text_marks_missing``.
    """
    if image.url is not None:
        reason = reason_against_source(image.url, settings)
        if reason is not None:
            raise Refused("url_not_allowed", "url", reason)
    if image.options is not None:
        check_model(image.options, settings)
    if image.mask is not None:
        check_mode(image.mask.mode, settings, "mask/mode")
    mask_upload_id, mask = mask_of(image)
    return NewImage(
        name=image.name or (name_of(image.url) if image.url is not None else None),
        source_upload_id=image.upload_id,
        source_url=image.url,
        mask_upload_id=mask_upload_id,
        mask=mask,
        options=None if image.options is None else image.options.model_dump(mode="json", exclude_unset=True),
        custom_id=image.custom_id,
    )


def mask_of(given: requests.NewImage | requests.JobTerms) -> tuple[str | None, dict[str, Any] | None]:
    """The upload of a mask's file, and what else is said of the mask."""
    if given.mask is None:
        return given.mask_upload_id, None
    if given.mask.mode == "text":
        return None, given.mask.kept_text()
    if isinstance(given.mask, requests.JobMask) and given.mask.mode is not None:
        return None, given.mask.model_dump(include={"mode", *Approval.model_fields})
    if given.mask.named:
        return None, {"templates": given.mask.named}
    return given.mask.upload_id, given.mask.kept() or None


def check_model(options: JobOptions, settings: Settings) -> None:
    """Raises Refused: the service does not offer this network."""
    offered = sorted({settings.weights or SHIPPED, *settings.models})
    if options.model is not None and options.model not in offered:
        detail = f"The service does not offer {options.model}; it offers {', '.join(offered)}."
        raise Refused("validation_failed", "options/model", detail)


def check_mode(mode: str | None, settings: Settings, field: str) -> None:
    """Raises Refused: the service does not find text marks."""
    if mode == "text" and not text_marks.offered(settings):
        raise Refused(text_marks.CODE, field, text_marks.NOT_OFFERED)


def name_of(url: str) -> str:
    """A file name for the picture at an address: its path's last part, where that is one."""
    path = url.removeprefix("s3://") if url.startswith("s3://") else unquote(urlsplit(url).path, errors="replace")
    try:
        return clean_filename(PurePosixPath(path).name)
    except ValueError:
        return "image"

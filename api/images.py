"""Turns an image of a request into one of the ledger, for every way into a job.

It checks what the schema cannot know: whether the service may fetch from an address, and whether it offers the network
and the text marks that a request asks for.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from api import requests, text_marks
from api.answers import Fault
from api.fault_kinds import Params
from api.filenames import clean_filename
from cleanplate.base.masks import JobMask, TextMask
from cleanplate.base.options import ImageOptions, JobOptions
from cleanplate.base.settings import Settings
from cleanplate.base.weights import SHIPPED, kept
from storage.blobs.buckets import reason_against_source
from storage.records import NewImage

#: A name that the option ``model`` can hold.
_NETWORK = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")


class Refused(Exception):
    """A field of an image is refused: the code of the problem, the field's path, and the reason.

    ``kind`` and ``params`` are those of the fault, where its code is not the problem's.
    """

    def __init__(self, code: str, field: str, detail: str, *, kind: str = "", params: Params | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.field = field
        self.detail = detail
        self.kind = kind or code
        self.params = params

    def fault(self, place: str) -> Fault:
        """The fault at a place of the body, as a JSON pointer."""
        return Fault(pointer=place, code=self.kind, params=self.params, detail=self.detail)


def new_image(image: requests.NewImage, settings: Settings, *, options: ImageOptions | None = None) -> NewImage:
    """The image as the ledger takes it; ``options`` take the place of its own, to which they are equal.

    Raises:
        Refused: ``url_not_allowed``, ``validation_failed`` or ``text_marks_missing``.
    """
    if image.url is not None:
        reason = reason_against_source(image.url, settings)
        if reason is not None:
            raise Refused("url_not_allowed", "url", reason)
    if image.options is not None:
        check_model(image.options, settings)
    check_text(image.mask, settings, "mask/mode")
    return NewImage(
        name=image.name or _last_part(image.path) or (name_of(image.url) if image.url is not None else None),
        path=image.path,
        source_upload_id=image.upload_id,
        source_url=image.url,
        mask=image.chosen_mask,
        options=options or image.options,
        custom_id=image.custom_id,
        metadata=image.metadata,
    )


def _last_part(path: str | None) -> str | None:
    return None if path is None else path.rpartition("/")[2]


def networks_of(settings: Settings) -> list[str]:
    """The names of the networks that the service offers.

    The embedded service shares its folder with its workers, and offers the weights that are kept there too.
    """
    kept_here = [path.stem for path in kept(settings)] if settings.embedded_broker else []
    named = {name for name in kept_here if _NETWORK.fullmatch(name)}
    return sorted({settings.weights or SHIPPED, *settings.models, *named})


def check_model(options: JobOptions | ImageOptions, settings: Settings) -> None:
    """Raises Refused: the service does not offer this network."""
    offered = networks_of(settings)
    if options.model is not None and options.model not in offered:
        names = ", ".join(offered)
        detail = f"The service does not offer {options.model}; it offers {names}."
        raise Refused("validation_failed", "options/model", detail, kind="network_unknown", params={"offered": names})


def check_text(mask: JobMask | None, settings: Settings, field: str) -> None:
    """Raises Refused: the mask is text, and the service does not find text marks."""
    if isinstance(mask, TextMask) and not text_marks.is_offered(settings):
        raise Refused(text_marks.CODE, field, text_marks.NOT_OFFERED)


def name_of(url: str) -> str:
    """A file name for the picture at an address: the last part of its path, or ``image`` where that is no name."""
    path = url.removeprefix("s3://") if url.startswith("s3://") else unquote(urlsplit(url).path, errors="replace")
    try:
        return clean_filename(PurePosixPath(path).name)
    except ValueError:
        return "image"

"""A picture whose text marks are to be found: which are wanted, what its record says, and its end where there are none.

The decision to take the work on was made at submission (:mod:`cleanplate.text_marks`); a worker without the packages
gives the image back for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cleanplate.text_marks import wanted
from model.imaging import Limits, probe
from model.text.files import Found
from model.text.wanted import Wanted
from storage.options import TextMark
from storage.records import ImageState, LeasedImage, Outcome
from workers.device.images.image_context import ImageContext, sha256

#: Texts that a record names.
_TOLD = 20


@dataclass(frozen=True)
class AsItCame:
    """A result that is the source's own file."""

    data: bytes
    content_type: str
    #: With its dot.
    extension: str


def wanted_of(image: LeasedImage) -> Wanted | None:
    """Which lines of text are the mark; ``None``: the image has a mask, or templates."""
    said = image.mask or {}
    if image.templates or said.get("mode") != "text":
        return None
    mark = TextMark.model_validate({name: said[name] for name in TextMark.model_fields if name in said})
    return wanted(mark)


def about(found: Found) -> dict[str, Any]:
    """For the image's record."""
    return {
        "marks": len(found.marks),
        "texts": [line.text for line in found.marks[:_TOLD]],
        "texts_seen": found.seen,
    }


def skipped(context: ImageContext, source: bytes, key: str, limits: Limits, worker: str) -> Outcome:
    """The outcome of a picture without the mark: its result is the source itself, which lies under ``key``."""
    facts = probe(source, limits)
    return Outcome(
        image_id=context.image.id,
        state=ImageState.SKIPPED,
        result_key=key,
        content_type=facts.content_type,
        width=facts.width,
        height=facts.height,
        tiles_done=0,
        record={
            "reason": "text_not_found",
            "format": facts.format,
            **context.about,
            "worker": worker,
            "sha256": {**context.sha256, "result": sha256(source)},
            "seconds": {stage: round(seconds, 4) for stage, seconds in context.seconds.items()},
        },
    )

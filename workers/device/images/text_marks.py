"""A picture with the mask ``mode: text``: its record, and its outcome where it has no such text.

The API accepts such a mask only where the service finds text marks (:mod:`api.text_marks`). A worker without the
packages gives the image back for another worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model.imaging import Limits, probe
from model.text.files import Found
from storage.records import ImageState, Outcome
from workers.device.images.image_context import ImageContext, sha256

#: Texts in a record, at most.
_TEXTS = 20


@dataclass(frozen=True)
class AsItCame:
    """A result that is the source's own file."""

    data: bytes
    content_type: str
    #: With its dot.
    extension: str


def about(result: Found) -> dict[str, Any]:
    """The part of an image's record about its text."""
    return {
        "marks": len(result.marks),
        "texts": [line.text for line in result.marks[:_TEXTS]],
        "texts_seen": result.seen,
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

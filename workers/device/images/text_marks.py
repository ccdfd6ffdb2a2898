"""Pictures whose text marks are looked for: which text is wanted, what the record says, and the source as a result.

The decision to accept the work was made at submission (:mod:`cleanplate.text_marks`); a worker without the packages
gives the image back for another.
"""

from __future__ import annotations

from typing import Any

from cleanplate.text_marks import wanted
from model.imaging import Limits, probe
from model.text.files import Found
from model.text.wanted import Wanted
from storage.options import TextMark
from storage.records import LeasedImage
from workers.device.images.outcomes import ResultFile

#: Texts that a record names.
_TEXTS_IN_RECORD = 20


def wanted_of(image: LeasedImage) -> Wanted | None:
    """Which lines of text are the mark; ``None``: the image has a mask, or templates."""
    said = image.mask or {}
    if image.templates or said.get("mode") != "text":
        return None
    mark = TextMark.model_validate({name: said[name] for name in TextMark.model_fields if name in said})
    return wanted(mark)


def text_record(found: Found) -> dict[str, Any]:
    """The part of an image's record about the text that was found."""
    return {
        "marks": len(found.marks),
        "texts": [line.text for line in found.marks[:_TEXTS_IN_RECORD]],
        "texts_seen": found.seen,
    }


def source_as_result(source: bytes, limits: Limits) -> ResultFile:
    """The source's own file, as the result of a picture without the mark."""
    facts = probe(source, limits)
    return ResultFile(
        data=source,
        content_type=facts.content_type,
        extension=facts.extension,
        width=facts.width,
        height=facts.height,
        record={"reason": "text_not_found", "format": facts.format},
        changed=False,
    )

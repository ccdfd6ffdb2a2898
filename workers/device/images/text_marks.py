"""A picture with the mask ``mode: text``: its record, and its result where it has no such text.

The API accepts such a mask only where the service finds text marks (:mod:`api.text_marks`). A worker without the
packages gives the image back for another worker.
"""

from __future__ import annotations

from cleanplate.base.image_records import ImageRecord
from model.imaging import Probe
from model.text.files import TextMarks
from workers.device.images.outcomes import ResultFile

#: Texts that a record names.
_TEXTS_IN_RECORD = 20


def text_record(marks: TextMarks) -> ImageRecord:
    """The part of an image's record about the text that was found."""
    return ImageRecord(
        marks=len(marks.marks),
        texts=[line.text for line in marks.marks[:_TEXTS_IN_RECORD]],
        texts_seen=marks.seen,
    )


def source_as_result(source: bytes, facts: Probe, *, reason: str = "text_not_found") -> ResultFile:
    """The source's own file, as the result of a picture without the mark; ``reason`` is a code."""
    return ResultFile(
        data=source,
        content_type=facts.content_type,
        extension=facts.extension,
        width=facts.width,
        height=facts.height,
        record=ImageRecord(reason=reason, format=facts.format),
        changed=False,
    )

"""Whether jobs may ask for text marks (``mask: {mode: text}``).

An API machine need not have the packages itself. Its operator then vouches for the workers by
``CLEANPLATE_TEXT_MARKS=on``; a worker without the packages does not start (:mod:`workers.machine.text_marks`).
"""

from __future__ import annotations

from cleanplate.base.settings import Settings
from model.text.installed import missing

#: The problem of a job with a text mark if the service does not offer them, and its detail.
CODE = "text_marks_missing"
NOT_OFFERED = (
    "This service does not find text marks: its operator installs cleanplate[text] on the workers and sets "
    "CLEANPLATE_TEXT_MARKS to on. Give a mask, boxes or a template instead."
)


def is_offered(settings: Settings) -> bool:
    """Whether the service finds text marks."""
    if settings.text_marks == "auto":
        return not missing()
    return settings.text_marks == "on"

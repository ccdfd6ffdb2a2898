"""A worker machine has the packages that find text marks, where its operator promises text marks to jobs."""

from __future__ import annotations

from cleanplate.base.settings import Settings
from cleanplate.errors import TextMarksMissing
from model.text.installed import missing


def require_text_marks(settings: Settings) -> None:
    """Raise TextMarksMissing if ``CLEANPLATE_TEXT_MARKS`` is ``on`` and packages are missing on this machine."""
    if settings.text_marks == "on" and missing():
        raise TextMarksMissing(missing())

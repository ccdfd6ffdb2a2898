"""Whether a service finds text marks (``mask: {mode: text}``): decided here, asked by the API, workers and commands.

An API machine need not have the packages itself; then its operator answers for the workers by
``CLEANPLATE_TEXT_MARKS=on``, and a worker without them does not start.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from cleanplate.base.settings import Settings
from cleanplate.errors import TextMarksMissing, UsageError
from model.text.installed import missing
from model.text.wanted import AREAS, Area, Wanted
from storage.options import TextMark

CODE = TextMarksMissing.code
NOT_OFFERED = (
    "This service does not find text marks: its operator installs cleanplate[text] on the workers and sets "
    "CLEANPLATE_TEXT_MARKS to on. Give a mask, boxes or a template instead."
)


def offered(settings: Settings) -> bool:
    """Whether jobs may ask for it."""
    if settings.text_marks == "auto":
        return not missing()
    return settings.text_marks == "on"


def check_here(settings: Settings) -> None:
    """What was promised for this machine's workers holds. Raises TextMarksMissing."""
    if settings.text_marks == "on" and missing():
        raise TextMarksMissing(missing())


def wanted(mark: TextMark) -> Wanted:
    """What the model looks for."""
    return Wanted(tuple(mark.texts or ()), tuple(_area(area) for area in mark.areas or ()))


def from_words(texts: Sequence[str], areas: Sequence[str], *, any_text: bool) -> TextMark | None:
    """What was said on a command line; ``None``: nothing. An area is a name, or ``left,top,width,height``.

    Raises:
        UsageError: it is not said, or not well, which text is the mark.
    """
    if not (texts or areas or any_text):
        return None
    try:
        said = {"texts": list(texts) or None, "areas": [_parsed(area) for area in areas] or None, "any_text": any_text}
        mark = TextMark.model_validate(said)
        mark.check_text()
    except ValidationError as error:
        first = error.errors()[0]
        named = f"--{str(first['loc'][0]).removesuffix('s').replace('_', '-')}" if first["loc"] else "The text"
        raise UsageError(f"{named}: {first['msg'].removeprefix('Value error, ')}.") from None
    except ValueError:
        raise UsageError("Say which text is the mark by --text, --area or both; or by --any-text alone.") from None
    return mark


def _parsed(area: str) -> str | list[float]:
    if area in AREAS:
        return area
    try:
        return [float(share) for share in area.split(",")]
    except ValueError:
        known = ", ".join(AREAS)
        raise UsageError(f"--area {area}: give left,top,width,height as shares of the picture, or {known}.") from None


def _area(said: str | tuple[float, float, float, float]) -> Area:
    if isinstance(said, str):
        return AREAS[said]
    left, top, width, height = said
    return left, top, left + width, top + height

"""The options ``--text``, ``--area`` and ``--any-text`` of the command line as a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import ValidationError

from cleanplate.base.masks import UNION_TAGS, Anchor, TextMask
from cleanplate.errors import UsageError

_NAMES = get_args(Anchor)


def text_mask(texts: Sequence[str], areas: Sequence[str], *, any_text: bool) -> TextMask | None:
    """The mask that the options describe; ``None``: there are none. An area is a name, or ``left,top,width,height``.

    Raises:
        UsageError: the options do not tell which text is the mark.
    """
    if not (texts or areas or any_text):
        return None
    fields: dict[str, Any] = {"mode": "text"}
    if texts:
        fields["texts"] = list(texts)
    if areas:
        fields["areas"] = [_area(area) for area in areas]
    if any_text:
        fields["any_text"] = True
    try:
        return TextMask.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = [part for part in first["loc"] if part not in UNION_TAGS]
        if not place:
            message = "Say which text is the mark by --text, --area or both; or by --any-text alone."
            raise UsageError(message) from None
        option = f"--{str(place[0]).removesuffix('s').replace('_', '-')}"
        raise UsageError(f"{option}: {first['msg'].removeprefix('Value error, ')}.") from None


def _area(text: str) -> str | list[float]:
    if text in _NAMES:
        return text
    try:
        return [float(share) for share in text.split(",")]
    except ValueError:
        known = ", ".join(_NAMES)
        raise UsageError(f"--area {text}: give left,top,width,height as shares of the picture, or {known}.") from None

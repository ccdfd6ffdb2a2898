"""Encodes and decodes the lists' cursors, which are opaque to clients."""

from __future__ import annotations

import base64
import binascii
import re

from api.problems import Problem

_SHAPE = re.compile(r"(?P<kind>[a-z]+):(?P<place>[A-Za-z0-9_-]{1,60})")


def encode(kind: str, place: str | int) -> str:
    """The cursor that continues a list of ``kind`` behind ``place``."""
    return base64.urlsafe_b64encode(f"{kind}:{place}".encode()).decode().rstrip("=")


def decode(kind: str, cursor: str | None) -> str | None:
    """The place in a cursor, ``None`` for the beginning.

    Raises:
        Problem: ``cursor_invalid``; not a cursor, or of another list.
    """
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError):
        text = ""
    match = _SHAPE.fullmatch(text)
    if match is None or match["kind"] != kind:
        raise Problem("cursor_invalid", "Pass the next_cursor of the answer before, or no cursor to begin again.")
    return match["place"]


def decode_position(kind: str, cursor: str | None) -> int | None:
    """Like :func:`decode`, for lists in order of a number."""
    place = decode(kind, cursor)
    return None if place is None else position_of(place)


def position_of(text: str) -> int:
    """The number in a cursor. Raises Problem: ``cursor_invalid``."""
    if not text.isdecimal() or int(text) > 2**31 - 1:
        raise Problem("cursor_invalid", "Pass the next_cursor of the answer before, or no cursor to begin again.")
    return int(text)

"""Chooses the lines of text that are the mark, by their words, their place, or both.

Other text, such as print on a garment, stays.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.text.reading import Line  # brings OpenCV

#: Left, top, right and bottom as shares of width and height.
Area = tuple[float, float, float, float]

#: Areas by name: corners are half as wide and a third as tall as the picture; sides take a third of it, in full length.
AREAS: dict[str, Area] = {
    "top_left": (0, 0, 1 / 2, 1 / 3),
    "top": (0, 0, 1, 1 / 3),
    "top_right": (1 / 2, 0, 1, 1 / 3),
    "left": (0, 0, 1 / 3, 1),
    "center": (1 / 3, 1 / 3, 2 / 3, 2 / 3),
    "right": (2 / 3, 0, 1, 1),
    "bottom_left": (0, 2 / 3, 1 / 2, 1),
    "bottom": (0, 2 / 3, 1, 1),
    "bottom_right": (1 / 2, 2 / 3, 1, 1),
}

#: An area in a request: a name of ``AREAS``, or left, top, width and height as shares.
GivenArea = str | tuple[float, float, float, float]

#: Least similarity of the recognised and the requested text, 0 to 100: one letter in four may be misread.
_ALIKE = 75.0
#: Least share of a text that its parts, found as separate lines, must cover together.
_COVERED = 0.7
#: Least number of letters of such a part.
_LEAST_PART = 2
#: Least confidence and number of letters of a line that counts as text: folds of cloth sometimes look like a letter.
_SURE, _LETTERS = 0.6, 2


@dataclass(frozen=True)
class Wanted:
    """``texts``: the line matches any of them; empty: any text. ``areas``: its centre lies in any; empty: anywhere."""

    texts: tuple[str, ...] = ()
    areas: tuple[Area, ...] = ()

    def placed(self, lines: Sequence[Line], *, width: int, height: int) -> list[Line]:
        """Lines inside one of the areas."""
        if not self.areas:
            return list(lines)
        return [line for line in lines if any(_inside(line, area, width, height) for area in self.areas)]

    def saying(self, lines: Sequence[Line]) -> list[Line]:
        """The lines that match a requested text: in full, within a longer line, or as parts of the text.

        Without requested texts, the lines that count as text.
        """
        if not self.texts:
            return [line for line in lines if line.confidence >= _SURE and len(plain(line.text)) >= _LETTERS]
        plain_lines = [plain(line.text) for line in lines]
        chosen: set[int] = set()
        for text in map(plain, self.texts):
            chosen |= _spoken(text, plain_lines)
        return [line for index, line in enumerate(lines) if index in chosen]


def wanted(texts: Sequence[str], areas: Sequence[GivenArea]) -> Wanted:
    """The lines with one of these texts, whose centre lies in one of these areas; none of either: any."""
    return Wanted(tuple(texts), tuple(_area(area) for area in areas))


def _area(given: GivenArea) -> Area:
    if isinstance(given, str):
        return AREAS[given]
    left, top, width, height = given
    return left, top, left + width, top + height


def plain(text: str) -> str:
    """Letters and digits alone, without case, width or accents, for comparison."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(letter for letter in folded if letter.isalnum())


def _spoken(text: str, texts: Sequence[str]) -> set[int]:
    """Indices of the lines that match ``text``."""
    from rapidfuzz import fuzz

    if not text:
        return set()
    whole: set[int] = set()
    parts: dict[int, tuple[int, int]] = {}
    for index, line in enumerate(texts):
        if len(line) >= _COVERED * len(text):
            # partial_ratio compares the shorter text with the best window of the longer.
            if fuzz.partial_ratio(text, line) >= _ALIKE:
                whole.add(index)
        elif len(line) >= _LEAST_PART:
            alignment = fuzz.partial_ratio_alignment(line, text, score_cutoff=_ALIKE)
            if alignment is not None:
                parts[index] = (alignment.dest_start, alignment.dest_end)
        alignment = fuzz.partial_ratio_alignment(line, text, score_cutoff=_ALIKE)
        if alignment is not None:
            parts[index] = (alignment.dest_start, alignment.dest_end)
    covered = {place for start, end in parts.values() for place in range(start, end)}
    return whole | (set(parts) if len(covered) >= _COVERED * len(text) else set())


def _inside(line: Line, area: Area, width: int, height: int) -> bool:
    x, y = line.centre
    left, top, right, bottom = area
    return left * width <= x <= right * width and top * height <= y <= bottom * height

"""Chooses the lines of text that are the mark, by their words, their place, or both.

Print on a garment is neither, and is left alone.
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

#: Areas by name: corners are half as wide and a third as tall as the picture, sides a third of it, all along.
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

#: A part of a picture as its owner gives it: a name of ``AREAS``, or left, top, width and height as shares.
GivenArea = str | tuple[float, float, float, float]

#: Least similarity of the text read to the text asked for, 0 to 100: a letter in four may be misread.
_ALIKE = 75.0
#: Share of a text that parts of it, found as lines of their own, must cover together.
_COVERED = 0.7
#: Letters of such a part.
_LEAST_PART = 2
#: A line reads as text from this confidence and number of letters on: folds of cloth sometimes look like a letter.
_SURE, _LETTERS = 0.6, 2


@dataclass(frozen=True)
class Wanted:
    """``texts``: the line matches any of them; empty: any text. ``areas``: its centre lies in any; empty: anywhere."""

    texts: tuple[str, ...] = ()
    areas: tuple[Area, ...] = ()

    def placed(self, lines: Sequence[Line], *, width: int, height: int) -> list[Line]:
        """Lines that lie where the mark does."""
        if not self.areas:
            return list(lines)
        return [line for line in lines if any(_inside(line, area, width, height) for area in self.areas)]

    def saying(self, lines: Sequence[Line]) -> list[Line]:
        """Of lines that were read, those that say it: whole, within a longer line, or in parts that make it up.

        Where nothing is to be said in particular, those that read as text.
        """
        if not self.texts:
            return [line for line in lines if line.confidence >= _SURE and len(plain(line.text)) >= _LETTERS]
        said = [plain(line.text) for line in lines]
        chosen: set[int] = set()
        for text in map(plain, self.texts):
            chosen |= _spoken(text, said)
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
    """Indices of the lines that say ``text``."""
    from rapidfuzz import fuzz

    if not text:
        return set()
    whole: set[int] = set()
    parts: dict[int, tuple[int, int]] = {}
    for index, line in enumerate(texts):
        if len(line) >= _COVERED * len(text):
            # partial_ratio: the best window of the longer in which the shorter is alignment.
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

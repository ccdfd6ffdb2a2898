"""Names of files: their parts, and names that never collide."""

from __future__ import annotations

import itertools
from collections.abc import Iterator


def stem_and_extension(name: str) -> tuple[str, str]:
    """``("shirt.front", ".jpg")`` of ``shirt.front.jpg``; the extension is empty where there is none."""
    stem, dot, extension = name.rpartition(".")
    return (stem, f".{extension}") if stem and dot else (name, "")


def candidates(name: str, begin: int = 1) -> Iterator[str]:
    """``a.jpg``, ``a (2).jpg``, ``a (3).jpg`` and so on, from the one with the number ``begin``."""
    stem, extension = stem_and_extension(name)
    for number in itertools.count(begin):
        yield name if number == 1 else f"{stem} ({number}){extension}"


class UniqueNames:
    """Gives each name once: a second ``a.jpg`` becomes ``a (2).jpg``. Case does not distinguish names."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        #: The number of the next candidate by name: all before it are taken, so many equal names cost linear time.
        self._next: dict[str, int] = {}

    def of(self, name: str) -> str:
        """The name, or its first numbered form that is free."""
        key = name.casefold()
        numbered = enumerate(candidates(name, begin := self._next.get(key, 1)), begin)
        number, free_name = next(pair for pair in numbered if pair[1].casefold() not in self._taken)
        self._next[key] = number + 1
        self._taken.add(free_name.casefold())
        return free_name

"""Names of files: their parts, and names that never collide."""

from __future__ import annotations

from collections.abc import Iterator


def stem_and_extension(name: str) -> tuple[str, str]:
    """``("shirt.front", ".jpg")`` of ``shirt.front.jpg``; the extension is empty where there is none."""
    stem, dot, extension = name.rpartition(".")
    return (stem, f".{extension}") if stem and dot else (name, "")


def candidates(name: str) -> Iterator[str]:
    """``a.jpg``, ``a (2).jpg``, ``a (3).jpg`` and so on."""
    yield name
    stem, extension = stem_and_extension(name)
    number = 2
    while True:
        yield f"{stem} ({number}){extension}"
        number += 1


class UniqueNames:
    """Gives each name once: a second ``a.jpg`` becomes ``a (2).jpg``. Case does not distinguish names."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, name: str) -> str:
        """The name, or its first numbered form that is free."""
        free_name = next(each for each in candidates(name) if each.casefold() not in self._taken)
        self._taken.add(free_name.casefold())
        return free_name

"""Names and paths of files: their parts, forms that every system takes, and forms that never collide."""

from __future__ import annotations

import itertools
import re
import unicodedata
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


#: Characters that a file name cannot have on some system (Microsoft, "Naming Files, Paths, and Namespaces").
_FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f\x7f]')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}
)
#: Bytes of a name in UTF-8: a number still fits into the 255 of a file system.
_LONGEST = 240


def safe_name(name: str) -> str:
    """The nearest name that a file may have on Windows, macOS and Linux."""
    plain = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name)).rstrip(" .") or "_"
    if len(plain.encode()) > _LONGEST:
        stem, extension = stem_and_extension(plain)
        kept = stem.encode()[: _LONGEST - len(extension.encode())] if len(extension.encode()) <= 16 else b""
        plain = kept.decode(errors="ignore").rstrip(" .") + extension if kept else _cut(plain)
    return f"_{plain}" if plain.partition(".")[0].rstrip().casefold() in _DEVICES else plain


def safe_path(path: str) -> str:
    """The nearest relative path that can be unpacked everywhere; parts are separated by slashes."""
    parts = [safe_name(part) for part in path.split("/") if part not in {"", ".", ".."}]
    return "/".join(parts) or "_"


def _cut(name: str) -> str:
    return name.encode()[:_LONGEST].decode(errors="ignore").rstrip(" .")


class UniquePaths:
    """Gives each path once, safe on every system: a second ``a.jpg`` becomes ``a (2).jpg``.

    Case does not distinguish names. A folder keeps its first spelling; a file and a folder never share a name.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        #: The number that the next path of the same wish tries first.
        self._next: dict[str, int] = {}
        self._folders: dict[str, str] = {}

    def of(self, path: str) -> str:
        """The path, or its first numbered form that is free."""
        *folders, name = safe_path(path).split("/")
        place = ""
        for folder in folders:
            place = self._folder(place + folder) + "/"
        return self._take(place + name)

    def _folder(self, path: str) -> str:
        wish = path.casefold()
        if wish not in self._folders:
            self._folders[wish] = self._take(path)
        return self._folders[wish]

    def _take(self, path: str) -> str:
        wish = path.casefold()
        free, number = path, self._next.get(wish, 2)
        if wish in self._taken:
            folder, slash, name = path.rpartition("/")
            stem, extension = stem_and_extension(name)
            while (free := f"{folder}{slash}{stem} ({number}){extension}").casefold() in self._taken:
                number += 1
            self._next[wish] = number + 1
        self._taken.add(free.casefold())
        return free

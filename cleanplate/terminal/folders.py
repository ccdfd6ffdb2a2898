"""Walks a folder for pictures, and keeps account of everything that it leaves out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from model.formats import is_picture_name

#: Names in one line of an account.
_SHOWN = 5


@dataclass(frozen=True)
class LeftOut:
    """Files and folders that were left out for one reason."""

    reason: str
    paths: list[Path]

    def text(self, folder: Path) -> str:
        """One line: ``2 not pictures by their name (notes.txt, sub/list.csv)``."""
        names = [path.relative_to(folder).as_posix() for path in self.paths[:_SHOWN]]
        more = len(self.paths) - len(names)
        return f"{len(self.paths)} {self.reason} ({', '.join(names)}{f' and {more} more' if more else ''})"


@dataclass(frozen=True)
class Walk:
    """The pictures of a folder, in order, and what was left out."""

    pictures: list[Path]
    left_out: list[LeftOut] = field(default_factory=list)


def walk_pictures(
    folder: Path, *, recursive: bool = True, globs: Sequence[str] = (), apart: Sequence[Path] = ()
) -> Walk:
    """The pictures of a folder and its subfolders; links to folders are not followed.

    ``globs`` are patterns of which a picture's path must match one (``*`` also matches slashes); ``apart`` are folders
    that are not searched.
    """
    kept: list[Path] = []
    left_out: dict[str, list[Path]] = {}
    others = {path.resolve() for path in apart}
    for path, outside in _entries(folder, recursive, others):
        reason = outside or _reason_against(path, folder, globs)
        if reason is None:
            kept.append(path)
        else:
            left_out.setdefault(reason, []).append(path)
    return Walk(kept, [LeftOut(reason, paths) for reason, paths in left_out.items()])


def _entries(folder: Path, recursive: bool, others: set[Path]) -> Iterator[tuple[Path, str | None]]:
    """Files, and folders that are not entered, with the reason why they are left out, if there is one."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            yield path, "hidden"
        elif entry.is_dir(follow_symlinks=False):
            if path.resolve() in others:
                yield path, "folders of masks or results"
            elif recursive:
                yield from _entries(path, recursive, others)
            else:
                yield path, "subfolders, without --recursive"
        elif entry.is_dir():
            yield path, "links to folders"
        elif entry.is_file():
            yield path, None
        else:
            yield path, "broken links or special files"


def _reason_against(file: Path, folder: Path, globs: Sequence[str]) -> str | None:
    if not is_picture_name(file):
        return "not pictures by their name"
    path = file.relative_to(folder).as_posix()
    if globs and not any(fnmatchcase(path, glob) or fnmatchcase(file.name, glob) for glob in globs):
        return "not matched by --glob"
    return None

"""Files as request bodies, and the media types that their names claim."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path

from model.formats import TYPES_BY_ENDING

CHUNK = 256 * 1024


class FileBody:
    """A file's bytes as a request body, or ``size`` of them from ``start``; each iteration reads the file anew."""

    def __init__(self, path: Path, *, start: int = 0, size: int | None = None) -> None:
        self._path = path
        self._start = start
        #: In bytes.
        self.size = path.stat().st_size if size is None else size

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(self._start)
            remaining = self.size
            while chunk := file.read(min(CHUNK, remaining)):
                remaining -= len(chunk)
                yield chunk


def content_type(file: Path) -> str:
    """The media type of a file's name; the service itself decides by the bytes."""
    of_picture = TYPES_BY_ENDING.get(file.suffix.lower())
    return of_picture or mimetypes.guess_type(file.name)[0] or "application/octet-stream"

"""Files as the client and the embedded service need them: written whole or not at all, sent again from their start."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

CHUNK = 256 * 1024


@contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A file to write that takes ``path``'s place at the end; after an error ``path`` is as it was."""
    descriptor, name = tempfile.mkstemp(prefix=".cleanplate-", suffix=".partial", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


class FileBody:
    """A file's bytes as a request body, or ``size`` of them from ``start``; reads anew each time it is sent."""

    def __init__(self, path: Path, *, start: int = 0, size: int | None = None) -> None:
        self._path = path
        self._start = start
        #: In bytes.
        self.size = path.stat().st_size if size is None else size

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(self._start)
            left = self.size
            while chunk := file.read(min(CHUNK, left)):
                left -= len(chunk)
                yield chunk

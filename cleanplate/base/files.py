"""Folders that can be written to, and files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cleanplate.errors import FolderUnusable

#: How to name another folder in place of those of the service.
OTHER_HOME = "name another folder with CLEANPLATE_HOME"
OTHER_FOLDER = "choose another folder"


def make_folder(folder: Path, *, mode: int = 0o777, way_out: str = OTHER_FOLDER) -> None:
    """Make a folder, and those above it, where they are missing; ``mode`` is for the folder itself.

    Raises:
        FolderUnusable: the folder cannot be made, or not written to. ``way_out``: what else the reader can do.
    """
    with _refusals(folder, way_out):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    require_writable(folder, way_out=way_out)


def make_home_folder(folder: Path) -> None:
    """As :func:`make_folder`, for a folder of the service's data: private to this user."""
    make_folder(folder, mode=0o700, way_out=OTHER_HOME)


def require_writable(folder: Path, *, way_out: str = OTHER_FOLDER) -> None:
    """Write a file without a name into a folder, which may be another user's, read-only, or on a full disk.

    Raises:
        FolderUnusable: it cannot be written.
    """
    with _refusals(folder, way_out), tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A new file that replaces ``path`` at the end of the block; after an error ``path`` is unchanged.

    Raises:
        FolderUnusable: no file can be made in its folder.
    """
    with _refusals(path.parent, OTHER_FOLDER):
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


@contextmanager
def _refusals(folder: Path, way_out: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FolderUnusable(folder, error.strerror or str(error), way_out) from error

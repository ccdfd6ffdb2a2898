"""Training photos: a folder of pictures, or of tar shards of pictures as ``pack`` writes them.

An unreadable picture is logged once and left out; the run continues with the others.
"""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import PhotosMissing

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True)
class Entry:
    """The place of one picture's bytes: a file, or a range of a shard."""

    name: str
    file: Path
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


class Photos:
    """The pictures under a folder, in a fixed order."""

    def __init__(self, folder: Path, *, longest: int = 768) -> None:
        """``longest``: larger pictures are reduced to this when they are read.

        Raises:
            PhotosMissing: the folder holds no picture and no shard.
        """
        self._longest = longest
        self._entries = _entries(folder)
        self._unreadable: set[int] = set()
        if not self._entries:
            raise PhotosMissing(f"There are no pictures (JPEG, PNG, WebP) and no shards (.tar) in {folder}.")

    def __len__(self) -> int:
        return len(self._entries)

    def decoded(self, numbers: Sequence[int], *, threads: int = 4) -> list[Pixels]:
        """The readable ones among ``numbers`` as ``uint8 [H, W, 3]`` RGB, decoded by ``threads`` threads.

        Raises:
            PhotosMissing: none of them is readable.
        """
        with ThreadPoolExecutor(threads) as pool:
            decoded = [pixels for pixels in pool.map(self._decoded, numbers) if pixels is not None]
        if not decoded:
            raise PhotosMissing(f"None of {len(numbers)} pictures can be read, the first is {self._entries[0].name}.")
        return decoded

    def _decoded(self, number: int) -> Pixels | None:
        entry = self._entries[number]
        try:
            with Image.open(io.BytesIO(entry.read())) as picture:
                picture.thumbnail((self._longest, self._longest), Image.Resampling.BOX, reducing_gap=None)
                return np.array(picture.convert("RGB"), np.uint8)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            if number not in self._unreadable:
                log.warning("left out %s: not a readable picture (%s)", entry.name, error)
                self._unreadable.add(number)
            return None


def load_photos(folder: Path, *, longest: int = 768) -> list[Pixels]:
    """Every readable picture of ``folder`` as ``uint8 [H, W, 3]`` RGB; an unreadable one is logged and left out."""
    photos = Photos(folder, longest=longest)
    return photos.decoded(range(len(photos)))


def _entries(folder: Path) -> list[Entry]:
    entries: list[Entry] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in SUFFIXES:
            entries.append(Entry(path.name, path))
        elif path.suffix.lower() == ".tar":
            entries += _members(path)
    return entries


def _members(shard: Path) -> list[Entry]:
    """The pictures of a shard; of a truncated shard, those before the cut."""
    entries: list[Entry] = []
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                    entries.append(Entry(f"{shard.name}/{member.name}", shard, member.offset_data, member.size))
    except (tarfile.TarError, OSError) as error:
        log.warning("%s is damaged (%s): %d pictures of it are used", shard.name, error, len(entries))
    return entries

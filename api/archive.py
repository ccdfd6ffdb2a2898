"""A ZIP whose every byte is known before it is sent: it has a length, and may be sent from any byte on.

The plan holds the layout of the ZIP in files on disk if it is large; the pictures are read while they are sent.
Entries are stored, because pictures are compressed already (APPNOTE.TXT 6.3.10 of PKWARE).
"""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import IO, NamedTuple, Self

from cleanplate.base.names import UniquePaths

#: Bytes of a plan that is held in memory; a larger one is a file.
_IN_MEMORY = 1 << 20
#: Bytes that are sent at once.
_PIECE = 256 * 1024
_LIMIT = 0xFFFFFFFF
_MANY = 0xFFFF

#: Reads the bytes under a key, in pieces.
Read = Callable[[str], Iterator[bytes]]


class ArchiveChanged(Exception):
    """A file is no longer the one that the plan counts on; the ZIP breaks off."""


class _Content(NamedTuple):
    """The data of an entry: under a key, or in the plan's file of texts."""

    size: int
    crc: int
    key: str
    text_at: int = 0


@dataclass(frozen=True)
class _Piece:
    """A part of the ZIP: the local header of an entry and its data."""

    start: int
    header: bytes
    content: _Content


class ZipPlan:
    """The layout of a ZIP. Add its entries, then :meth:`finish`; then it can be sent, also in parts."""

    def __init__(self) -> None:
        self._files = ExitStack()
        self._pieces, self._directory, self._texts = (self._files.enter_context(_spool()) for _ in range(3))
        self._names = UniquePaths()
        self._digest = hashlib.sha256()
        self._count = 0
        self._directory_at = 0
        #: In bytes; final after :meth:`finish`.
        self.length = 0

    @property
    def etag(self) -> str:
        """A hash of all names and contents."""
        return self._digest.hexdigest()[:40]

    def close(self) -> None:
        """Drop the plan's files."""
        self._files.close()

    def add(self, path: str, time: datetime, *, size: int, crc: int, key: str) -> str:
        """Add the file under a key; returns its path in the ZIP."""
        return self._add(path, time, _Content(size, crc, key))

    def add_text(self, path: str, time: datetime, file: IO[bytes]) -> None:
        """Add the content of a file, which the plan copies."""
        file.seek(0)
        start, crc = self._texts.seek(0, 2), 0
        while data := file.read(_PIECE):
            self._texts.write(data)
            crc = zlib.crc32(data, crc)
        self._add(path, time, _Content(self._texts.tell() - start, crc, "", start))

    def _add(self, path: str, time: datetime, content: _Content) -> str:
        name = self._names.of(path)
        entry = zipfile.ZipInfo(name, date_time=max(time, datetime(1980, 1, 1, tzinfo=time.tzinfo)).timetuple()[:6])
        entry.external_attr = 0o644 << 16
        entry.create_system = 3
        entry.CRC, entry.compress_size, entry.file_size = content.crc, content.size, content.size
        header = entry.FileHeader()
        self._pieces.write(json.dumps([self.length, header.hex(), content]).encode() + b"\n")
        self._directory.write(_directory_entry(entry, header, self.length))
        self._digest.update(json.dumps([name, content.size, content.crc]).encode())
        self.length += len(header) + content.size
        self._count += 1
        return name

    def finish(self) -> None:
        """Write the directory's end: no entry follows."""
        self._directory_at = self.length
        size = self._directory.tell()
        if self._count >= _MANY or size >= _LIMIT or self._directory_at >= _LIMIT:
            end = (44, 45, 45, 0, 0, self._count, self._count, size, self._directory_at)
            self._directory.write(struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", *end))
            self._directory.write(struct.pack("<4sLQL", b"PK\x06\x07", 0, self._directory_at + size, 1))
        count = min(self._count, _MANY)
        places = (min(size, _LIMIT), min(self._directory_at, _LIMIT))
        self._directory.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, *places, 0))
        self.length += self._directory.tell()

    def read_from(self, start: int, read: Read) -> Iterator[bytes]:
        """The ZIP's bytes from ``start`` on. Raises ArchiveChanged."""
        self._pieces.seek(0)
        for line in self._pieces:
            piece = _piece(line)
            end = piece.start + len(piece.header) + piece.content.size
            if end <= start:
                continue
            skipped = max(0, start - piece.start)
            if skipped < len(piece.header):
                yield piece.header[skipped:]
            content = _checked(read(piece.content.key), piece) if piece.content.key else self._text(piece)
            yield from _behind(content, max(0, skipped - len(piece.header)))
        self._directory.seek(max(0, start - self._directory_at))
        while data := self._directory.read(_PIECE):
            yield data

    def _text(self, piece: _Piece) -> Iterator[bytes]:
        for start in range(0, piece.content.size, _PIECE):
            self._texts.seek(piece.content.text_at + start)
            yield self._texts.read(min(_PIECE, piece.content.size - start))


class ZipStream:
    """A finished plan as a body that can be sent from any byte on."""

    def __init__(self, plan: ZipPlan, read: Read) -> None:
        self._plan = plan
        self._read = read
        self._position = 0
        self._bytes: Iterator[bytes] | None = None

    def seekable(self) -> bool:
        return True

    def seek(self, position: int) -> int:
        self._position, self._bytes = position, None
        return position

    def tell(self) -> int:
        return self._position

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._bytes is None:
            self._bytes = self._plan.read_from(self._position, self._read)
        data = next(self._bytes)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Drop the plan."""
        self._plan.close()


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_IN_MEMORY)


def _piece(line: bytes) -> _Piece:
    start, header, content = json.loads(line)
    return _Piece(start, bytes.fromhex(header), _Content(*content))


def _checked(pieces: Iterator[bytes], piece: _Piece) -> Iterator[bytes]:
    """The bytes of an entry; raises ArchiveChanged before the last ones of a file that is another by now."""
    size, crc, held = 0, 0, b""
    for data in pieces:
        size, crc = size + len(data), zlib.crc32(data, crc)
        if size > piece.content.size:
            break
        yield held
        held = data
    if (size, crc) != (piece.content.size, piece.content.crc):
        raise ArchiveChanged(f"{piece.content.key} has changed while it was sent")
    yield held


def _behind(pieces: Iterator[bytes], start: int) -> Iterator[bytes]:
    """The bytes from ``start`` on."""
    for data in pieces:
        if start < len(data):
            yield data[start:]
        start = max(0, start - len(data))


def _directory_entry(entry: zipfile.ZipInfo, header: bytes, start: int) -> bytes:
    """The entry of the central directory for a local header at ``start``; large values go into its ZIP64 field."""
    flags, _, time, date = struct.unpack_from("<4H", header, 6)
    name = header[30 : 30 + struct.unpack_from("<H", header, 26)[0]]
    large = [value for value in (entry.file_size, entry.compress_size, start) if value >= _LIMIT]
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    version = 45 if large else 20
    fields = struct.pack(
        "<4s4B4H3L5H2L",
        b"PK\x01\x02",
        version, entry.create_system, version, 0,
        flags, zipfile.ZIP_STORED, time, date,
        entry.CRC, min(entry.compress_size, _LIMIT), min(entry.file_size, _LIMIT),
        len(name), len(extra), 0, 0, 0,
        entry.external_attr, min(start, _LIMIT),
    )  # fmt: skip
    return fields + name + extra

"""Writes a ZIP while it is sent: a piece of a picture in memory at a time, entry names made unique."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime

from cleanplate.base.names import UniqueNames


def stream_zip(files: Iterable[tuple[str, datetime, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yields a ZIP file of ``(name, time, pieces)`` in pieces. Entries are stored: pictures are compressed already."""
    sink = _Sink()
    names = UniqueNames()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, time, pieces in files:
            entry = zipfile.ZipInfo(names.of(name), date_time=time.timetuple()[:6])
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w") as file:
                for piece in pieces:
                    file.write(piece)
                    yield sink.take()
            yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """The ZIP's output, which cannot seek back."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """The bytes written since the last call."""
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole

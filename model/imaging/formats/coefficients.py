"""A JPEG's DCT coefficients, read and written with libjpeg, so that untouched blocks stay bit for bit.

The extension ``_dct.c`` does it in memory, each thread for itself. Without it (no compiler or no headers of libjpeg
where the package was installed) jpeglib does, one thread at a time and without restart markers.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import Any

import mozjpeg_lossless_optimization as lossless
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.imaging.formats import segments
from model.imaging.formats.segments import Segment

try:
    from model.imaging.formats import _dct as _library
except ImportError:
    from model.imaging.formats import coefficients_jpeglib as _library  # type: ignore[no-redef]

#: Whether the extension is there.
IN_MEMORY = _library.__name__.endswith("._dct")
#: What both raise on files that they cannot read or write.
_UNREADABLE = (OSError, ValueError, IndexError, TypeError)


class NotSpliceable(Exception):
    """The coefficients cannot be copied; the message is the reason."""


@dataclass(frozen=True)
class Component:
    """One component: its blocks, ``int16 [rows, columns, 8, 8]`` in all, its table and its sampling."""

    rows: int
    columns: int
    #: ``float32 [8, 8]``.
    table: NDArray[np.float32]
    #: Pixels to a sample.
    across: int
    down: int


class Coefficients:
    """The coefficients of one file. One thread at a time works on them."""

    def __init__(self, data: bytes) -> None:
        """Raises NotSpliceable: the file's coding is one that cannot be written back."""
        self._headers = _headers(data)
        try:
            self._inner: Any = _library.Coefficients(data)
            self.components = _components(self._inner.components())
        except _UNREADABLE as error:
            raise NotSpliceable(f"its coefficients cannot be read ({error})") from error

    @property
    def mcu(self) -> tuple[int, int]:
        """Height and width of an MCU in px."""
        return 8 * max(part.down for part in self.components), 8 * max(part.across for part in self.components)

    def blocks(self, component: int, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.int16]:
        """A component's blocks ``[n, 8, 8]`` at ``rows`` and ``columns`` (``[n]``)."""
        return np.frombuffer(self._inner.get(component, _places(rows, columns)), np.int16).reshape(-1, 8, 8)

    def replace(self, component: int, rows: NDArray[Any], columns: NDArray[Any], blocks: NDArray[np.int16]) -> None:
        """Replace a component's blocks at ``rows`` and ``columns`` by ``blocks`` (``[n, 8, 8]``)."""
        self._inner.put(component, _places(rows, columns), np.ascontiguousarray(blocks))

    def written(self) -> bytes:
        """The file with these coefficients, without the segments that describe the picture.

        Raises:
            NotSpliceable: they cannot be written.
        """
        try:
            data: bytes = self._inner.write(_optimised(self._headers))
        except _UNREADABLE as error:
            raise NotSpliceable(f"its coefficients cannot be written ({error})") from error
        if segments.frame(self._headers).marker in segments.PROGRESSIVE:
            data = bytes(lossless.optimize(data, copy=lossless.COPY_MARKERS.NONE))
        return data

    def equal(self, other: Coefficients, component: int, left_out: NDArray[np.bool_]) -> bool:
        """Whether a component's blocks equal those of ``other``, but for the blocks ``left_out [rows, columns]``."""
        return bool(self._inner.equal(other._inner, component, np.ascontiguousarray(left_out, np.uint8)))


def _places(rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.int32]:
    return np.stack((rows, columns), axis=1).astype(np.int32)


def _headers(data: bytes) -> list[Segment]:
    try:
        headers, _ = segments.split(data)
        frame = segments.frame(headers)
    except ValueError as error:
        raise NotSpliceable(str(error)) from error
    if frame.marker in segments.ARITHMETIC:
        raise NotSpliceable("it is coded arithmetically")
    if frame.content[0] != 8:
        raise NotSpliceable(f"it has {frame.content[0]} bits a sample")
    return headers


def _components(parts: tuple[tuple[int, int, int, int, bytes], ...]) -> tuple[Component, ...]:
    # A single component's MCU is a block, whatever it states.
    sampling = np.array([part[2:4] if len(parts) > 1 else (1, 1) for part in parts])
    most_down, most_across = sampling.max(axis=0)
    if (np.array((most_down, most_across)) % sampling).any():
        raise NotSpliceable("its components are sampled in ratios that are no whole numbers")
    tables = [np.frombuffer(part[4], np.uint16).reshape(8, 8).astype(np.float32) for part in parts]
    if any((table == 0).any() for table in tables):
        raise NotSpliceable("a quantisation table of it holds a zero")
    return tuple(
        Component(part[0], part[1], table, int(most_across // across), int(most_down // down))
        for part, table, (down, across) in zip(parts, tables, sampling, strict=True)
    )


def _optimised(headers: list[Segment]) -> bool:
    """Whether the file's Huffman tables differ from those of T.81, annex K."""
    brought = [segment.content for segment in headers if segment.marker == segments.DHT]
    return any(table not in _standard_tables() for content in brought for table in _tables(content))


@functools.cache
def _standard_tables() -> frozenset[bytes]:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    headers, _ = segments.split(out.getvalue())
    brought = [segment.content for segment in headers if segment.marker == segments.DHT]
    return frozenset(table for content in brought for table in _tables(content))


def _tables(content: bytes) -> list[bytes]:
    """The Huffman tables of a DHT segment, without their class and number."""
    tables, at = [], 0
    while at + 17 <= len(content):
        size = 17 + sum(content[at + 1 : at + 17])
        tables.append(content[at + 1 : at + size])
        at += size
    return tables

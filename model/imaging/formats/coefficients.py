"""A JPEG's DCT coefficients, read and written with libjpeg (jpeglib), so that untouched blocks stay bit for bit.

jpeglib reads four components and writes the first three itself; it copies the fourth from the file that gives it the
parameters. So the fourth is written to such a file first, as a single scan under the source's frame header (ITU-T T.81,
annex A.2.2), whose other components need no scan.
"""

from __future__ import annotations

import functools
import io
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jpeglib
import mozjpeg_lossless_optimization as lossless
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.imaging.formats import segments
from model.imaging.formats.segments import Segment

#: jpeglib keeps its state in global variables.
_ONE_AT_A_TIME = threading.Lock()
#: The components of a JPEG by jpeglib's names.
_NAMES = ("Y", "Cb", "Cr", "K")


class NotSpliceable(Exception):
    """The coefficients cannot be copied; the message is the reason."""


@dataclass(frozen=True)
class Component:
    """One component's coefficients, ``int16 [rows, columns, 8, 8]``, its table and its sampling."""

    coefficients: NDArray[np.int16]
    table: NDArray[np.float32]
    across: int
    down: int


def edited(data: bytes, edit: Callable[[list[Component]], None]) -> bytes:
    """``data`` with its coefficients changed by ``edit`` in place, without segments that describe the picture.

    Raises:
        NotSpliceable: the file's coding is one that cannot be written back.
    """
    headers = _headers(data)
    frame = segments.frame(headers)
    with _ONE_AT_A_TIME, tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.jpg", Path(folder) / "target.jpg"
        source.write_bytes(data)
        try:
            jpeg = jpeglib.read_dct(str(source))
            components = _components(jpeg)
            edit(components)
            for name, component in zip(_NAMES, components, strict=False):
                setattr(jpeg, name, component.coefficients)
            if len(components) == 4:
                jpeg.content = _with_scan_of_last(headers, components[3], Path(folder))
            flags = ["+OPTIMIZE_CODING"] if _optimised(headers) else []
            jpeg.qt = _AS_THEY_ARE
            jpeg.write_dct(str(target), flags=flags)
        except (OSError, ValueError, IndexError, TypeError) as error:
            raise NotSpliceable(f"its coefficients cannot be read ({error})") from error
        written = target.read_bytes()
    if frame.marker in segments.PROGRESSIVE:
        written = bytes(lossless.optimize(written, copy=lossless.COPY_MARKERS.NONE))
    return written


#: Tells jpeglib to take the tables and the component numbers from the file that gives the parameters.
_AS_THEY_ARE = -1


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


def _components(jpeg: Any) -> list[Component]:
    planes = [getattr(jpeg, name) for name in _NAMES[: jpeg.num_components]]
    sampling = np.asarray(jpeg.samp_factor)
    if jpeg.num_components == 1:
        sampling = np.ones((1, 2), int)  # a single component's MCU is a block, whatever it states
    most_down, most_across = sampling.max(axis=0)
    if (np.array((most_down, most_across)) % sampling).any():
        raise NotSpliceable("its components are sampled in ratios that are no whole numbers")
    return [
        Component(
            plane,
            np.asarray(jpeg.get_component_qt(index), np.float32),
            int(most_across // sampling[index, 1]),
            int(most_down // sampling[index, 0]),
        )
        for index, plane in enumerate(planes)
    ]


def _with_scan_of_last(headers: list[Segment], component: Component, folder: Path) -> bytes:
    """A file with the tables and the frame header of ``headers`` that holds only ``component``, as its last."""
    alone = folder / "alone.jpg"
    grey = jpeglib.from_dct(component.coefficients, qt=component.table[None].astype(np.uint16))
    grey.write_dct(str(alone), flags=["+OPTIMIZE_CODING"])
    own, scan = segments.split(alone.read_bytes())
    frame = segments.frame(headers).content
    tables = [part for part in headers if part.marker in (segments.APP14, segments.DQT)]
    codes = [part for part in own if part.marker == segments.DHT]
    sequential = Segment(segments.SOF1, frame)
    last = frame[6 + 3 * (frame[5] - 1)]
    # SOS: marker, length, one component, its number.
    scan = scan[:5] + bytes((last,)) + scan[6:]
    return b"\xff\xd8" + b"".join(part.bytes for part in (*tables, sequential, *codes)) + scan


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

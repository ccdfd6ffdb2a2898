"""A JPEG's DCT coefficients by jpeglib, where the extension ``_dct.c`` is not built: the same calls, far slower.

jpeglib keeps its state in global variables, so that one thread of a process reads or writes at a time. It reads four
components and writes the first three itself; it copies the fourth from the file that gives it the parameters. So the
fourth is written to such a file first, as a single scan under the source's frame header (ITU-T T.81, annex A.2.2),
whose other components need no scan.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import jpeglib
import numpy as np
from numpy.typing import NDArray

from model.imaging.formats import segments
from model.imaging.formats.segments import Segment

_ONE_AT_A_TIME = threading.Lock()
#: The components of a JPEG by jpeglib's names.
_NAMES = ("Y", "Cb", "Cr", "K")
#: Tells jpeglib to take the tables and the component numbers from the file that gives the parameters.
_AS_THEY_ARE = -1


class Coefficients:
    """The coefficients of one file; see ``_dct.pyi``."""

    def __init__(self, data: bytes) -> None:
        """Raises OSError, ValueError, IndexError or TypeError: they cannot be read."""
        self._headers, _ = segments.split(data)
        with _ONE_AT_A_TIME, tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source.jpg"
            source.write_bytes(data)
            self._jpeg = jpeglib.read_dct(str(source))
            names = _NAMES[: self._jpeg.num_components]
            self._planes: list[NDArray[np.int16]] = [getattr(self._jpeg, name) for name in names]

    def components(self) -> tuple[tuple[int, int, int, int, bytes], ...]:
        return tuple(
            (*plane.shape[:2], *(int(factor) for factor in factors), self._table(index).tobytes())
            for index, (plane, factors) in enumerate(zip(self._planes, self._jpeg.samp_factor, strict=False))
        )

    def get(self, component: int, places: NDArray[np.int32]) -> NDArray[np.int16]:
        return np.ascontiguousarray(self._planes[component][places[:, 0], places[:, 1]])

    def put(self, component: int, places: NDArray[np.int32], blocks: NDArray[np.int16]) -> None:
        self._planes[component][places[:, 0], places[:, 1]] = blocks

    def write(self, optimised: bool) -> bytes:
        for name, plane in zip(_NAMES, self._planes, strict=False):
            setattr(self._jpeg, name, plane)
        with _ONE_AT_A_TIME, tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "target.jpg"
            if len(self._planes) == 4:
                self._jpeg.content = self._with_scan_of_last(Path(folder))
            self._jpeg.qt = _AS_THEY_ARE
            self._jpeg.write_dct(str(target), flags=["+OPTIMIZE_CODING"] if optimised else [])
            return target.read_bytes()

    def equal(self, other: Coefficients, component: int, left_out: NDArray[np.uint8]) -> bool:
        mine, others = self._planes[component], other._planes[component]
        return mine.shape == others.shape and not ((mine != others).any(axis=(2, 3)) & (left_out == 0)).any()

    def _table(self, component: int) -> NDArray[np.uint16]:
        return np.asarray(self._jpeg.get_component_qt(component), np.uint16)

    def _with_scan_of_last(self, folder: Path) -> bytes:
        """A file with the tables and the frame header of the source that holds only the last component."""
        alone = folder / "alone.jpg"
        grey = jpeglib.from_dct(self._planes[3], qt=self._table(3)[None])
        grey.write_dct(str(alone), flags=["+OPTIMIZE_CODING"])
        own, scan = segments.split(alone.read_bytes())
        frame = segments.frame(self._headers).content
        tables = [part for part in self._headers if part.marker in (segments.APP14, segments.DQT)]
        codes = [part for part in own if part.marker == segments.DHT]
        sequential = Segment(segments.SOF1, frame)
        last = frame[6 + 3 * (frame[5] - 1)]
        # SOS: marker, length, one component, its number.
        scan = scan[:5] + bytes((last,)) + scan[6:]
        return b"\xff\xd8" + b"".join(part.bytes for part in (*tables, sequential, *codes)) + scan

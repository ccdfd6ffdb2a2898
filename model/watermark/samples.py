"""The samples of an estimate: read once, without duplicates, and kept on disk in a format that is fast to read.

Memory is bounded for any number of samples: one picture is held at a time, and surplus samples are not read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.evidence import look_alikes

Pixels = NDArray[np.uint8]

#: Most samples, beyond which an estimate hardly improves, and most bytes of samples on disk.
MOST_SAMPLES, MOST_BYTES = 200, 3 << 30
#: Two pictures are duplicates if their thumbnails differ by at most this, in levels: on average, and in any cell.
_SAME_MEAN, _SAME_MOST = 1.5, 14.0
_THUMB = 24


@dataclass(frozen=True)
class Sample:
    """A picture that may carry the mark."""

    name: str
    #: Reads it in the viewing orientation, ``uint8 [H, W, 3]``; ``None`` if it cannot be read.
    load: Callable[[], Pixels | None]


class Spool:
    """Decoded pictures in a temporary folder, which is removed when the spool is closed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cleanplate-marks-")
        self._files: list[tuple[Path, tuple[int, int]]] = []
        self._thumbs: list[NDArray[np.float32]] = []
        self.names: list[str] = []
        self.nbytes = 0
        self._windows = 0

    def add(self, name: str, pixels: Pixels) -> bool:
        """Store a picture; ``False`` if it is a duplicate."""
        small = cv2.resize(pixels, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).astype(np.float32)
        for other, (_, size) in zip(self._thumbs, self._files, strict=True):
            apart = np.abs(small - other)
            if size == pixels.shape[:2] and apart.mean() < _SAME_MEAN and apart.max() < _SAME_MOST:
                return False
        path = Path(self._folder.name) / f"{len(self._files)}.raw"
        np.ascontiguousarray(pixels).tofile(path)
        self._files.append((path, (int(pixels.shape[0]), int(pixels.shape[1]))))
        self._thumbs.append(small)
        self.names.append(name)
        self.nbytes += pixels.nbytes
        return True

    @property
    def most(self) -> int:
        """Most pictures to store."""
        return MOST_SAMPLES

    @property
    def full(self) -> bool:
        return len(self._files) >= MOST_SAMPLES or self.nbytes >= MOST_BYTES

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each."""
        return [size for _, size in self._files]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Pixels:
        path, size = self._files[index]
        return np.fromfile(path, np.uint8).reshape(*size, 3)

    def alike(self, indices: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of these pictures look alike: ``bool [N, N]``."""
        every = look_alikes(np.stack(self._thumbs))
        return np.asarray(every[np.ix_(indices, indices)])

    def windows(self, count: int, height: int, width: int) -> Pixels:
        """An array on disk for ``count`` windows: ``uint8 [count, height, width, 3]``."""
        self._windows += 1
        path = Path(self._folder.name) / f"{self._windows}.windows"
        return np.memmap(path, np.uint8, "w+", shape=(count, height, width, 3))

    def close(self) -> None:
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def chosen(samples: Sequence[Sample]) -> list[Sample]:
    """The samples in reading order; any first part of it is spread over all samples."""
    return [samples[int(index)] for index in np.random.default_rng(len(samples)).permutation(len(samples))]

"""Marks repeated over the whole picture: their period, and the phase in each picture.

The autocorrelation of gradients shows the period and does not depend on the phase. Each picture is folded by the period
into one cell, and cross-correlation of the cells gives the phases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

Values = NDArray[np.float32]
Spectrum = NDArray[np.complex64]
Vector = tuple[float, float]

#: Shortest period in px; least height of an autocorrelation peak over its noise, and as a share of the highest peak.
_SHORTEST, _LEAST_Z, _LEAST_SHARE = 24.0, 14.0, 0.55
#: Parts into which periods are divided, further ones in steps; the least energy that a finer lattice explains, as a
#: share of what the coarser one does; the error of whole numbers; and the side over which strength is local, in px.
_PARTS, _AS_WELL, _WHOLE, _LOCAL = (2, 3, 5), 0.95, 1e-3, 25

#: Most periods between two places of one window.
_REPETITIONS = 3


@dataclass(frozen=True)
class Lattice:
    """Two periods of the pattern, as (x, y) in px."""

    first: Vector
    second: Vector

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The matrix from periods to pixels; its columns are the periods."""
        return np.array([[self.first[0], self.second[0]], [self.first[1], self.second[1]]])

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the box around one cell."""
        return (
            int(np.ceil(abs(self.first[1]) + abs(self.second[1]))),
            int(np.ceil(abs(self.first[0]) + abs(self.second[0]))),
        )

    @property
    def bins(self) -> tuple[int, int]:
        """Number of bins of about a pixel along the second and the first period."""
        return max(4, round(float(np.hypot(*self.second)))), max(4, round(float(np.hypot(*self.first))))

    def reduced(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Values, Values]:
        """Places relative to the middle of the nearest cell, in px, for places relative to any of them."""
        inverse = np.linalg.inv(self.matrix)
        u = inverse[0, 0] * x + inverse[0, 1] * y
        v = inverse[1, 0] * x + inverse[1, 1] * y
        u -= np.floor(u + 0.5)
        v -= np.floor(v + 0.5)
        return (
            np.asarray(self.first[0] * u + self.second[0] * v, np.float32),
            np.asarray(self.first[1] * u + self.second[1] * v, np.float32),
        )

    def fold(self, field: Values) -> Values:
        """The mean cell of ``[C, H, W]``: ``[C, *bins]``."""
        height, width = field.shape[1:]
        inverse, (rows, columns) = np.linalg.inv(self.matrix), self.bins
        y, x = np.mgrid[:height, :width].astype(np.float64)
        u = np.floor((inverse[0, 0] * x + inverse[0, 1] * y) % 1 * columns).astype(np.int64) % columns
        v = np.floor((inverse[1, 0] * x + inverse[1, 1] * y) % 1 * rows).astype(np.int64) % rows
        place = (v * columns + u).ravel()
        count = np.maximum(np.bincount(place, minlength=rows * columns), 1)
        cells = [np.bincount(place, plane.ravel(), minlength=rows * columns) / count for plane in field]
        return np.asarray(cells, np.float32).reshape(len(field), rows, columns)

    def averaged(self, values: Values) -> Values:
        """The mean of ``[..., H, W]`` over all repetitions of each place that lie inside."""
        height, width = values.shape[-2:]
        total, count = np.zeros_like(values), np.zeros((height, width), np.float32)
        reach = np.arange(-_REPETITIONS, _REPETITIONS + 1)
        every = self.matrix @ np.stack([axis.ravel() for axis in np.meshgrid(reach, reach)])
        for across, down in np.rint(every).astype(int).T:
            if abs(down) >= height or abs(across) >= width:
                continue
            rows, columns = slice(max(down, 0), height + min(down, 0)), slice(max(across, 0), width + min(across, 0))
            there = slice(max(-down, 0), height - max(down, 0)), slice(max(-across, 0), width - max(across, 0))
            total[..., rows, columns] += values[..., there[0], there[1]]
            count[rows, columns] += 1
        return np.asarray(total / count, np.float32)

    def divided(self, steps: tuple[int, int], parts: int) -> Lattice:
        """The lattice with further cells at ``steps`` of ``parts`` of its periods, by its shortest periods."""
        extra = self.matrix @ np.array(steps) / parts
        reach = np.arange(-parts, parts + 1)
        first, second, third = (axis.ravel() for axis in np.meshgrid(reach, reach, np.arange(parts)))
        every = (self.matrix @ np.stack((first, second))).T + third[:, None] * extra
        every = every[np.argsort(np.round(np.hypot(*every.T), 6), kind="stable")][1:]
        one, lengths = every[0], np.hypot(*every.T)
        aside = np.abs(one[0] * every[:, 1] - one[1] * every[:, 0]) > 0.3 * lengths[0] * lengths
        other = every[int(np.argmax(aside))]
        return Lattice((float(one[0]), float(one[1])), (float(other[0]), float(other[1])))

    def offset(self, row: float, column: float) -> Vector:
        """A shift in bins, as (x, y) in px."""
        rows, columns = self.bins
        x, y = self.matrix @ np.array((column / columns, row / rows))
        return float(x), float(y)


class Autocorrelation:
    """The summed autocorrelation of gradient fields, for pictures of any size up to ``height`` x ``width``."""

    def __init__(self, height: int, width: int) -> None:
        self._shape = next_fast_len(2 * height, real=True), next_fast_len(2 * width, real=True)
        self._limit = height, width
        self._power = np.zeros((self._shape[0], self._shape[1] // 2 + 1), np.float32)
        self._overlap = np.zeros((height, width), np.float32)

    def add(self, field: Values) -> None:
        """``field``: ``float32 [C, H, W]``."""
        for plane in field:
            spectrum = rfft2(plane, self._shape)
            self._power += np.abs(spectrum) ** 2
        height, width = field.shape[1:]
        rows = np.maximum(height - np.arange(self._limit[0]), 0)
        columns = np.maximum(width - np.arange(self._limit[1]), 0)
        self._overlap += (rows[:, None] * columns[None, :]).astype(np.float32)

    def lattice(self, fields: Iterable[Values]) -> Lattice | None:
        """The shared period of the pictures; ``None`` without one. ``fields``: those of some of them."""
        z = self._z()
        coarse = self._coarse(z)
        return None if coarse is None else _finest(coarse, [rfft2(coarse.fold(one)) for one in fields], z)

    def _coarse(self, z: Values) -> Lattice | None:
        """The lattice of the highest peaks: the pattern's, or a part of it."""
        peaks = _peaks(z, (self._shape[0] // 2, self._shape[1] // 2))
        if len(peaks) < 2:
            return None
        first = peaks[0][1]
        for _, second in peaks[1:]:
            cross = abs(first[0] * second[1] - first[1] * second[0])
            if cross < 0.3 * np.hypot(*first) * np.hypot(*second):
                continue
            both = (first[0] + second[0], first[1] + second[1]), (first[0] - second[0], first[1] - second[1])
            if max(_at(z, one) for one in both) > 0.5 * _LEAST_Z:
                return Lattice(_refined(z, first), _refined(z, second))
        return None

    def _z(self) -> Values:
        """The autocorrelation over its noise, centred: ``[2 H', 2 W']`` with the shift 0 in the middle."""
        full = np.fft.fftshift(irfft2(self._power, self._shape))
        middle = full.shape[0] // 2, full.shape[1] // 2
        down = np.abs(np.arange(full.shape[0]) - middle[0])
        across = np.abs(np.arange(full.shape[1]) - middle[1])
        inside = (down < 0.75 * self._limit[0])[:, None] & (across < 0.75 * self._limit[1])[None, :]
        overlap = self._overlap[np.minimum(down, self._limit[0] - 1)][:, np.minimum(across, self._limit[1] - 1)]
        enough = inside & (overlap > 0.08 * self._overlap[0, 0])
        mean = np.where(enough, full / np.maximum(overlap, 1), 0).astype(np.float32)
        mean -= cv2.blur(mean, (25, 25))
        # Borders of JPEG blocks repeat every 8 px: each place is compared with those of the same remainder.
        for row in range(8):
            for column in range(8):
                part, known = mean[row::8, column::8], enough[row::8, column::8]
                if known.any():
                    part -= np.median(part[known])
        # Noise grows as the overlap shrinks.
        scaled = np.where(enough, mean * np.sqrt(overlap), 0).astype(np.float32)
        spread = 1.4826 * float(np.median(np.abs(scaled[enough])))
        return np.asarray(scaled / max(spread, 1e-12), np.float32)


def _peaks(z: Values, middle: tuple[int, int]) -> list[tuple[float, Vector]]:
    """Peaks in the right half, the shortest period first."""
    smooth = np.asarray(cv2.GaussianBlur(z, (0, 0), 0.7), np.float32)
    highest = smooth >= cv2.dilate(smooth, np.ones((11, 11), np.uint8))
    rows, columns = np.nonzero(highest & (smooth > _LEAST_Z * 0.5))
    peaks = []
    for row, column in zip(rows, columns, strict=True):
        y, x = int(row) - middle[0], int(column) - middle[1]
        if np.hypot(x, y) >= _SHORTEST and (x > 0 or (x == 0 and y > 0)) and z[row, column] > _LEAST_Z:
            peaks.append((float(z[row, column]), (float(x), float(y))))
    if not peaks:
        return []
    top = max(height for height, _ in peaks)
    return sorted((peak for peak in peaks if peak[0] > _LEAST_SHARE * top), key=lambda peak: float(np.hypot(*peak[1])))


def _finest(lattice: Lattice, spectra: list[Spectrum], z: Values) -> Lattice:
    """The finest lattice that explains the cells of some pictures, of ``lattice`` and those that refine it.

    Goods hide the middle of most pictures. Places at which two repetitions both show then lie several periods apart,
    and the highest peaks are multiples of the period.

    ``spectra``: of the cells by ``lattice``; ``z``: the autocorrelation.
    """
    bins, inverse = lattice.bins, np.linalg.inv(lattice.matrix)
    rows, columns = np.rint(np.fft.fftfreq(bins[0], 1 / bins[0])), np.arange(bins[1] // 2 + 1)
    best, most = lattice, _explained(spectra, np.ones((bins[0], len(columns)), np.bool_), bins)
    while True:
        found: tuple[float, Lattice] | None = None
        for parts in _PARTS:
            for steps in (*((1, step) for step in range(parts)), (0, 1)):
                finer = best.divided(steps, parts)
                if min(np.hypot(*finer.first), np.hypot(*finer.second)) < _SHORTEST:
                    continue
                if min(_at(z, finer.first), _at(z, finer.second)) < 0.5 * _LEAST_Z:
                    continue
                # A cell that repeats itself has the frequencies of the finer lattice alone.
                kept = np.ones((bins[0], len(columns)), np.bool_)
                for across, down in (inverse @ finer.matrix).T:
                    turns = rows[:, None] * down + columns[None, :] * across
                    kept &= np.abs(turns - np.rint(turns)) < _WHOLE
                energy = _explained(spectra, kept, bins)
                if energy > _AS_WELL * most and (found is None or energy > found[0]):
                    found = energy, finer
        if found is None:
            return best
        most, best = max(most, found[0]), found[1]


def _at(z: Values, vector: Vector, reach: int = 2) -> float:
    row, column = round(vector[1]) + z.shape[0] // 2, round(vector[0]) + z.shape[1] // 2
    part = z[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
    return float(part.max()) if part.size else 0.0


def _refined(z: Values, vector: Vector) -> Vector:
    """The period with sub-pixel precision, from its farthest visible multiple."""
    best = vector
    for times in (2, 3, 4):
        row, column = round(times * best[1]) + z.shape[0] // 2, round(times * best[0]) + z.shape[1] // 2
        if not (3 <= row < z.shape[0] - 3 and 3 <= column < z.shape[1] - 3):
            break
        part = z[row - 2 : row + 3, column - 2 : column + 3]
        if part.max() < 0.5 * _LEAST_Z:
            break
        down, across = np.unravel_index(int(np.argmax(part)), part.shape)
        best = (
            (column + int(across) - 2 - z.shape[1] // 2) / times,
            (row + int(down) - 2 - z.shape[0] // 2) / times,
        )
    return best


def phases(lattice: Lattice, fields: Iterable[Values], rounds: int = 3) -> list[Vector]:
    """The phase of the pattern in each picture, as (x, y) in px, relative to a common cell."""
    offsets, _ = _stacked([rfft2(lattice.fold(one)) for one in fields], lattice.bins, rounds)
    return [lattice.offset(row, column) for row, column in offsets]


def _stacked(
    spectra: list[Spectrum], bins: tuple[int, int], rounds: int = 3
) -> tuple[list[tuple[int, int]], list[Spectrum]]:
    """The offsets, in bins, at which cells with these spectra agree, and the spectra moved back by them."""
    # The picture with the clearest repetition is the first reference.
    energy = [float((np.abs(one[:, 1:, 1:]) ** 2).sum()) for one in spectra]
    total = spectra[int(np.argmax(energy))]
    own: list[Spectrum] = [np.zeros_like(total)] * len(spectra)
    offsets: list[tuple[int, int]] = []
    for _ in range(rounds):
        offsets, turned = [], []
        for one, before in zip(spectra, own, strict=True):
            # A picture's own cell would agree with itself wherever it lay before.
            match = irfft2((one * np.conj(total - before)).sum(axis=0), bins)
            # Over grounds that are darker than the mark, its edges are turned round.
            row, column = (int(value) for value in np.unravel_index(int(np.argmax(np.abs(match))), bins))
            offsets.append((row, column))
            turned.append(np.asarray(np.sign(match[row, column]) * one * _turned(row, column, *bins), np.complex64))
        own, total = turned, np.sum(turned, axis=0)
    return offsets, own


def _explained(spectra: list[Spectrum], kept: NDArray[np.bool_], bins: tuple[int, int]) -> float:
    """The energy of the cells that the others' frequencies ``kept`` explain, at any local strength."""
    offsets, own = _stacked([one * kept for one in spectra], bins)
    total, energy = np.sum(own, axis=0), 0.0
    for one, before, (row, column) in zip(spectra, own, offsets, strict=True):
        cell = irfft2(one * _turned(row, column, *bins), bins)
        others = irfft2(total - before, bins)
        both, size = (cv2.blur((part * others).sum(axis=0), (_LOCAL, _LOCAL)) for part in (cell, others))
        energy += float((np.square(both) / np.maximum(size, 1e-3 * size.mean() + 1e-12)).sum())
    return energy


def _turned(row: int, column: int, rows: int, columns: int) -> NDArray[np.complex64]:
    """The factor that moves a cell's spectrum back by ``row`` and ``column``."""
    down = np.fft.fftfreq(rows)[:, None] * row
    across = np.fft.rfftfreq(columns)[None, :] * column
    return np.exp(2j * np.pi * (down + across)).astype(np.complex64)

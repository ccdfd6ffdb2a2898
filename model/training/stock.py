"""Decoded photos on the device, and crops of them.

A stock holds as many photos as the recipe allows; threads decode the next stock while the present one is in use. The
photos of a stock and the crops of a step depend on the seed alone.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from model.training.photos import Photos, Pixels

#: Source pixels are averaged on a grid of this many points a side for each pixel of a crop.
_POINTS = 4


class Stock:
    """Photos of any sizes in one flat tensor, so that a batch of crops is one gather."""

    def __init__(self, photos: list[Pixels], device: torch.device) -> None:
        self.device = device
        self._heights = np.array([photo.shape[0] for photo in photos])
        self._widths = np.array([photo.shape[1] for photo in photos])
        areas = self._heights * self._widths
        self._starts = np.concatenate(([0], np.cumsum(areas)[:-1]))
        self._pixels = torch.from_numpy(np.concatenate([photo.reshape(-1, 3) for photo in photos])).to(device)

    def crops(self, rng: np.random.Generator, count: int, side: int, *, most_reduction: float, as_is: float) -> Tensor:
        """``float [N, 3, side, side]`` in [0, 1]: places, scales and symmetries drawn from ``rng``."""
        chosen = rng.integers(len(self._heights), size=count)
        heights, widths = self._heights[chosen], self._widths[chosen]
        room = np.minimum(heights, widths) / side
        reduction = np.minimum(rng.uniform(1, most_reduction, count), np.maximum(room, 1))
        reduction = np.where(rng.random(count) < as_is, 1.0, reduction)
        span = reduction * side
        # Without reduction, a pixel of the crop is a pixel of the photo.
        top, left = (np.floor(rng.random(count) * np.maximum(size - span + 1, 1)) for size in (heights, widths))
        rows, columns = self._symmetric(rng, count, side)

        def on_device(values: np.ndarray[tuple[int], np.dtype[np.float64]], dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, dtype).view(-1, 1, 1)

        step, y0, x0 = (on_device(values, torch.float64) for values in (reduction, top, left))
        start, h, w = (on_device(values, torch.int64) for values in (self._starts[chosen], heights, widths))
        total = torch.zeros(count, side, side, 3, device=self.device)
        # Photos smaller than a crop are mirrored; a pixel of an unreduced crop is one point.
        points = 1 if bool((reduction == 1).all()) else _POINTS
        for i in range(points):
            y = _mirrored((y0 + (rows + (i + 0.5) / points) * step).long(), h)
            for j in range(points):
                x = _mirrored((x0 + (columns + (j + 0.5) / points) * step).long(), w)
                total += self._pixels[start + y * w + x]
        return total.permute(0, 3, 1, 2).div_(255 * points**2)

    def _symmetric(self, rng: np.random.Generator, count: int, side: int) -> tuple[Tensor, Tensor]:
        """Rows and columns ``[N, side, side]`` under one of the square's eight symmetries each."""
        rows, columns = torch.meshgrid(
            torch.arange(side, device=self.device), torch.arange(side, device=self.device), indexing="ij"
        )
        turned, flip_rows, flip_columns = (
            torch.from_numpy(rng.random(count) < 0.5).to(self.device).view(-1, 1, 1) for _ in range(3)
        )
        first, second = torch.where(turned, columns, rows), torch.where(turned, rows, columns)
        return (
            torch.where(flip_rows, side - 1 - first, first).double(),
            torch.where(flip_columns, side - 1 - second, second).double(),
        )


def _mirrored(index: Tensor, size: Tensor) -> Tensor:
    """``index`` brought into ``[0, size)`` by reflection at the borders."""
    period = (2 * size - 2).clamp_min(1)
    wrapped = index.remainder(period)
    return torch.minimum(wrapped, period - wrapped).clamp_max(size - 1)


class Stocks:
    """The stock of each step; the next one is decoded ahead."""

    def __init__(self, photos: Photos, *, seed: int, held: int, held_for: int, device: torch.device) -> None:
        self._photos, self._seed, self._device = photos, seed, device
        self._held, self._held_for = min(held, len(photos)), held_for
        self._number = -1
        self._stock: Stock | None = None
        self._ahead: Future[list[Pixels]] | None = None
        self._decoder = ThreadPoolExecutor(1)

    def at(self, step: int) -> Stock:
        """The stock that step ``step`` draws from.

        Raises:
            PhotosMissing: none of its photos can be read.
        """
        rotating = self._held < len(self._photos)
        number = step // self._held_for if rotating else 0
        if self._stock is None or number != self._number:
            follows = self._ahead is not None and number == self._number + 1
            photos = self._ahead.result() if follows and self._ahead else self._decoded(number)
            self._stock, self._number = Stock(photos, self._device), number
            self._ahead = self._decoder.submit(self._decoded, number + 1) if rotating else None
        return self._stock

    def close(self) -> None:
        self._decoder.shutdown(wait=False, cancel_futures=True)

    def _decoded(self, number: int) -> list[Pixels]:
        return self._photos.decoded(self.chosen(number))

    def chosen(self, number: int) -> list[int]:
        """Indices of the photos in stock ``number``: the next ones of consecutive shuffles."""
        count = len(self._photos)
        if self._held == count:
            return list(range(count))
        places = range(number * self._held, (number + 1) * self._held)
        return [int(self._shuffle(place // count)[place % count]) for place in places]

    def _shuffle(self, number: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.random.default_rng((self._seed, 0x73746F63, number)).permutation(len(self._photos))

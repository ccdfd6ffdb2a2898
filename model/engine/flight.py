"""One batch on a device: copy the bytes in, run the pass, copy the bytes of the holes' window back, without waiting in
between.

On CUDA all three are only queued by ``launch``, and the copies run beside the pass of another batch
(``model.networks.copies``). ``Flight.land`` waits. On a CPU ``launch`` has done everything when it returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.box import Box
from model.cells import extent
from model.networks.program import Program


@dataclass(frozen=True)
class Tile:
    """A window of a picture. Both sides are multiples of 16."""

    #: ``uint8 [h, w, 3]``
    pixels: NDArray[np.uint8]
    #: ``uint8 [h, w]``, not zero in the hole.
    hole: NDArray[np.uint8]
    #: Scales the network's spectral paths: 1 as trained, 0 leaves only 3x3 convolutions.
    ffc_lambda: float = 1.0

    @property
    def window(self) -> Box:
        """The least box around the hole; all of a tile without one."""
        return _window([self.hole])


@dataclass(frozen=True)
class Flight:
    """A launched batch."""

    #: On the host once the copies are done.
    _values: Tensor
    _total: Tensor
    _copied: torch.cuda.Event | None
    _window: Box
    #: Height and width of the tiles.
    _shape: tuple[int, int]

    @property
    def is_done(self) -> bool:
        """Whether :meth:`land` returns, or raises, at once."""
        try:
            return self._copied is None or bool(self._copied.query())  # type: ignore[no-untyped-call]
        except RuntimeError:
            # Of the device: landing raises it, where it is dealt with.
            return True

    def land(self) -> NDArray[np.uint8] | None:
        """Wait, then ``uint8 [N, h, w, 3]``, 0 outside the window.

        ``None`` where the network gave values that are not finite.
        """
        if self._copied is not None:
            self._copied.synchronize()
        if not math.isfinite(float(self._total)):
            return None
        values = np.zeros((len(self._values), *self._shape, 3), np.uint8)
        values[:, *self._window.slices] = self._values.numpy()
        return values


def launch(tiles: Sequence[Tile], program: Program) -> Flight:
    """Send tiles of one size through ``program``.

    Raises:
        torch.OutOfMemoryError: the device has no room.
    """
    pixels, holes = [tile.pixels for tile in tiles], [tile.hole for tile in tiles]
    strengths = [np.asarray(tile.ffc_lambda, np.float32) for tile in tiles]
    as_trained = all(tile.ffc_lambda == 1 for tile in tiles)
    copies = program.copies
    with torch.inference_mode():
        into = _stacked if copies is None else copies.into
        fill = program(into(pixels), into(holes), _window(holes), None if as_trained else into(strengths))
        shape = tiles[0].hole.shape
        if copies is None:
            return Flight(fill.values, fill.total, None, fill.window, shape)
        (values, total), copied = copies.back(fill.values, fill.total)
        return Flight(values, total, copied, fill.window, shape)


def _stacked(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _window(holes: Sequence[NDArray[np.uint8]]) -> Box:
    """The least box around the holes of all tiles."""
    anywhere = np.bitwise_or.reduce(holes)
    left, top, width, height = extent(anywhere)
    return Box(top, left, top + height, left + width) if width else Box(0, 0, *anywhere.shape)

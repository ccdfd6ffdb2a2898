"""One batch on a device: copy the bytes in, run the pass, copy the values of the holes' window back, without waiting in
between.

On CUDA all three are only queued by ``launch``; pinned memory lets the copies run beside the pass of another batch.
``Flight.land`` waits. On a CPU ``launch`` has done everything when it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.box import Box
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


@dataclass(frozen=True)
class Flight:
    """A launched batch."""

    #: ``float32 [N, h, w, 3]`` of the window.
    _values: Tensor
    _finite: Tensor
    _done: torch.cuda.Event | None
    _window: Box
    #: Height and width of the tiles.
    _shape: tuple[int, int]

    @property
    def is_done(self) -> bool:
        """Whether :meth:`land` returns, or raises, at once."""
        try:
            return self._done is None or bool(self._done.query())  # type: ignore[no-untyped-call]
        except RuntimeError:
            # Of the device: landing raises it, where it is dealt with.
            return True

    def land(self) -> NDArray[np.float32] | None:
        """Wait, then ``float32 [N, h, w, 3]`` in [0, 1], 0 outside the window.

        ``None`` where the network gave values that are not finite.
        """
        if self._done is not None:
            self._done.synchronize()
        if not bool(self._finite):
            return None
        values = np.zeros((len(self._values), *self._shape, 3), np.float32)
        values[:, *self._window.slices] = self._values.numpy()
        return values


def launch(tiles: Sequence[Tile], program: Program) -> Flight:
    """Send tiles of one size through ``program``.

    Raises:
        torch.OutOfMemoryError: the device has no room.
    """
    window = _window(tiles)
    with torch.inference_mode():
        batch = _batch(tiles, program.device)
        shape = batch.shape[-2], batch.shape[-1]
        part = program(batch, window, _strength(tiles, program.device))[..., *window.slices]
        finite = part.isfinite().all()
        values = part.permute(0, 2, 3, 1).clamp(0, 1).float()
        if program.device.type != "cuda":
            return Flight(values, finite, None, window, shape)
        host_values, host_finite = _pinned_like(values), _pinned_like(finite)
        host_values.copy_(values, non_blocking=True)
        host_finite.copy_(finite, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        return Flight(host_values, host_finite, done, window, shape)


def _pinned_like(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, pin_memory=True)


def _strength(tiles: Sequence[Tile], device: torch.device) -> Tensor | None:
    """``float32 [N]`` on ``device``: each tile's ``ffc_lambda``; ``None`` where all are 1, as trained."""
    if all(tile.ffc_lambda == 1 for tile in tiles):
        return None
    values = torch.tensor([tile.ffc_lambda for tile in tiles], dtype=torch.float32)
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


def _batch(tiles: Sequence[Tile], device: torch.device) -> Tensor:
    """``float32 [N, 4, h, w]`` on ``device``: copied as uint8, converted to float there."""
    pixels = torch.from_numpy(np.stack([tile.pixels for tile in tiles]))
    holes = torch.from_numpy(np.stack([tile.hole for tile in tiles]))
    if device.type == "cuda":
        pixels, holes = pixels.pin_memory(), holes.pin_memory()
    picture = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
    mask = (holes.to(device, non_blocking=True)[:, None] > 0).float()
    return torch.cat((picture * (1 - mask), mask), dim=1).contiguous(memory_format=torch.channels_last)


def _window(tiles: Sequence[Tile]) -> Box:
    """The least box around the holes of all tiles."""
    anywhere = np.logical_or.reduce([tile.hole > 0 for tile in tiles])
    rows, columns = np.flatnonzero(anywhere.any(axis=1)), np.flatnonzero(anywhere.any(axis=0))
    if not rows.size:
        return Box(0, 0, *anywhere.shape)
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

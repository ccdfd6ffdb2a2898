"""The network on its device: fills the planned tiles of a picture and lays the result into it.

One :class:`Inpainter` holds one device. On the way of a picture torch is imported here and in the networks only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from model.box import Box
from model.errors import DeviceOutOfMemory
from model.fused import fuse
from model.plan import Region, tile_weights
from model.repair import Task, composite
from model.weights import SHIPPED, Description, load_network


class Inpainter:
    """A network, ready on a device."""

    def __init__(self, network: nn.Module, description: Description, device: torch.device) -> None:
        fused = fuse(network, "dft" if device.type == "cuda" else "fft")
        self._network = fused.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device
        self.architecture = description.architecture
        self.device = str(device)

    @classmethod
    def load(cls, weights: str = "", device: str = "auto", threads: int = 0) -> Inpainter:
        """The network of the file ``weights`` (empty: the one that ships) on ``auto``, ``cpu`` or ``cuda``.

        ``threads``: of the network on a CPU; 0 takes as many as this process may use.

        Raises:
            WeightsRejected: the file is not a network's weights.
        """
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        network, description = load_network(Path(weights) if weights else SHIPPED)
        wanted = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
        return cls(network, description, torch.device(wanted))

    def run(self, task: Task, on_tile: Callable[[int], None]) -> NDArray[np.uint8]:
        """The clean picture: ``uint8 [H, W, 3]``, equal to the source outside ``task.hole``.

        ``on_tile`` hears the number of tiles done after each; what it raises ends the work and comes through.

        Raises:
            DeviceOutOfMemory: the device has no room for a tile.
        """
        fill = task.picture.pixels.copy()
        done = 0
        for region in task.plan.regions:
            weighted = np.zeros((region.box.height, region.box.width, 3), np.float32)
            total = np.zeros((region.box.height, region.box.width, 1), np.float32)
            for tile, weight in zip(region.tiles, tile_weights(region), strict=True):
                rows = slice(tile.top - region.box.top, tile.bottom - region.box.top)
                columns = slice(tile.left - region.box.left, tile.right - region.box.left)
                weighted[rows, columns] += self._pass(task, tile) * weight[..., None]
                total[rows, columns] += weight[..., None]
                done += 1
                on_tile(done)
            _lay(fill, task.hole, region, weighted, total)
        return composite(task, fill)

    def _pass(self, task: Task, tile: Box) -> NDArray[np.float32]:
        """One pass of the network over ``tile``: ``float32 [h, w, 3]`` in [0, 1]."""
        window = np.s_[tile.top : tile.bottom, tile.left : tile.right]
        picture = torch.from_numpy(np.ascontiguousarray(task.picture.pixels[window]))
        hole = torch.from_numpy(np.ascontiguousarray(task.hole[window]))
        try:
            with torch.inference_mode():
                given = self._given(picture, hole, tile)
                result: Tensor = self._network(given).clamp(0, 1)[0].permute(1, 2, 0)
                return np.asarray(result.float().cpu().numpy(), np.float32)
        except torch.cuda.OutOfMemoryError:
            raise DeviceOutOfMemory(
                f"{self.device} has no room for a tile of {tile.width}x{tile.height} px: "
                "use a larger device or the CPU."
            ) from None

    def _given(self, picture: Tensor, hole: Tensor, tile: Box) -> Tensor:
        """``[1, 4, h, w]``: the picture with the hole zeroed and the mask, padded by reflection beyond the picture."""
        x = picture.to(self._device).permute(2, 0, 1)[None].float() / 255
        m = (hole.to(self._device)[None, None] > 0).float()
        x, m = (_padded(part, tile.height, tile.width) for part in (x, m))
        return torch.cat((x * (1 - m), m), dim=1).contiguous(memory_format=torch.channels_last)


def _padded(x: Tensor, height: int, width: int) -> Tensor:
    """Grow to ``height`` x ``width`` at the lower right, by reflection where there is enough to reflect."""
    while (missing_h := height - x.shape[-2]) > 0 or width > x.shape[-1]:
        missing_w = width - x.shape[-1]
        step_h, step_w = min(missing_h, x.shape[-2] - 1), min(missing_w, x.shape[-1] - 1)
        if (missing_h > 0 and step_h == 0) or (missing_w > 0 and step_w == 0):
            return F.pad(x, (0, missing_w, 0, missing_h), mode="replicate")  # one pixel wide or high
        x = F.pad(x, (0, step_w, 0, step_h), mode="reflect")
    return x


def _lay(
    fill: NDArray[np.uint8],
    hole: NDArray[np.uint8],
    region: Region,
    weighted: NDArray[np.float32],
    total: NDArray[np.float32],
) -> None:
    """Write a region's blended tiles into the hole pixels of ``fill``."""
    window = np.s_[region.box.top : region.box.bottom, region.box.left : region.box.right]
    inside = hole[window] > 0
    height, width = inside.shape
    # Every hole pixel lies in a tile: tiles cover the region, and only those without a hole pixel were left out.
    values = weighted[:height, :width][inside] / total[:height, :width][inside]
    fill[window][inside] = np.rint(values * 255).astype(np.uint8)

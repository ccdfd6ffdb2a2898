"""A network prepared for one device and one precision, called with a batch and a strength for each tile.

On CUDA each shape is captured once as a graph and replayed (``model.networks.graphs``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.box import Box
from model.networks.fused import fuse
from model.networks.graphs import DeviceGraphs, graphs_of
from model.networks.precision import Precision


class Program:
    """``[N, 4, H, W]`` (picture with the hole zeroed, mask) to ``float32 [N, 3, H, W]``, on the device."""

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        precision: Precision,
        *,
        shared: bool = False,
        graphs: DeviceGraphs | None = None,
    ) -> None:
        """``shared``: run ``network`` itself, which is fused, on the CPU and in fp32, instead of a copy.

        ``graphs``: captures passes and replays them; ``None``: those of the device on CUDA, no capture elsewhere.
        """
        self.device, self.precision = device, precision
        on_cuda = device.type == "cuda"
        self._graphs = graphs_of(device) if graphs is None and on_cuda else graphs
        fused = network if shared else fuse(network, "dft" if self._graphs is not None else "fft")
        if precision == "bf16":
            fused = fused.to(torch.bfloat16)
        if self._graphs is None:
            self._network: nn.Module = fused.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            return
        with self._graphs.alone():
            self._network = fused.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, batch: Tensor, window: Box, strength: Tensor | None = None) -> Tensor:
        """The result inside ``window``; elsewhere it is undefined.

        ``strength``: ``float32 [N]`` on the device scales the spectral paths for each tile; ``None``: 1 for all.
        """
        if self._graphs is not None:
            with self._graphs.alone():
                # Of the process: other programs on this device take the lock as well.
                allowed = self.precision != "fp32"
                torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
                # The transform's products of bf16 sum over a whole picture.
                torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
                return self._graphs.run(self._network, batch, strength)
        result = torch.zeros_like(batch[:, :3])
        result[..., *window.slices] = self._network(batch, window, strength)
        return result

    def shed(self) -> bool:
        """Give back the memory of captured passes; whether there was any."""
        return self._graphs is not None and self._graphs.shed()

    def close(self) -> None:
        """Let go of what was captured of this program."""
        if self._graphs is not None:
            self._graphs.forget(self._network)

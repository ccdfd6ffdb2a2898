"""A network prepared for one device and one precision: bytes of pictures and holes in, bytes of the fill out.

On CUDA each shape is captured once as a graph and replayed (``model.networks.graphs``).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.box import Box
from model.networks.copies import Copies
from model.networks.fused import FusedFourierUnit, fuse
from model.networks.graphs import Batch, DeviceGraphs, graphs_of
from model.networks.precision import Precision
from model.networks.spectral import DftTransform

#: Most compilations of one network.
_MOST_COMPILED = 256


class Fill(NamedTuple):
    """The result of a pass, on the device."""

    #: ``uint8 [N, h, w, 3]`` of ``window``.
    values: Tensor
    #: ``float32 []``: their sum before rounding, which is not finite where one of them is not.
    total: Tensor
    window: Box


class BytePass(nn.Module):
    """A network between bytes: what is converted, is converted on the device and in the pass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, holes: Tensor, window: Box, strength: Tensor | None) -> tuple[Tensor, Tensor]:
        """``pixels``: ``uint8 [N, H, W, 3]``; ``holes``: ``uint8 [N, H, W]``, not 0 in the hole.

        Gives ``uint8 [N, h, w, 3]`` of ``window``, and the sum of its values before rounding.
        """
        known = (holes == 0)[..., None]
        marked = holes.clamp(max=1).mul(255)[..., None]
        given = torch.cat((pixels * known, marked), dim=3)
        batch = torch.div(given, 255).permute(0, 3, 1, 2)
        drawn: Tensor = self.network(batch, window, strength)
        levels = drawn.permute(0, 2, 3, 1).clamp(0, 1).mul(255).round().to(torch.uint8)
        return levels.contiguous(), drawn.sum()


class CompiledPass(nn.Module):
    """A pass compiled by Inductor as one graph, once for each shape, window and use of strengths."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.eager = BytePass(network)
        for module in network.modules():
            if isinstance(module, FusedFourierUnit) and isinstance(module.transform, DftTransform):
                module.transform.keep()
        self._compiled = torch.compile(self.eager, fullgraph=True, dynamic=False)
        self._shapes: set[tuple[int, ...]] = set()

    def forward(self, pixels: Tensor, holes: Tensor, window: Box, strength: Tensor | None) -> tuple[Tensor, Tensor]:
        """As :class:`BytePass`."""
        if holes.shape not in self._shapes:
            self.eager(pixels, holes, window, strength)  # the transforms keep their matrices
            self._shapes.add(tuple(holes.shape))
        with torch._dynamo.config.patch(recompile_limit=_MOST_COMPILED):
            values, total = self._compiled(pixels, holes, window, strength)
        return values, total


class Program:
    """Fills batches of tiles on its device."""

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        precision: Precision,
        *,
        shared: bool = False,
        graphs: DeviceGraphs | None = None,
        compiled: bool = False,
    ) -> None:
        """``shared``: run ``network`` itself, which is fused, on the CPU and in fp32, instead of a copy.

        ``graphs``: captures passes and replays them; ``None``: those of the device on CUDA, no capture elsewhere.
        ``compiled``: see :class:`CompiledPass`.
        """
        self.device, self.precision = device, precision
        on_cuda = device.type == "cuda"
        self._graphs = graphs_of(device) if graphs is None and on_cuda else graphs
        fused = network if shared else fuse(network, "dft" if self._graphs is not None or compiled else "fft")
        if precision == "bf16":
            fused = fused.to(torch.bfloat16)
        if self._graphs is None:
            fused = fused.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        else:
            with self._graphs.alone():
                fused = fused.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._pass: nn.Module = CompiledPass(fused) if compiled else BytePass(fused)

    @property
    def copies(self) -> Copies | None:
        """The streams for copies to and from the device; ``None``: its memory is the host's."""
        return None if self._graphs is None else self._graphs.copies

    @torch.inference_mode()
    def __call__(self, pixels: Tensor, holes: Tensor, window: Box, strength: Tensor | None = None) -> Fill:
        """The fill of ``pixels`` (``uint8 [N, H, W, 3]``) where ``holes`` (``uint8 [N, H, W]``) is not 0.

        All are on the device. The result covers at least ``window``. ``strength``: ``float32 [N]`` scales the spectral
        paths for each tile; ``None``: 1 for all.
        """
        if self._graphs is None:
            values, total = self._pass(pixels, holes, window, strength)
            return Fill(values, total, window)
        with self._graphs.alone():
            self._set_precision()
            drawn = self._graphs.drawn(self._pass, pixels.shape, window)
            values, total = self._graphs.run(self._pass, Batch(pixels, holes, drawn, strength))
            return Fill(values, total, drawn)

    def warm(self, shape: tuple[int, int, int], window: Box) -> bool:
        """Capture the pass over ``shape`` (batch, height, width) that covers ``window``, before it is needed.

        Returns False where no further pass has room.
        """
        if self._graphs is None:
            return False
        with self._graphs.alone():
            self._set_precision()
            return self._graphs.warm(self._pass, shape, window)

    def shed(self) -> bool:
        """Give back the memory of captured passes; whether there was any."""
        return self._graphs is not None and self._graphs.shed()

    def close(self) -> None:
        """Let go of what was captured of this program."""
        if self._graphs is not None:
            self._graphs.forget(self._pass)

    def _set_precision(self) -> None:
        """Of the process: other programs on this device take the lock as well."""
        allowed = self.precision != "fp32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
        # The transform's products of bf16 sum over a whole picture.
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False

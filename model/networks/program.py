"""A network prepared for one device and one precision, called with a batch and a strength for each tile.

On CUDA each shape is captured once as a graph and replayed: an eager pass of LaMa is about 1,340 kernel launches.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from model.box import Box
from model.networks.fused import fuse
from model.networks.precision import Precision

#: Most captured graphs; each holds its own activations.
_MOST_GRAPHS = 16
_WARM_UP = 3


class Program:
    """``[N, 4, H, W]`` (picture with the hole zeroed, mask) to ``float32 [N, 3, H, W]``, on the device."""

    def __init__(self, network: nn.Module, device: torch.device, precision: Precision, *, shared: bool = False) -> None:
        """``shared``: run ``network`` itself, which is fused, on the CPU and in fp32, instead of a copy."""
        self.device, self.precision = device, precision
        fused = network if shared else fuse(network, "dft" if device.type == "cuda" else "fft").to(device)
        if precision == "bf16":
            fused = fused.to(torch.bfloat16)
        self._network = fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        #: By the batch's shape, and whether strengths are given: without them, their multiplications are left out.
        self._graphs: OrderedDict[tuple[tuple[int, ...], bool], _Graph] = OrderedDict()

    @torch.inference_mode()
    def __call__(self, batch: Tensor, window: Box, strength: Tensor | None = None) -> Tensor:
        """The result inside ``window``; elsewhere it is undefined.

        ``strength``: ``float32 [N]`` on the device scales the spectral paths for each tile; ``None``: 1 for all.
        """
        if self.device.type == "cuda":
            return self._captured(batch, strength)
        result = torch.zeros_like(batch[:, :3])
        result[..., *window.slices] = self._network(batch, window, strength)
        return result

    def _captured(self, batch: Tensor, strength: Tensor | None) -> Tensor:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision != "fp32"
        key = tuple(batch.shape), strength is not None
        graph = self._graphs.pop(key, None) or _Graph(self._network, batch, strength)
        self._graphs[key] = graph
        if len(self._graphs) > _MOST_GRAPHS:
            self._graphs.popitem(last=False)
        return graph.replay(batch, strength)


class _Graph:
    """The pass of one shape as a CUDA graph. The strengths are inputs of the graph, as the batch is."""

    def __init__(self, network: nn.Module, example: Tensor, strength: Tensor | None) -> None:
        self._batch = example.clone(memory_format=torch.preserve_format)
        self._strength = None if strength is None else strength.clone()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                network(self._batch, None, self._strength)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result: Tensor = network(self._batch, None, self._strength)

    def replay(self, batch: Tensor, strength: Tensor | None) -> Tensor:
        self._batch.copy_(batch)
        if self._strength is not None and strength is not None:
            self._strength.copy_(strength)
        self._graph.replay()
        return self._result.clone()

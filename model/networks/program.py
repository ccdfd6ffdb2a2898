"""A network made ready for one device and one precision, called with a batch.

On CUDA each shape is captured once as a graph and replayed: an eager pass of LaMa is about 1,340 kernel launches.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from model.box import Box
from model.networks.fused import fuse
from model.networks.precision import Precision

#: Graphs kept at once; each holds its own activations.
_MOST_GRAPHS = 16
_WARM_UP = 3


class Program:
    """``[N, 4, H, W]`` (picture with the hole zeroed, mask) to ``float32 [N, 3, H, W]``, on the device."""

    def __init__(self, network: nn.Module, device: torch.device, precision: Precision) -> None:
        self.device, self.precision = device, precision
        fused = fuse(network, "dft" if device.type == "cuda" else "fft").to(device)
        if precision == "bf16":
            fused = fused.to(torch.bfloat16)
        self._network = fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._graphs: OrderedDict[tuple[int, ...], _Graph] = OrderedDict()

    @torch.inference_mode()
    def __call__(self, batch: Tensor, window: Box) -> Tensor:
        """The result inside ``window``; elsewhere it is left undefined."""
        if self.device.type == "cuda":
            return self._captured(batch)
        result = torch.zeros_like(batch[:, :3])
        result[..., *window.slices] = self._network(batch, window)
        return result

    def _captured(self, batch: Tensor) -> Tensor:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision != "fp32"
        shape = tuple(batch.shape)
        graph = self._graphs.pop(shape, None) or _Graph(self._network, batch)
        self._graphs[shape] = graph
        if len(self._graphs) > _MOST_GRAPHS:
            self._graphs.popitem(last=False)
        return graph.replay(batch)


class _Graph:
    """One shape's pass as a CUDA graph."""

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        self._given = example.clone(memory_format=torch.preserve_format)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                network(self._given)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result: Tensor = network(self._given)

    def replay(self, batch: Tensor) -> Tensor:
        self._given.copy_(batch)
        self._graph.replay()
        return self._result.clone()

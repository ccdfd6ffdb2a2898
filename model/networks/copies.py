"""Copies between the host and one CUDA device: each direction on a stream of its own, beside the kernels of a pass.

The next batch travels to the device, and the last one back, while a pass computes. Streams wait for each other by
events; nothing here waits on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Copies:
    """The two streams for copies of one device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._into = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._back = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def into(self, arrays: Sequence[NDArray[Any]]) -> Tensor:
        """``arrays`` of one shape, stacked, on the device. Later work of the current stream waits for them."""
        shape = (len(arrays), *arrays[0].shape)
        host = torch.empty(shape, dtype=torch.from_numpy(np.empty(0, arrays[0].dtype)).dtype, pin_memory=True)
        np.stack(arrays, out=host.numpy())
        current = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._into):
            tensor = torch.empty(shape, dtype=host.dtype, device=self._device)
            tensor.copy_(host, non_blocking=True)
        current.wait_stream(self._into)
        # Its memory belongs to the stream of the copy, and is given back only when the current one is through as well.
        tensor.record_stream(current)
        return tensor

    def back(self, *tensors: Tensor) -> tuple[tuple[Tensor, ...], torch.cuda.Event]:
        """Begin to copy what the current stream computes to the host: the copies, complete once the event is done."""
        self._back.wait_stream(torch.cuda.current_stream(self._device))
        copies = tuple(torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._back):
            for copy, tensor in zip(copies, tensors, strict=True):
                copy.copy_(tensor, non_blocking=True)
                tensor.record_stream(self._back)
            done.record(self._back)
        return copies, done

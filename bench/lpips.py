"""LPIPS, the learned perceptual distance (Zhang et al., CVPR 2018, v0.1, AlexNet), for measuring only.

The weights file holds ImageNet convolution features (``conv{i}``) and the linear heads (``lin{i}``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

#: AlexNet: stride, padding and whether a 3/2 max-pool precedes, for each convolution; a tap follows each ReLU.
_LAYERS = ((4, 2, False), (1, 2, True), (1, 1, True), (1, 1, False), (1, 1, False))
_SHIFT = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
_SCALE = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)


class Lpips:
    """The distance of two pictures; 0 for equal ones."""

    def __init__(self, weights: Path) -> None:
        self._tensors = load_file(weights)

    @torch.inference_mode()
    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
        """``first`` and ``second``: ``uint8 [H, W, 3]`` RGB."""
        total = torch.zeros(())
        for index, (a, b) in enumerate(zip(self._taps(first), self._taps(second), strict=True)):
            difference = (_unit(a) - _unit(b)).square()
            head = self._tensors[f"lin{index}.weight"].reshape(1, -1, 1, 1)
            total = total + (difference * head).sum(dim=1).mean()
        return float(total)

    def _taps(self, picture: NDArray[np.uint8]) -> list[Tensor]:
        x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        x = (x - _SHIFT) / _SCALE
        taps = []
        for index, (stride, padding, pooled) in enumerate(_LAYERS):
            if pooled:
                x = F.max_pool2d(x, 3, 2)
            x = F.conv2d(
                x, self._tensors[f"conv{index}.weight"], self._tensors[f"conv{index}.bias"], stride, padding
            ).relu()
            taps.append(x)
        return taps


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)

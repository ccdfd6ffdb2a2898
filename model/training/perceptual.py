"""Perceptual distance with a wide receptive field: features of a VGG16 whose late poolings are dilations.

Zhang et al., CVPR 2018 (unit features, learnt heads) on a dilated network as Suvorov et al., WACV 2022, section 2.3,
ask for. The weights file is not part of the project: safetensors with ``conv{0..12}`` and ``lin{0..4}``.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from model.errors import RecipeRejected

#: Convolutions of VGG16's stages; features are compared after the last of each.
_STAGES = ((0, 1), (2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12))
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class PerceptualDistance(nn.Module):
    """A mean distance of two batches ``[N, 3, H, W]`` in [0, 1]; gradients flow to the first."""

    def __init__(self, weights: Path, *, stages: int = 5, dilated_from: int = 4) -> None:
        """``stages`` of VGG are compared; from stage ``dilated_from`` on (1 to 5) dilation takes the pooling's place.

        Raises:
            RecipeRejected: the file is not there or lacks tensors.
        """
        super().__init__()
        self._stages, self._dilated_from = stages, dilated_from
        try:
            tensors = {name: tensor.float() for name, tensor in load_file(weights).items()}
            for stage, numbers in enumerate(_STAGES[:stages]):
                for number in numbers:
                    weight = tensors[f"conv{number}.weight"].contiguous(memory_format=torch.channels_last)
                    self.register_buffer(f"weight{number}", weight)
                    self.register_buffer(f"bias{number}", tensors[f"conv{number}.bias"])
                self.register_buffer(f"head{stage}", tensors[f"lin{stage}.weight"].view(1, -1, 1, 1))
        except (OSError, SafetensorError, KeyError) as error:
            raise RecipeRejected(
                f"The perceptual loss needs VGG16's features, and {weights} cannot be used ({error}). "
                "Name the file with --features, or set losses.perceptual to 0."
            ) from None
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))

    def forward(self, ours: Tensor, theirs: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self._features(theirs)
        total = ours.new_zeros(())
        for stage, (a, b) in enumerate(zip(self._features(ours), wanted, strict=True)):
            difference = (_unit(a.float()) - _unit(b.float())).square()
            total = total + (difference * self.get_buffer(f"head{stage}")).sum(dim=1).mean()
        return total

    def _features(self, x: Tensor) -> list[Tensor]:
        x = (x * 2 - 1 - self.get_buffer("shift")) / self.get_buffer("scale")
        features, dilation = [], 1
        for stage, numbers in enumerate(_STAGES[: self._stages], start=1):
            if stage > 1 and stage < self._dilated_from:
                x = F.max_pool2d(x, 2)
            elif stage > 1:
                dilation *= 2
            for number in numbers:
                weight, bias = self.get_buffer(f"weight{number}"), self.get_buffer(f"bias{number}")
                x = F.conv2d(x, weight, bias, padding=dilation, dilation=dilation).relu()
            features.append(x)
        return features


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(dim=1, keepdim=True) + 1e-8)

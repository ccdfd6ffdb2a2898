"""A patch discriminator: decides for each patch whether a part of it was filled in.

Isola et al., CVPR 2017, as LaMa uses it (Suvorov et al., WACV 2022, section 2.3): its target for a repaired picture is
the hole itself, so that patches without a hole count as real.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """``[N, 3, H, W]`` to logits ``[N, 1, h, w]`` (positive: real) and the features of each layer."""

    def __init__(self, *, width: int = 64, depth: int = 3) -> None:
        super().__init__()
        widths = [min(width * 2**level, width * 8) for level in range(depth + 1)]
        # No norm: the R1 penalty needs independent judgements of the pictures, and it keeps the gradients small.
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1)]
        for level, (shallow, deep) in enumerate(pairwise(widths)):
            layers.append(nn.Conv2d(shallow, deep, 4, 1 if level == depth - 1 else 2, 1))
        self.layers = nn.ModuleList(layers)
        self.head = nn.Conv2d(widths[-1], 1, 3, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = x * 2 - 1
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.head(x), features


def patches_of(hole: Tensor, logits: Tensor) -> Tensor:
    """``hole`` (``[N, 1, H, W]``) in the size of ``logits``: 1 where a patch touches the hole."""
    return F.adaptive_max_pool2d(hole, logits.shape[-2:])


def discriminator_loss(real: Tensor, fake: Tensor, hole: Tensor) -> Tensor:
    """Non-saturating (Goodfellow et al., 2014); a repaired picture is fake where its patches touch the hole."""
    touched = patches_of(hole, fake)
    return F.softplus(-real).mean() + (touched * F.softplus(fake) + (1 - touched) * F.softplus(-fake)).mean()


def generator_loss(fake: Tensor, hole: Tensor) -> Tensor:
    """The generator's adversarial loss: small if repaired patches pass for real."""
    touched = patches_of(hole, fake)
    return (touched * F.softplus(-fake)).sum() / touched.sum().clamp_min(1)


def feature_distance(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean squared distance of the features of all layers (Wang et al., pix2pixHD, CVPR 2018)."""
    distances = [F.mse_loss(ours.float(), theirs.detach().float()) for ours, theirs in zip(fake, real, strict=True)]
    return torch.stack(distances).mean()


def r1(discriminator: nn.Module, picture: Tensor) -> Tensor:
    """Squared gradient on real pictures (Mescheder et al., ICML 2018), a mean over them."""
    picture = picture.detach().requires_grad_(True)
    logits, _ = discriminator(picture)
    (gradient,) = torch.autograd.grad(logits.sum(), picture, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()

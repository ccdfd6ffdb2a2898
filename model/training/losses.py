"""Distances of a repaired batch from the clean one, each differentiable: pixels, and colours at the hole's rim."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Depth of the rim inside the hole, in px; colours are compared as means over windows twice as wide.
_RIM_PX = 3
#: sRGB's primaries to XYZ, each row over the white point D65 (IEC 61966-2-1).
_XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


def masked_l1(result: Tensor, picture: Tensor, hole: Tensor) -> Tensor:
    """Mean absolute error per pixel of ``hole`` and channel."""
    return ((result - picture).abs() * hole).sum() / (hole.sum() * picture.shape[1]).clamp_min(1)


def lab(picture: Tensor) -> Tensor:
    """sRGB ``[N, 3, H, W]`` in [0, 1] as CIELAB (L* in [0, 100]), D65."""
    picture = picture.clamp(0, 1)
    linear = torch.where(picture <= 0.04045, picture / 12.92, ((picture.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    x, y, z = torch.einsum("ij,njhw->nihw", linear.new_tensor(_XYZ), linear).unbind(dim=1)
    fx, fy, fz = (
        torch.where(t > 216 / 24389, t.clamp_min(216 / 24389) ** (1 / 3), t * (24389 / 27 / 116) + 16 / 116)
        for t in (x, y, z)
    )
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=1)


def rim_distance(result: Tensor, picture: Tensor, hole: Tensor) -> Tensor:
    """Mean CIELAB distance (in units of 100) of smoothed colours, over the strip of the hole at its border."""
    deep = 1 - F.max_pool2d(1 - hole, 2 * _RIM_PX + 1, 1, _RIM_PX)
    rim = hole - deep
    difference = (lab(result) - lab(picture)) * rim
    window = 2 * _RIM_PX + 1
    weight = F.avg_pool2d(rim, window, 1, _RIM_PX)
    mean = F.avg_pool2d(difference, window, 1, _RIM_PX) / weight.clamp_min(1 / window**2)
    distance = (mean.square().sum(dim=1, keepdim=True) + 1e-6).sqrt() / 100
    return (distance * rim).sum() / rim.sum().clamp_min(1)

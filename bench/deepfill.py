"""A peer to measure against: gated convolutions and contextual attention (DeepFill v2; Yu et al., ICCV 2019).

Two stages: a coarse one of dilated gated convolutions, and a refinement whose second branch copies from known patches
that look alike (Yu et al., CVPR 2018, section 4.1). Left out: the attention's coherence step, the sketch channel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Temperature of the attention, and the number of queries in a chunk, which bounds the memory at large sizes.
_SHARPNESS, _CHUNK = 10.0, 2048


class Gated(nn.Module):
    """A convolution whose features are multiplied by learnt gates."""

    def __init__(self, inward: int, outward: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(inward, 2 * outward, kernel, stride, padding, dilation, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        feature, gate = self.conv(x).chunk(2, dim=1)
        return F.elu(feature) * torch.sigmoid(gate)


def _encoder(inward: int, width: int) -> list[nn.Module]:
    """Down to a quarter of the size."""
    return [
        Gated(inward, width, 5),
        Gated(width, 2 * width, stride=2),
        Gated(2 * width, 2 * width),
        Gated(2 * width, 4 * width, stride=2),
        Gated(4 * width, 4 * width),
        Gated(4 * width, 4 * width),
    ]


def _dilated(width: int) -> list[nn.Module]:
    return [Gated(width, width, dilation=2**power) for power in (1, 2, 3)]


def _decoder(inward: int, width: int) -> nn.Sequential:
    """Back up to a picture."""
    return nn.Sequential(
        Gated(inward, 4 * width),
        Gated(4 * width, 4 * width),
        nn.Upsample(scale_factor=2),
        Gated(4 * width, 2 * width),
        Gated(2 * width, 2 * width),
        nn.Upsample(scale_factor=2),
        Gated(2 * width, width),
        Gated(width, max(width // 2, 4)),
        nn.Conv2d(max(width // 2, 4), 3, 3, padding=1, padding_mode="reflect"),
    )


class ContextualAttention(nn.Module):
    """Replaces each place of a feature map by a mean of known patches, weighted by their similarity."""

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        """``x``: ``[N, C, h, w]``, sides even; ``hole``: ``[N, 1, H, W]``."""
        small = F.avg_pool2d(x, 2)
        unknown = F.interpolate(hole, small.shape[-2:], mode="area").flatten(1) > 0
        keys = F.unfold(small, 3, padding=1)
        keys = keys / keys.norm(dim=1, keepdim=True).clamp_min(1e-4)
        patches = F.unfold(x, 4, padding=1, stride=2)
        # Without any known place there is nothing to copy from; then all places count as known.
        barred = unknown & ~unknown.all(dim=1, keepdim=True)
        chunks = []
        for queries in keys.split(_CHUNK, dim=2):
            alike = torch.einsum("ncq,nck->nqk", queries, keys) * _SHARPNESS
            alike = alike.float().masked_fill(barred[:, None], float("-inf")).softmax(dim=2).to(x.dtype)
            chunks.append(torch.einsum("nqk,nck->ncq", alike, patches))
        # Patches of 4 px laid every 2 px overlap four times.
        return F.fold(torch.cat(chunks, dim=2), x.shape[-2:], 4, padding=1, stride=2) / 4


class DeepFill(nn.Module):
    """``[N, 4, H, W]`` (picture with the hole zeroed, hole; H and W multiples of 8) to ``[N, 3, H, W]``.

    In training mode it returns the refined and the coarse picture. ``width`` 24 is the published size.
    """

    def __init__(self, *, width: int = 24) -> None:
        super().__init__()
        wide = 4 * width
        self.coarse = nn.Sequential(
            *_encoder(4, width), *_dilated(wide), Gated(wide, wide, dilation=16), _decoder(wide, width)
        )
        self.known = nn.Sequential(*_encoder(4, width), *_dilated(wide))
        self.alike = nn.Sequential(*_encoder(4, width))
        self.attention = ContextualAttention()
        self.after = nn.Sequential(Gated(wide, wide), Gated(wide, wide))
        self.refine = _decoder(2 * wide, width)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        picture, hole = x[:, :3], x[:, 3:]
        rough = torch.sigmoid(self.coarse(x).float())
        filled = torch.cat((picture * (1 - hole) + rough * hole, hole), dim=1)
        attended = self.after(self.attention(self.alike(filled), hole))
        finished = torch.sigmoid(self.refine(torch.cat((self.known(filled), attended), dim=1)).float())
        return (finished, rough) if self.training else finished

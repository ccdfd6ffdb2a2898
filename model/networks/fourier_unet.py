"""``fourier-unet``: a U-Net with fast Fourier convolution in its middle levels and Fourier-guided skips.

LaMa's trunk must rebuild every detail through an eightfold bottleneck. Thin marks need the detail beside the stroke,
which the skips provide. The network adds a residual to a push-pull prefill, so it starts where classical methods end.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.box import Box
from model.networks.ffc import FFCResnetBlock, SpectralOptions, join, split
from model.networks.prefill import push_pull

#: Cells of the coarser map that each decoder step needs around its result, the lowest step first: one for the
#: interpolation and one 3x3 convolution, two where ``refine`` or ``head`` follow.
HALO_CELLS = (1, 1, 2, 2)


class ConvBNAct(nn.Sequential):
    """A 3x3 convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation, bias=False, padding_mode="reflect"),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )


class PlainResnetBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; the first dilated."""

    def __init__(self, channels: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = ConvBNAct(channels, channels, dilation=dilation)
        self.conv2 = ConvBNAct(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv2(self.conv1(x))
        return x + change


class FourierBlock(nn.Module):
    """An FFC residual block on a joined map."""

    def __init__(self, channels: int, ratio: float, spectral: SpectralOptions) -> None:
        super().__init__()
        self.ratio = ratio
        self.block = FFCResnetBlock(channels, ratio=ratio, spectral=spectral)

    def forward(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        return join(self.block(split(x, self.ratio, strength)))


class FourierGate(nn.Module):
    """Squeeze-and-excitation on frequency energy (Hu et al., CVPR 2018, with the pooled spectrum in place of the mean).

    The skip feature's spectrum is pooled to its dominant energy per channel (the strongest frequency apart from the
    mean), which says where a channel carries texture rather than tone; from it come gates for the decoder's channels.
    Amplitudes are normalised by the area, so that the gate does not depend on the size of the tile.
    """

    def __init__(self, skip_channels: int, decoder_channels: int) -> None:
        super().__init__()
        hidden = max(8, skip_channels // 4)
        self.squeeze = nn.Linear(skip_channels, hidden)
        self.excite = nn.Linear(hidden, decoder_channels)

    def forward(self, skip: Tensor, decoder: Tensor) -> Tensor:
        spectrum = torch.view_as_real(torch.fft.rfft2(skip.float(), norm="forward"))
        energy = spectrum.square().sum(-1).flatten(2)
        dominant = torch.log(energy[..., 1:].amax(-1) + 1e-6).to(skip.dtype)
        gates = torch.sigmoid(self.excite(torch.relu(self.squeeze(dominant))))
        return decoder * gates[..., None, None]


class GuidedUp(nn.Module):
    """Decoder step: gate by the skip's spectrum (if ``guided``), up-sample twofold, fuse with the skip."""

    def __init__(self, decoder_channels: int, skip_channels: int, *, guided: bool = True) -> None:
        super().__init__()
        self.gate = FourierGate(skip_channels, decoder_channels) if guided else None
        self.project = nn.Conv2d(decoder_channels, skip_channels, kernel_size=1, bias=False)
        self.fuse = ConvBNAct(skip_channels * 2, skip_channels)

    def forward(self, decoder: Tensor, skip: Tensor, part: Box) -> Tensor:
        """``part``: what ``decoder`` covers, in pixels of ``skip``; the gate sees all of ``skip``."""
        if self.gate is not None:
            decoder = self.gate(skip, decoder)
        # The projection commutes with interpolation and is four times cheaper before it.
        up = F.interpolate(self.project(decoder), scale_factor=2, mode="bilinear", align_corners=False)
        fused: Tensor = self.fuse(torch.cat((up, skip[..., *part.slices]), dim=1))
        return fused


class FourierUNet(nn.Module):
    """``[N, 4, H, W]`` (picture with the hole zeroed, mask; in [0, 1]; H and W multiples of 16) to ``[N, 3, H, W]``.

    Five levels (for 512 px: 512, 256, 128, 64, 32); levels 2 to 4 hold an FFC block of ``ratio`` each beside plain
    ones, the lowest two dilated plain blocks.
    """

    def __init__(
        self,
        *,
        channels: tuple[int, int, int, int, int] = (24, 32, 64, 96, 128),
        ratio: float = 0.5,
        spectral_kernel: int = 1,
        real_only: bool = False,
        guided: bool = True,
    ) -> None:
        """``guided``: skips gate the decoder by their spectra; without it they are plain (to measure the gates)."""
        super().__init__()
        spectral = SpectralOptions(kernel_size=spectral_kernel, real_only=real_only)
        self.stem = ConvBNAct(4, channels[0])
        self.down = nn.ModuleList(ConvBNAct(shallow, deep, stride=2) for shallow, deep in pairwise(channels))
        self.encode = nn.ModuleList(
            [
                nn.Sequential(FourierBlock(channels[1], ratio, spectral)),
                nn.Sequential(PlainResnetBlock(channels[2]), FourierBlock(channels[2], ratio, spectral)),
                nn.Sequential(PlainResnetBlock(channels[3]), FourierBlock(channels[3], ratio, spectral)),
                nn.Sequential(PlainResnetBlock(channels[4]), PlainResnetBlock(channels[4], dilation=2)),
            ]
        )
        self.up = nn.ModuleList(
            GuidedUp(deep, shallow, guided=guided)
            for shallow, deep in zip(reversed(channels[:-1]), reversed(channels[1:]), strict=True)
        )
        self.refine = PlainResnetBlock(channels[1])
        self.head = nn.Conv2d(channels[0], 3, 3, padding=1, padding_mode="reflect")
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, window: Box | None = None, strength: Tensor | None = None) -> Tensor:
        """``window``: give this part of the result only, and run the decoder only around it (the same numbers).

        ``strength``: ``float [N]`` scales the spectral paths for each picture; ``None``: 1 for all, as trained.
        """
        height, width = x.shape[-2:]
        if window is None:
            window = Box(0, 0, height, width)
        hole = x[:, 3:4]
        guess = self.begin(x[:, :3], hole)
        feature = self.stem(torch.cat((guess - 0.5, hole), dim=1).to(self.head.weight.dtype))
        skips = []
        for down, encode in zip(self.down, self.encode, strict=True):
            skips.append(feature)
            feature = down(feature)
            for block in cast(nn.Sequential, encode):
                feature = block(feature, strength) if isinstance(block, FourierBlock) else block(feature)
        covered = Box(0, 0, *feature.shape[-2:])
        for step, (up, needed) in enumerate(zip(self.up, _needed(window, height, width), strict=True), 1):
            if step == len(self.up):
                feature = self.refine(feature)
            part = feature[..., *needed.within(covered).slices]
            covered = needed.scaled(2)
            feature = up(part, skips.pop(), covered)
        residual = self.head(feature).float()
        drawn: Tensor = guess[..., *window.slices] + residual[..., *window.within(covered).slices]
        return drawn

    def begin(self, picture: Tensor, hole: Tensor) -> Tensor:
        """The prefill to which the network adds its residual."""
        return push_pull(picture, hole)


def _needed(window: Box, height: int, width: int) -> list[Box]:
    """For each decoder step, the lowest first, the part of its coarser map that ``window`` needs, in its cells."""
    boxes: list[Box] = []
    part = window
    for level, halo in enumerate(reversed(HALO_CELLS), 1):
        part = part.cells(2, halo=halo, height=height >> level, width=width >> level)
        boxes.append(part)
    return boxes[::-1]

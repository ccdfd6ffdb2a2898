"""LaMa's generator: down three times, residual blocks of fast Fourier convolution, up three times.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV 2022. The numbering of
``self.model`` is the official one, because checkpoints name their tensors by it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.box import Box
from model.networks.ffc import FFCBNAct, FFCResnetBlock, Pair, SpectralOptions, join

MAX_FEATURES = 1024
#: Cells of the bottleneck that the decoder sees around the place it draws: three 3x3 steps and the 7x7 head.
HALO_CELLS = 2


class JoinLocalGlobal(nn.Module):
    """The end of the trunk: joins the pair into one map."""

    def forward(self, x: Pair) -> Tensor:
        return join(x)


class StartLocal(nn.Module):
    """Reflect-pads the input and starts the pair with all channels local."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(padding)

    def forward(self, x: Tensor) -> Pair:
        return Pair(self.pad(x))


class LaMaGenerator(nn.Module):
    """``[N, 4, H, W]`` (picture with the hole zeroed, mask; all in [0, 1]; H and W multiples of 8) to ``[N, 3, H, W]``.

    Published configurations: ``lama-fourier`` has 9 blocks, ``big-lama`` 18; both ngf 64 and ratio 0.75. A ratio of 0
    is the same trunk without fast Fourier convolution.
    """

    def __init__(
        self,
        *,
        ngf: int = 64,
        n_downsampling: int = 3,
        n_blocks: int = 9,
        ratio: float = 0.75,
        local_unit: bool = False,
        spectral_kernel: int = 1,
        real_only: bool = False,
        input_nc: int = 4,
        output_nc: int = 3,
    ) -> None:
        super().__init__()
        spectral = SpectralOptions(local_unit=local_unit, kernel_size=spectral_kernel, real_only=real_only)
        layers: list[nn.Module] = [StartLocal(3), FFCBNAct(input_nc, ngf, 7)]
        for level in range(n_downsampling):
            last = level == n_downsampling - 1
            layers.append(
                FFCBNAct(
                    min(MAX_FEATURES, ngf * 2**level),
                    min(MAX_FEATURES, ngf * 2 ** (level + 1)),
                    3,
                    ratio_gout=ratio if last else 0.0,
                    stride=2,
                    padding=1,
                )
            )
        bottleneck = min(MAX_FEATURES, ngf * 2**n_downsampling)
        layers += [FFCResnetBlock(bottleneck, ratio=ratio, spectral=spectral) for _ in range(n_blocks)]
        layers.append(JoinLocalGlobal())
        for level in reversed(range(n_downsampling)):
            wide, narrow = min(MAX_FEATURES, ngf * 2 ** (level + 1)), min(MAX_FEATURES, ngf * 2**level)
            layers += [
                nn.ConvTranspose2d(wide, narrow, kernel_size=3, stride=2, padding=1, output_padding=1),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, output_nc, kernel_size=7)]
        self.model = nn.Sequential(*layers)
        self._trunk = 2 + n_downsampling + n_blocks + 1
        self._cell = 2**n_downsampling

    def forward(self, x: Tensor, window: Box | None = None, strength: Tensor | None = None) -> Tensor:
        """``window``: give this part of the result only, and run the decoder only around it (the same numbers).

        ``strength``: ``float [N]`` scales the spectral paths for each picture; ``None``: 1 for all, as trained.
        """
        start: Pair = self.model[0](x.to(next(self.parameters()).dtype))
        features = self.model[1 : self._trunk](start._replace(strength=strength))
        if window is None:
            return self._decode(features)
        cells = window.cells(self._cell, halo=HALO_CELLS, height=features.shape[-2], width=features.shape[-1])
        part = self._decode(features[..., *cells.slices])
        return part[..., *window.within(cells.scaled(self._cell)).slices]

    def _decode(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.model[self._trunk :](features).float())

"""Fast Fourier convolution (Chi, Jiang and Mu, NeurIPS 2020) as LaMa uses it (Suvorov et al., WACV 2022).

A feature map is split by channels into a *local* part, which only ever meets 3x3 neighbours, and a *global* part, which
also passes through the spectrum of the whole picture. Parameter names are those of the official LaMa checkpoints, so
that their tensors load without renaming. A :class:`Pair` of local and global features travels between layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Pair(NamedTuple):
    """The features between two layers."""

    #: ``float [N, C, H, W]``
    local: Tensor
    #: ``float [N, C', H, W]``; ``None`` where a layer has no global channels.
    glob: Tensor | None = None
    #: ``float [N]``: scales what the spectral paths contribute to each picture of the batch (``ffc_lambda``): 1 as
    #: trained, 0 leaves only 3x3 paths. ``None``: 1 for all.
    strength: Tensor | None = None


def split_channels(channels: int, ratio_global: float) -> tuple[int, int]:
    """How many of ``channels`` are local and how many global; global is rounded down."""
    in_global = int(channels * ratio_global)
    return channels - in_global, in_global


@dataclass(frozen=True)
class SpectralOptions:
    """Variants of the spectral transform. The defaults are those of both published LaMa networks."""

    #: A second Fourier unit on a 2x2 grid of patches (LaMa's ``enable_lfu``).
    local_unit: bool = False
    #: Side of the convolution's kernel in the frequency domain: 1, or 3 to mix neighbouring frequencies.
    kernel_size: int = 1
    #: Convolve the real part only and pass the imaginary part through: half the spectral multiplications.
    real_only: bool = False


PUBLISHED = SpectralOptions()


class FourierUnit(nn.Module):
    """A convolution in the frequency domain: every output pixel depends on every input pixel.

    ``x: float [N, C, H, W] -> float [N, C, H, W]``. Real and imaginary parts are interleaved as channels
    ``(c0.re, c0.im, c1.re, ...)``, the transform is orthonormal.
    """

    def __init__(self, channels: int, options: SpectralOptions) -> None:
        super().__init__()
        self.real_only = options.real_only
        planes = channels if options.real_only else channels * 2
        self.conv_layer = nn.Conv2d(planes, planes, options.kernel_size, padding=options.kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(planes)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        spectrum = torch.fft.rfft2(x.float(), norm="ortho")  # there is no FFT of bf16
        if self.real_only:
            real = torch.relu(self.bn(self.conv_layer(spectrum.real))).float()  # nor complex bf16
            spectrum = torch.complex(real, spectrum.imag.contiguous())
        else:
            planes = torch.view_as_real(spectrum).permute(0, 1, 4, 2, 3).reshape(n, c * 2, h, w // 2 + 1)
            planes = torch.relu(self.bn(self.conv_layer(planes)))
            pairs = planes.reshape(n, c, 2, h, w // 2 + 1).permute(0, 1, 3, 4, 2).contiguous()
            spectrum = torch.view_as_complex(pairs)
        mixed: Tensor = torch.fft.irfft2(spectrum, s=(h, w), norm="ortho")
        return mixed


class SpectralTransform(nn.Module):
    """The global-to-global path: squeeze to half the channels, a Fourier unit with a shortcut, expand again.

    With ``local_unit`` a second Fourier unit sees a quarter of the channels cut into a 2x2 grid of patches stacked as
    channels, and its result is tiled back.
    """

    def __init__(self, in_channels: int, out_channels: int, options: SpectralOptions) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.conv1 = nn.Sequential(
            nn.Conv2d(in_channels, hidden, kernel_size=1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU()
        )
        self.fu = FourierUnit(hidden, options)
        self.lfu = FourierUnit(hidden, options) if options.local_unit else None
        self.conv2 = nn.Conv2d(hidden, out_channels, kernel_size=1, bias=False)

    def forward(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        """``strength``: ``float [N]`` scales the result of each picture; ``None``: 1 for all."""
        x = self.conv1(x)
        mixed = x + self.fu(x)
        if self.lfu is not None:
            mixed = mixed + self.lfu(quarter_patches(x)).repeat(1, 1, 2, 2)
        result: Tensor = self.conv2(scaled(mixed, strength))
        return result


def quarter_patches(x: Tensor) -> Tensor:
    """``[N, C, H, W] -> [N, C, H/2, W/2]``: the first quarter of the channels, its four patches stacked."""
    rows = torch.cat(x[:, : x.shape[1] // 4].chunk(2, dim=-2), dim=1)
    return torch.cat(rows.chunk(2, dim=-1), dim=1)


def scaled(features: Tensor, strength: Tensor | None) -> Tensor:
    """``features`` (``float [N, C, H, W]``) times ``strength`` (``float [N]``), in the dtype of ``features``.

    The last step of a spectral transform is a 1x1 convolution without bias. Scaling its input scales its result.
    """
    return features if strength is None else (features * strength.view(-1, 1, 1, 1)).to(features.dtype)


class FFC(nn.Module):
    """One fast Fourier convolution: four paths between the local and the global channels.

    Three of them are plain convolutions with reflected borders; global to global is the spectral transform. A path
    whose input or output has no channels does not exist.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        ratio_gin: float,
        ratio_gout: float,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        spectral: SpectralOptions = PUBLISHED,
    ) -> None:
        super().__init__()
        in_local, in_global = split_channels(in_channels, ratio_gin)
        out_local, out_global = split_channels(out_channels, ratio_gout)
        if in_global and out_global and stride != 1:
            raise ValueError("a strided FFC with global input and output is used by no LaMa network")

        def conv(cin: int, cout: int) -> nn.Conv2d | None:
            if not cin or not cout:
                return None
            return nn.Conv2d(cin, cout, kernel_size, stride, padding, dilation, bias=False, padding_mode="reflect")

        self.convl2l = conv(in_local, out_local)
        self.convl2g = conv(in_local, out_global)
        self.convg2l = conv(in_global, out_local)
        self.convg2g = SpectralTransform(in_global, out_global, spectral) if in_global and out_global else None

    def forward(self, x: Pair) -> tuple[Tensor | None, Tensor | None]:
        local, glob, strength = x
        to_local = [conv(part) for conv, part in ((self.convl2l, local), (self.convg2l, glob)) if conv is not None]
        to_global = [self.convl2g(local)] if self.convl2g is not None else []
        if self.convg2g is not None:
            to_global.append(self.convg2g(glob, strength))
        return (sum(to_local) if to_local else None, sum(to_global) if to_global else None)


class FFCBNAct(nn.Module):
    """An FFC, then batch norm and ReLU on each half. Takes a pair, gives a pair."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        ratio_gin: float = 0.0,
        ratio_gout: float = 0.0,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        spectral: SpectralOptions = PUBLISHED,
    ) -> None:
        super().__init__()
        self.ffc = FFC(
            in_channels,
            out_channels,
            kernel_size,
            ratio_gin=ratio_gin,
            ratio_gout=ratio_gout,
            stride=stride,
            padding=padding,
            dilation=dilation,
            spectral=spectral,
        )
        out_local, out_global = split_channels(out_channels, ratio_gout)
        self.bn_l = nn.BatchNorm2d(out_local) if out_local else None
        self.bn_g = nn.BatchNorm2d(out_global) if out_global else None

    def forward(self, x: Pair) -> Pair:
        local, glob = self.ffc(x)
        if self.bn_l is not None:
            local = torch.relu(self.bn_l(local))
        if self.bn_g is not None:
            glob = torch.relu(self.bn_g(glob))
        return Pair(local, glob, x.strength)


class FFCResnetBlock(nn.Module):
    """Two 3x3 FFC units with a shortcut around both, on a pair with ``ratio`` of the channels global."""

    def __init__(self, channels: int, *, ratio: float, spectral: SpectralOptions = PUBLISHED) -> None:
        super().__init__()

        def unit() -> FFCBNAct:
            return FFCBNAct(channels, channels, 3, ratio_gin=ratio, ratio_gout=ratio, padding=1, spectral=spectral)

        self.conv1 = unit()
        self.conv2 = unit()

    def forward(self, x: Pair) -> Pair:
        change = self.conv2(self.conv1(x))
        glob = None if change.glob is None or x.glob is None else change.glob + x.glob
        return Pair(change.local + x.local, glob, x.strength)


def join(x: Pair) -> Tensor:
    """The two halves of a pair as one map, local channels first."""
    return x.local if x.glob is None else torch.cat((x.local, x.glob), dim=1)


def split(x: Tensor, ratio_global: float, strength: Tensor | None = None) -> Pair:
    """One map as a pair; the inverse of :func:`join`."""
    local, _ = split_channels(x.shape[1], ratio_global)
    return Pair(x[:, :local], x[:, local:], strength)

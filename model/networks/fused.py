"""An equivalent network with fewer operations: folded batch norms, merged convolutions, transforms without glue.

``fuse`` copies a trained network and replaces its parts by equivalent ones; results differ by rounding only
(``tests/unit/model/networks/test_fused.py`` holds 1e-5 in fp32). Fused networks cannot be trained.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.networks.ffc import FFCBNAct, FourierUnit, Pair, SpectralTransform, quarter_patches, scaled
from model.networks.spectral import Kind, transform_of


def fuse(network: nn.Module, spectral: Kind) -> nn.Module:
    """A fused copy of ``network`` for inference, its spectral paths by ``spectral``. ``network`` may be fused."""
    fused = copy.deepcopy(network).eval().requires_grad_(False)
    _replace(fused, spectral)
    return fused


def _replace(module: nn.Module, spectral: Kind) -> None:
    for name, child in module.named_children():
        if isinstance(child, FFCBNAct):
            setattr(module, name, FusedUnit(child, spectral))
        elif isinstance(child, FusedFourierUnit):
            child.transform = transform_of(spectral)
        else:
            _replace(child, spectral)
    if isinstance(module, nn.Sequential):
        _fold_sequence(module)


def _fold_sequence(sequence: nn.Sequential) -> None:
    """Fold each batch norm into the convolution before it; its place keeps an identity, so that names stay."""
    layers = list(sequence)
    for index, (layer, following) in enumerate(pairwise(layers)):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and isinstance(following, nn.BatchNorm2d):
            scale, shift = _affine(following)
            shape = (1, -1, 1, 1) if isinstance(layer, nn.ConvTranspose2d) else (-1, 1, 1, 1)
            bias = shift if layer.bias is None else shift + layer.bias * scale
            layer.weight = nn.Parameter(layer.weight * scale.view(shape), requires_grad=False)
            layer.bias = nn.Parameter(bias, requires_grad=False)
            sequence[index + 1] = nn.Identity()


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Batch norm in evaluation as ``x * scale + shift``."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics cannot be folded")
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


class FusedFourierUnit(nn.Module):
    """A Fourier unit with its norm folded."""

    def __init__(self, unit: FourierUnit, spectral: Kind) -> None:
        super().__init__()
        scale, shift = _affine(unit.bn)
        self.real_only = unit.real_only
        self.weight = nn.Parameter(unit.conv_layer.weight * scale.view(-1, 1, 1, 1), requires_grad=False)
        self.bias = nn.Parameter(shift, requires_grad=False)
        self.transform = transform_of(spectral)

    def forward(self, x: Tensor) -> Tensor:
        spectrum = self.transform.forward(x)
        if self.real_only:
            real, imaginary = torch.unflatten(spectrum, 1, (-1, 2)).unbind(dim=2)
            convolved = self._convolved(real)
            spectrum = torch.stack((convolved, imaginary.to(convolved.dtype)), dim=2).flatten(1, 2)
        else:
            spectrum = self._convolved(spectrum)
        return self.transform.inverse(spectrum, x.shape[-1]).to(x.dtype)

    def _convolved(self, planes: Tensor) -> Tensor:
        """The 1x1 (or 3x3) convolution among frequencies, in the weights' precision."""
        padding = self.weight.shape[-1] // 2
        return F.conv2d(planes.to(self.weight.dtype), self.weight, self.bias, padding=padding).relu()


class FusedSpectralTransform(nn.Module):
    """The spectral path with its norms folded, and the unit's own global norm folded into its last convolution."""

    def __init__(self, path: SpectralTransform, scale: Tensor, spectral: Kind) -> None:
        super().__init__()
        squeeze, norm, _ = path.conv1
        if not isinstance(squeeze, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            raise TypeError("a spectral transform begins with a convolution and a batch norm")
        inner_scale, inner_shift = _affine(norm)
        self.squeeze = nn.Parameter(squeeze.weight * inner_scale.view(-1, 1, 1, 1), requires_grad=False)
        self.shift = nn.Parameter(inner_shift, requires_grad=False)
        self.fu = FusedFourierUnit(path.fu, spectral)
        self.lfu = None if path.lfu is None else FusedFourierUnit(path.lfu, spectral)
        self.expand = nn.Parameter(path.conv2.weight * scale.view(-1, 1, 1, 1), requires_grad=False)

    def forward(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        x = F.conv2d(x, self.squeeze, self.shift).relu()
        mixed = x + self.fu(x)
        if self.lfu is not None:
            mixed = mixed + self.lfu(quarter_patches(x)).repeat(1, 1, 2, 2)
        return F.conv2d(scaled(mixed, strength), self.expand)


class FusedUnit(nn.Module):
    """An FFC unit: one convolution of everything to local, one of local to global, and the spectral path."""

    def __init__(self, unit: FFCBNAct, spectral: Kind) -> None:
        super().__init__()
        ffc = unit.ffc
        if ffc.convl2l is None or unit.bn_l is None:
            raise TypeError("every unit of these networks has local input and output")
        padding = ffc.convl2l.padding[0]
        self.stride, self.padding = ffc.convl2l.stride, int(padding)
        scale, shift = _affine(unit.bn_l)
        parts = [conv.weight for conv in (ffc.convl2l, ffc.convg2l) if conv is not None]
        self.to_local = nn.Parameter(torch.cat(parts, dim=1) * scale.view(-1, 1, 1, 1), requires_grad=False)
        self.local_shift = nn.Parameter(shift, requires_grad=False)
        self.to_global: nn.Parameter | None = None
        self.global_shift: nn.Parameter | None = None
        self.spectral: FusedSpectralTransform | None = None
        if unit.bn_g is not None and ffc.convl2g is not None:
            scale, shift = _affine(unit.bn_g)
            self.to_global = nn.Parameter(ffc.convl2g.weight * scale.view(-1, 1, 1, 1), requires_grad=False)
            self.global_shift = nn.Parameter(shift, requires_grad=False)
            if ffc.convg2g is not None:
                self.spectral = FusedSpectralTransform(ffc.convg2g, scale, spectral)

    def forward(self, x: Pair) -> Pair:
        local, glob, strength = x
        everything = local if glob is None else torch.cat((local, glob), dim=1)
        if self.padding:
            everything = F.pad(everything, (self.padding,) * 4, mode="reflect")
        to_local = F.conv2d(everything, self.to_local, self.local_shift, self.stride).relu()
        if self.to_global is None:
            return Pair(to_local, None, strength)
        to_global = F.conv2d(everything[:, : local.shape[1]], self.to_global, self.global_shift, self.stride)
        if self.spectral is not None and glob is not None:
            to_global = to_global + self.spectral(glob, strength)
        return Pair(to_local, to_global.relu(), strength)

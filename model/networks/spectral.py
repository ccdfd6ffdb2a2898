"""The two real Fourier transforms of the spectral path, as planes of real numbers.

``fft`` uses the library's FFT and needs complex tensors. ``dft`` writes the same transform as products with constant
matrices: real numbers only, any size, any floating type, so that it can be compiled, captured and exported; on tensor
cores its extra arithmetic costs next to nothing (``bench/engine.py``).

A spectrum is ``[N, 2C, H, W // 2 + 1]``: of each channel the real plane, then the imaginary one. Transforms are
orthonormal. ``fft`` computes in fp32; ``dft`` in the type that it is given, with sums in fp32, and its matrices are
ordered so that nothing is joined or taken apart between its products: all that would be glue are views.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

Kind = Literal["fft", "dft"]


class Transform(Protocol):
    """A forward and an inverse real transform over the last two axes."""

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, 2C, H, W // 2 + 1]``, each of the type that it computes in."""
        ...

    def inverse(self, spectrum: Tensor, width: int) -> Tensor:
        """``[N, 2C, H, width // 2 + 1]`` to ``[N, C, H, width]``."""
        ...


class FftTransform:
    """By the library's FFT."""

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x.float(), norm="ortho")
        return torch.stack((spectrum.real, spectrum.imag), dim=2).flatten(1, 2)

    def inverse(self, spectrum: Tensor, width: int) -> Tensor:
        real, imaginary = torch.unflatten(spectrum.float(), 1, (-1, 2)).unbind(dim=2)
        size = (spectrum.shape[-2], width)
        x: Tensor = torch.fft.irfft2(torch.complex(real, imaginary), s=size, norm="ortho")
        return x


class DftTransform:
    """By products with cosine and sine matrices (Winograd, "On computing the discrete Fourier transform", 1978, the
    definition). The inverse uses that the spectrum of real numbers is Hermitian: columns but the first and the middle
    count twice.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, int], Matrices] | None = None

    def keep(self) -> None:
        """Keep the matrices of every size from now on: a compiler takes no cache, and reads what an eager pass kept."""
        self._kept = {}

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows, columns = self._matrices("forward", height, width, x)
        # Along the width: [.., H, W] @ [W, 2F], read as [.., 2H, F]: for each row its real, then its imaginary columns.
        halves = torch.unflatten(x @ columns, -1, (2, -1)).flatten(-3, -2)
        # Then along the height on both at once: [.., 2H, F], all real rows, then all imaginary ones.
        return torch.unflatten(rows @ halves, -2, (2, height)).flatten(1, 2)

    def inverse(self, spectrum: Tensor, width: int) -> Tensor:
        height = spectrum.shape[-2]
        rows, columns = self._matrices("inverse", height, width, spectrum)
        halves = rows @ torch.unflatten(spectrum, 1, (-1, 2)).flatten(2, 3)
        return torch.unflatten(halves, -2, (height, 2)).flatten(-2) @ columns

    def _matrices(self, direction: Literal["forward", "inverse"], height: int, width: int, x: Tensor) -> Matrices:
        if torch.compiler.is_compiling():
            assert self._kept is not None
            return self._kept[direction, height, width]
        make = _forward_matrices if direction == "forward" else _inverse_matrices
        matrices = _hand_out(make(height, width, x.device, x.dtype))
        if self._kept is not None:
            self._kept[direction, height, width] = matrices
        return matrices


class Matrices(NamedTuple):
    """The constant factors of a transform of one size: products from the left and from the right."""

    rows: Tensor
    columns: Tensor


_recipients: ContextVar[list[Matrices] | None] = ContextVar("recipients", default=None)


@contextmanager
def handed_out() -> Iterator[list[Matrices]]:
    """The matrices that transforms read during the block, in this thread.

    The cache below forgets sizes that nobody asked for lately. Who reads matrices without asking again, as a captured
    pass does, must keep them.
    """
    matrices: list[Matrices] = []
    token = _recipients.set(matrices)
    try:
        yield matrices
    finally:
        _recipients.reset(token)


def _hand_out(matrices: Matrices) -> Matrices:
    recipient = _recipients.get()
    if recipient is not None:
        recipient.append(matrices)
    return matrices


def transform_of(kind: Kind) -> Transform:
    return FftTransform() if kind == "fft" else DftTransform()


def _angles(length: int, kept: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[length, kept]`` of ``2 pi n k / length``; the product is reduced first to stay exact."""
    n, k = torch.arange(length)[:, None], torch.arange(kept)[None, :]
    angle = ((n * k) % length).double() * (2 * math.pi / length)
    return angle.cos(), angle.sin()


@lru_cache(maxsize=64)
def _forward_matrices(height: int, width: int, device: torch.device, dtype: torch.dtype) -> Matrices:
    cos_h, sin_h = _angles(height, height)
    cos_w, sin_w = _angles(width, width // 2 + 1)
    # e^{-i a}: [re; im] -> [cos re + sin im; cos im - sin re]
    rows = torch.cat((torch.cat((cos_h, sin_h), dim=1), torch.cat((-sin_h, cos_h), dim=1)), dim=0) / math.sqrt(height)
    # It is applied to rows that alternate between real and imaginary.
    rows = torch.unflatten(rows, 1, (2, height)).transpose(1, 2).flatten(1)
    columns = torch.cat((cos_w, -sin_w), dim=1) / math.sqrt(width)
    return Matrices(rows.to(device, dtype), columns.to(device, dtype))


@lru_cache(maxsize=64)
def _inverse_matrices(height: int, width: int, device: torch.device, dtype: torch.dtype) -> Matrices:
    cos_h, sin_h = _angles(height, height)
    cos_w, sin_w = _angles(width, width // 2 + 1)
    rows = torch.cat((torch.cat((cos_h, -sin_h), dim=1), torch.cat((sin_h, cos_h), dim=1)), dim=0) / math.sqrt(height)
    # It gives rows that alternate between real and imaginary.
    rows = torch.unflatten(rows, 0, (2, height)).transpose(0, 1).flatten(0, 1)
    twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    columns = torch.cat((cos_w * twice, -sin_w * twice), dim=1).T / math.sqrt(width)
    return Matrices(rows.to(device, dtype), columns.contiguous().to(device, dtype))

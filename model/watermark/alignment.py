"""Alignment: the shift of a picture's mark from its expected place, and whether the picture carries the mark.

The expected gradients of the mark's edges are correlated with the picture's gradients at every shift. Shifts beyond the
reach give the distribution of chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

Values = NDArray[np.float32]

#: Shifts beyond the reach and up to this distance, in px, give the distribution of chance.
NULL_PX = 28


@dataclass(frozen=True)
class Match:
    """The best shift: rows down, columns across, the agreement (1: as expected), and its deviations above chance."""

    down: int
    across: int
    agreement: float
    z: float


def framed(field: Values) -> Values:
    """``field`` (``[..., h, w]``) with the zeros around it that :func:`match` expects."""
    return np.pad(field, (*((0, 0),) * (field.ndim - 2), (NULL_PX, NULL_PX), (NULL_PX, NULL_PX)))


def match(field: Values, expected: Values, reach: int) -> Match:
    """The best shift within ``reach`` px. Both are ``float32 [C, 2, h, w]``; ``expected`` is 0 away from the mark.

    ``expected`` should be 0 for ``NULL_PX`` px along the borders: shifts wrap around.
    """
    shape = tuple(next_fast_len(side, real=True) for side in field.shape[-2:])
    spectrum = sum(
        rfft2(one, shape) * np.conj(rfft2(other, shape))
        for planes in zip(field, expected, strict=True)
        for one, other in zip(*planes, strict=True)
    )
    agreement = irfft2(spectrum, shape) / max(float((expected**2).sum()), 1e-6)
    near = _around(agreement, reach)
    down, across = (int(value) - reach for value in np.unravel_index(int(np.argmax(near)), near.shape))
    wide = _around(agreement, NULL_PX)
    null = np.ones(wide.shape, np.bool_)
    inner = slice(NULL_PX - reach - 4, NULL_PX + reach + 5)
    null[inner, inner] = False
    best = float(near.max())
    return Match(down, across, best, (best - float(wide[null].mean())) / (float(wide[null].std()) + 1e-4))


def _around(values: Values, reach: int) -> Values:
    """The shifts from ``-reach`` to ``reach``."""
    index = np.arange(-reach, reach + 1)
    return np.asarray(values[np.ix_(index, index)], np.float32)

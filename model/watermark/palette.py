"""The few colours of a mark, from a free regression at each of its pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

#: Least distance of two colours in levels, most colours, and the least share of the mark for a colour.
_RADIUS, _MOST, _LEAST_SHARE = 26.0, 4, 0.025


def palette_of(alpha: Values, shift: Values, error: Values) -> Values:
    """The mark's colours, ``float32 [K, 3]``, the commonest first.

    ``alpha`` ``[P]`` with its standard ``error``, and opacity times colour, ``shift`` ``[P, 3]``.
    """
    sure = (alpha > 0.08) & (alpha > 3 * error)
    if not sure.any():
        sure = alpha >= np.quantile(alpha, 0.9)
    colours = shift[sure] / np.maximum(alpha[sure, None], 0.05)
    weight = np.square(alpha[sure] / np.maximum(error[sure], 0.01))
    weight = np.asarray(np.minimum(weight, 4 * np.median(weight)), np.float32)
    if not weight.any():
        # Most have no opacity at all, as where no mark is: each counts alike.
        weight = np.ones_like(weight)
    found: list[Values] = []
    left = np.ones(len(colours), np.bool_)
    whole = weight.sum()
    while len(found) < _MOST and weight[left].sum() >= _LEAST_SHARE * whole:
        centre = _mode(np.asarray(colours[left], np.float32), weight[left])
        near = left & (np.linalg.norm(colours - centre, axis=1) < 2 * _RADIUS)
        if not near.any() or (found and weight[near].sum() < _LEAST_SHARE * whole):
            break
        left &= ~near
        centre = np.clip(centre, 0, 255)
        if not any(_between(centre, first, second) for first in found for second in found):
            found.append(centre)
    return np.asarray(found, np.float32)


def _between(colour: Values, first: Values, second: Values) -> bool:
    """Whether a colour is near the line between two others: then it is an edge between them, not a further colour."""
    apart = second - first
    length = float(apart @ apart)
    if length < 1:
        return bool(np.linalg.norm(colour - first) < _RADIUS)
    share = float(np.clip((colour - first) @ apart / length, 0, 1))
    return bool(np.linalg.norm(colour - first - share * apart) < _RADIUS)


def _mode(colours: Values, weight: Values) -> Values:
    """The densest point of the colours (mean shift from the best of some starts)."""
    some = np.random.default_rng(0).choice(len(colours), min(len(colours), 200), replace=False)
    apart = np.linalg.norm(colours[some][:, None] - colours[None], axis=2)
    centre = colours[some][np.argmax((np.exp(-np.square(apart / _RADIUS)) * weight).sum(axis=1))]
    for _ in range(12):
        near = np.exp(-np.square(np.linalg.norm(colours - centre, axis=1) / _RADIUS)) * weight
        centre = (near[:, None] * colours).sum(axis=0) / max(float(near.sum()), 1e-9)
    return np.asarray(centre, np.float32)

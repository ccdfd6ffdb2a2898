"""How strongly one picture carries a mark, relative to the template: fitted on edges, where errors hardly correlate."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


def fit_strength(window: Values, guess: Values, alpha: Values, colour: Values) -> tuple[float, float]:
    """The strength, and its standard error.

    ``window``: what is seen, ``float32 [h, w, 3]``; ``guess``: what would be there without the mark; ``alpha`` and
    ``colour``: the template's.
    """
    expected = steps(alpha[..., None] * (colour - guess))
    found = steps(window - guess)
    # Away from the mark's edges, what is expected are only gradients of the guess itself.
    own = (steps(alpha[..., None] * colour) ** 2).sum(axis=0) + ((255 * steps(alpha[..., None])) ** 2).sum(axis=0)
    where = own > 0.1 * float(own.max() or 1)
    if where.sum() < 8:
        return 1.0, 1.0
    noise = (cv2.blur((steps(guess) ** 2).sum(axis=0), (9, 9)) + 12)[where]
    expected, found = expected[:, where], found[:, where]
    size = (expected**2).sum(axis=0)
    weight, strength, spread = 1 / noise, 1.0, 1.0
    for _ in range(4):
        across = float((weight * size).sum()) + 1e-9
        strength = float((weight * (expected * found).sum(axis=0)).sum()) / across
        rest = ((found - strength * expected) ** 2).sum(axis=0)
        weight = 1 / (noise + rest / 9)
        spread = float((weight**2 * size * rest).sum()) / across**2
    # Neighbouring steps share pixels and JPEG's errors: about four tell as much as one.
    return strength, float(2 * np.sqrt(max(spread, 1e-8)))


def steps(picture: Values) -> Values:
    """Forward differences of ``[h, w, C]``, both ways and all channels: ``[2 C, h, w]``."""
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    right = np.diff(planes, axis=2, append=planes[:, :, -1:])
    down = np.diff(planes, axis=1, append=planes[:, -1:])
    return np.concatenate((right, down))

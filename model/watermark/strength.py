"""Strength of a mark in one picture, relative to the template: fitted on edges, where errors hardly correlate."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

#: An edge counts from this share of the energy of the mark's strong edges. Those are a high quantile of all edges: the
#: maximum may be a scrap. Steps below ``_LEAST_STEP`` of opacity are no edges.
_SHARE, _STRONG, _LEAST_STEP = 0.1, 0.9, 0.02


class Edges:
    """The edges of a mark, prepared once for many pictures."""

    def __init__(self, alpha: Values, colour: Values) -> None:
        """``alpha`` ``float32 [h, w]`` and ``colour`` ``float32 [h, w, 3]`` of the template."""
        self._alpha, self._colour = alpha[..., None], colour
        # Away from the mark's edges, the expected gradients are only those of the guess.
        own = _squared(self._alpha * colour) + 255**2 * _squared(self._alpha)
        edges = own[own > (255 * _LEAST_STEP) ** 2]
        strong = float(np.quantile(edges, _STRONG)) if edges.size else 1.0
        self._rows, self._columns = np.nonzero(own > _SHARE * strong)

    def fit(self, window: Values, guess: Values) -> tuple[float, float]:
        """The strength, and its standard error.

        ``window``: the marked pixels, ``float32 [h, w, 3]``; ``guess``: the guessed pixels without the mark.
        """
        if len(self._rows) < 8:
            return 1.0, 1.0
        expected = self._steps(self._alpha * (self._colour - guess))
        observed = self._steps(window - guess)
        noise = cv2.blur(_squared(guess), (9, 9))[self._rows, self._columns] + 12
        size = (expected**2).sum(axis=0)
        weight, strength, spread = 1 / noise, 1.0, 1.0
        for _ in range(4):
            across = float((weight * size).sum()) + 1e-9
            strength = float((weight * (expected * observed).sum(axis=0)).sum()) / across
            rest = ((observed - strength * expected) ** 2).sum(axis=0)
            weight = 1 / (noise + rest / 9)
            spread = float((weight**2 * size * rest).sum()) / across**2
        # Neighbouring steps share pixels and JPEG errors: about four carry the information of one.
        return strength, float(2 * np.sqrt(max(spread, 1e-8)))

    def _steps(self, picture: Values) -> Values:
        """Forward differences of ``[h, w, 3]`` at the edges: ``[6, P]``."""
        height, width = picture.shape[:2]
        values = picture[self._rows, self._columns]
        right = picture[self._rows, np.minimum(self._columns + 1, width - 1)] - values
        down = picture[np.minimum(self._rows + 1, height - 1), self._columns] - values
        return np.ascontiguousarray(np.concatenate((right, down), axis=1).T)


def _squared(picture: Values) -> Values:
    """The squared length of the forward differences of ``[h, w, C]``, over both ways and all channels: ``[h, w]``."""
    out = np.zeros(picture.shape[:2], np.float32)
    right, down = picture[:, 1:] - picture[:, :-1], picture[1:] - picture[:-1]
    out[:, :-1] += np.einsum("ijc,ijc->ij", right, right)
    out[:-1] += np.einsum("ijc,ijc->ij", down, down)
    return out


def steps(picture: Values) -> Values:
    """Forward differences of ``[h, w, C]``, both ways and all channels: ``[2 C, h, w]``."""
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    right = np.diff(planes, axis=2, append=planes[:, :, -1:])
    down = np.diff(planes, axis=1, append=planes[:, -1:])
    return np.concatenate((right, down))

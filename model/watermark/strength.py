"""Strength of a mark in one picture, relative to the template: fitted on edges, where errors hardly correlate."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

#: An edge counts from this share of the energy of the mark's strong edges. Those are a high quantile of all edges: the
#: maximum may be a scrap. Steps below ``_LEAST_STEP`` of opacity are no edges.
_SHARE, _STRONG, _LEAST_STEP = 0.1, 0.9, 0.02
#: Distance over which steps are taken, and the blur before, in px. Steps over 1 px read opacity too low: JPEG and
#: scaling soften edges (bench/logos.py).
_LAG, _SOFT = 3, 1.0
#: Weights of red, green and blue. JPEG stores colour coarser than brightness, so that brightness alone counts, but for
#: marks whose edges have less than this share of their energy in it.
_LUMA, _LEAST_LUMA = np.array(((0.299, 0.587, 0.114),), np.float32), 0.1
#: Rounds in which the ground under the mark is taken from the un-blended pixels, their blur in px, and the opacity up
#: to which they count.
_ROUNDS, _GROUND, _OPAQUE = 4, 4.0, 0.95
#: Opacity from which a pixel belongs to the mark, and the rim around the mark that JPEG softens with it, in px.
_MARK, _RIM = 0.02, 2


class Edges:
    """The edges of a mark, prepared once for many pictures."""

    def __init__(self, alpha: Values, colour: Values) -> None:
        """``alpha`` ``float32 [h, w]`` and ``colour`` ``float32 [h, w, 3]`` of the template."""
        self._alpha, self._colour = alpha[..., None], colour
        rim = np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8)
        self._hidden = cv2.dilate((alpha > _MARK).astype(np.uint8), rim)[..., None] > 0
        # Away from the mark's edges, the expected steps are only those of the guess.
        own = _energy(_lagged(self._alpha * colour)) + 255**2 * _energy(_lagged(self._alpha))
        edges = own[own > (255 * _LEAST_STEP) ** 2]
        strong = float(np.quantile(edges, _STRONG)) if edges.size else 1.0
        self._rows, self._columns = np.nonzero(own > _SHARE * strong)

    def fit(self, window: Values, guess: Values) -> tuple[float, float]:
        """The strength, and its standard error.

        ``window``: the marked pixels, ``float32 [h, w, 3]``; ``guess``: the guessed pixels without the mark.
        """
        if len(self._rows) < 8:
            return 1.0, 1.0
        brightness = self._is_bright(guess)
        ground, strength, error = guess, 1.0, 1.0
        for _ in range(_ROUNDS):
            strength, error = self._fitted(window, ground, strength, brightness=brightness)
            ground = self._ground(window, guess, strength)
        return strength, error

    def _is_bright(self, guess: Values) -> bool:
        """Whether the edges of the mark show in brightness over this background."""
        expected = self._alpha * (self._colour - guess)
        bright, every = (float(np.square(self._steps(expected, brightness=one)).sum()) for one in (True, False))
        return bright > _LEAST_LUMA * every / 3

    def _fitted(self, window: Values, ground: Values, strength: float, *, brightness: bool) -> tuple[float, float]:
        """The strength and its error, given the pixels under the mark."""
        expected = self._steps(self._alpha * (self._colour - ground), brightness=brightness)
        observed = self._steps(window - ground, brightness=brightness)
        texture = _energy(_lagged(_planes(ground, brightness=brightness)))
        noise = cv2.blur(texture, (9, 9))[self._rows, self._columns] + 12
        size = (expected**2).sum(axis=0)
        weight, spread, across = 1 / noise, 1.0, 1.0
        for _ in range(4):
            across = float((weight * size).sum()) + 1e-9
            strength = float((weight * (expected * observed).sum(axis=0)).sum()) / across
            rest = ((observed - strength * expected) ** 2).sum(axis=0)
            weight = 1 / (noise + rest / 9)
            spread = float((weight**2 * size * rest).sum()) / across**2
        # Neighbouring steps share pixels and JPEG errors: about twelve carry the information of one.
        return strength, float(np.sqrt(12 * max(spread, 1e-8)))

    def _ground(self, window: Values, guess: Values, strength: float) -> Values:
        """The pixels under the mark: un-blended and blurred, so that the picture's own steps do not count."""
        opacity = np.clip(self._alpha * np.float32(strength), 0, _OPAQUE)
        value = np.clip((window - opacity * self._colour) / (1 - opacity), 0, 255)
        weight = np.square(1 - opacity)
        total = cv2.GaussianBlur(weight[..., 0], (0, 0), _GROUND)[..., None]
        smooth = cv2.GaussianBlur(value * weight, (0, 0), _GROUND) / np.maximum(total, 1e-6)
        return np.asarray(np.where(self._hidden, smooth, guess), np.float32)

    def _steps(self, picture: Values, *, brightness: bool) -> Values:
        """Steps of ``[h, w, 3]`` at the edges, both ways: ``[2, P]`` of brightness, else ``[6, P]``."""
        lagged = _lagged(_planes(picture, brightness=brightness))
        steps = lagged[:, self._rows, self._columns]
        return np.ascontiguousarray(steps.transpose(0, 2, 1).reshape(-1, len(self._rows)))


def _planes(picture: Values, *, brightness: bool) -> Values:
    """``[h, w, 3]`` as it is, or its brightness ``[h, w, 1]``."""
    return (
        np.asarray(cv2.transform(picture, _LUMA), np.float32).reshape(*picture.shape[:2], 1) if brightness else picture
    )


def _lagged(picture: Values) -> Values:
    """Steps of ``[h, w, C]`` over some px, to the right and down: ``[2, h, w, C]``."""
    soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), _SOFT), np.float32).reshape(picture.shape)
    out = np.zeros((2, *picture.shape), np.float32)
    out[0, :, :-_LAG] = soft[:, _LAG:] - soft[:, :-_LAG]
    out[1, :-_LAG] = soft[_LAG:] - soft[:-_LAG]
    return out


def _energy(lagged: Values) -> Values:
    """The squared length of steps ``[2, h, w, C]``: ``[h, w]``."""
    return np.asarray(np.einsum("whcx,whcx->hc", lagged, lagged), np.float32)


def steps(picture: Values) -> Values:
    """Forward differences of ``[h, w, C]``, both ways and all channels: ``[2 C, h, w]``."""
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    right = np.diff(planes, axis=2, append=planes[:, :, -1:])
    down = np.diff(planes, axis=1, append=planes[:, -1:])
    return np.concatenate((right, down))

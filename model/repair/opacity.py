"""Opacity and colour of a translucent mark in one picture, from its pixels and a guess of the picture below.

A mark of opacity p and colour C makes I (1 - p) + C p of the picture I (Porter and Duff 1984). The guess G stands for I
with an error that is known in size. :func:`fit_paints` fits p and C to many pixels at once, by the likelihood of a
mixture: some pixels carry the mark, others do not. It is fast and knows nothing of shapes; :mod:`model.repair.shape`
finds the shape, and :mod:`model.repair.veil` fits both by turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.seam import spread

Values = NDArray[np.float32]
Flags = NDArray[np.bool_]

#: Opacities that are tried.
OPACITIES = np.array([0.06, 0.09, 0.12, 0.15, 0.18, *np.arange(0.22, 0.98, 0.04), 1.0], np.float32)
#: Colours that marks have more often than any other, in levels.
WHITE, BLACK = np.full(3, 255, np.float32), np.zeros(3, np.float32)
#: Degrees of freedom of the errors (Student's t: single pixels may be far off).
FREEDOM = 4.0
#: Pixels on which all opacities are tried, and on which only so many beside the best are; they are taken evenly.
_FEW_PIXELS, _MOST_PIXELS, _NEIGHBOURS = 500, 2500, 2
#: An opaque mark that is likelier by this much, for each pixel, ends the search; the largest seen under translucent
#: marks that could be recovered is 0.55.
_OPAQUE, _TRANSLUCENT, _FAR_BETTER = 0.92, 0.83, 1.0
#: Rounds of a fit to a few pixels, and to many.
_ROUNDS, _LAST_ROUNDS = 5, 2
#: A colour may leave the levels of a picture by this much in a fit; it is clipped afterwards.
_BEYOND = 8.0


@dataclass(frozen=True)
class Paint:
    """A mark's opacity and colour, fitted."""

    #: From 0 to 1: 1 hides the picture.
    opacity: float
    #: ``float32 [3]``, in levels of 255.
    colour: Values
    #: Mean log-likelihood of a pixel.
    likelihood: float


def fit_paints(marked: Values, guess: Values, error: Values, *, noise: float) -> list[Paint]:
    """The most likely mark of white, of black and of a fitted colour, the likeliest first.

    Empty where there are too few pixels, or an opaque mark explains them far better than any translucent one.

    ``marked`` and ``guess`` (``float32 [N, 3]``, levels of 255): the pixels, and the picture below them as guessed with
    the standard ``error`` (``float32 [N]``, levels). ``noise``: error of the picture's coding, in levels.

    All opacities are tried on a few pixels; those near the best ones on many. A fitted colour trades against opacity
    where the guess is smooth; prefer white or black unless it is far likelier.

    Raises:
        ValueError: the arrays do not have these shapes.
    """
    if marked.shape != guess.shape or marked.shape != (*error.shape, 3):
        raise ValueError(f"marked {marked.shape}, guess {guess.shape} and error {error.shape} do not belong together")
    if len(marked) < 16:
        return []

    def some(most: int) -> tuple[Values, Values, Values]:
        chosen = np.linspace(0, len(marked) - 1, min(most, len(marked))).astype(np.int64)
        return marked[chosen], guess[chosen], error[chosen]

    few = _Mixture(*some(_FEW_PIXELS), OPACITIES, noise)
    far = np.abs(few.marked - few.guess).sum(axis=1)
    fits = [
        few.added_by(np.median(few.shift[:, start], axis=1).astype(np.float32), _ROUNDS)
        for start in (np.ones(len(few.marked), np.bool_), far >= np.median(far))
    ]
    free, by_opacity = max(((few.likelihood(fit), fit) for fit in fits), key=lambda fit: float(fit[0].max()))
    known = [(colour, few.likelihood(few.opacity * colour)) for colour in (WHITE, BLACK)]
    best_by_opacity = np.maximum.reduce([free, *(means for _, means in known)])
    if best_by_opacity[OPACITIES > _OPAQUE].max() > best_by_opacity[OPACITIES < _TRANSLUCENT].max() + _FAR_BETTER:
        return []
    many = some(_MOST_PIXELS)
    paints: list[Paint] = []
    for colour, coarse in known:
        near = _near_best(coarse)
        finer = _Mixture(*many, OPACITIES[near], noise)
        means = finer.likelihood(finer.opacity * colour)
        best = int(np.argmax(means))
        paints.append(Paint(float(OPACITIES[near][best]), colour, float(means[best])))
    near = _near_best(free)
    finer = _Mixture(*many, OPACITIES[near], noise)
    added = finer.added_by(by_opacity[near], _LAST_ROUNDS)
    means = finer.likelihood(added)
    best = int(np.argmax(means))
    fitted = np.clip(added[best] / OPACITIES[near][best], 0, 255).astype(np.float32)
    paints.append(Paint(float(OPACITIES[near][best]), fitted, float(means[best])))
    return sorted(paints, key=lambda paint: -paint.likelihood)


class _Mixture:
    """Some pixels, of which a share carries a mark of one of the ``opacities``; the others do not."""

    def __init__(self, marked: Values, guess: Values, error: Values, opacities: Values, noise: float) -> None:
        self.marked, self.guess = marked, guess
        #: ``float32 [O, 1]``.
        self.opacity = opacities[:, None]
        variance = np.square(error) + np.float32(noise**2)
        self._unmarked = _log_density(np.square(marked - guess).sum(axis=1) / variance, np.log(variance))
        self._variances = np.square((1 - self.opacity) * error) + np.float32(noise**2)
        self._logs = np.log(self._variances)
        #: ``float32 [O, N, 3]``: what the mark added to each pixel.
        self.shift = marked[None] - (1 - self.opacity)[..., None] * guess[None]

    def likelihood(self, added: Values) -> Values:
        """``float32 [O]``: the mean log-likelihood of a pixel, where marks add this much (``[O, 3]`` or ``[O, 1]``)."""
        return self._explained(added)[0]

    def added_by(self, first: Values, rounds: int) -> Values:
        """``float32 [O, 3]``: what the mark of each opacity adds, fitted from a first value."""
        added = first
        for _ in range(rounds):
            _, residual, belongs = self._explained(self._possible(added))
            weight = belongs / self._variances / (1 + residual / np.float32(FREEDOM))
            total = np.maximum(weight.sum(axis=1), np.float32(1e-9))
            added = (weight[:, None] @ self.shift)[:, 0] / total[:, None]
        return self._possible(added)

    def _possible(self, added: Values) -> Values:
        return np.clip(added, -_BEYOND * self.opacity, (255 + _BEYOND) * self.opacity)

    def _explained(self, added: Values) -> tuple[Values, Values, Values]:
        """For each opacity: the mean likelihood, and each pixel's squared residual and share of the mark."""
        rest = self.shift - added[:, None]
        residual = np.einsum("onc,onc->on", rest, rest) / self._variances
        density = _log_density(residual, self._logs)
        share = np.full((len(self.opacity), 1), 0.7, np.float32)
        highest = np.maximum(density, self._unmarked)
        with_mark, without = np.exp(density - highest), np.exp(self._unmarked - highest)
        for _ in range(_ROUNDS):
            belongs = share * with_mark / (share * with_mark + (1 - share) * without)
            share = np.clip(belongs.mean(axis=1, keepdims=True), 0.02, 0.98)
        total = highest + np.log(share * with_mark + (1 - share) * without)
        return total.mean(axis=1), residual, belongs


def _near_best(likelihoods: Values) -> slice:
    """The opacities near the likeliest."""
    best = int(np.argmax(likelihoods))
    return slice(max(best - _NEIGHBOURS, 0), best + _NEIGHBOURS + 1)


def texture_of(pixels: Values, hole: Flags) -> Values:
    """``float32 [H, W]``: the root mean square of ``pixels`` (``[H, W, 3]``) about their own blur, in levels.

    Inside ``hole`` it is continued from outside.
    """
    known = np.where(hole, np.float32(0), np.float32(1))
    total = np.maximum(cv2.GaussianBlur(known, (0, 0), 3), 1e-6)
    smooth = cv2.GaussianBlur(pixels * known[..., None], (0, 0), 3) / total[..., None]
    energy = np.square(pixels - smooth).mean(axis=2)
    return np.sqrt(np.maximum(continued(energy, known, sigma=6), 0))


def continued(values: Values, known: Values, *, sigma: float) -> Values:
    """The local mean of ``values`` (``[H, W]``) where ``known`` is 1, continued smoothly elsewhere (push-pull)."""
    total = cv2.GaussianBlur(known, (0, 0), sigma)
    mean = cv2.GaussianBlur(values * known, (0, 0), sigma) / np.maximum(total, 1e-6)
    trust = known * (total > 0.05)
    return np.asarray(spread(np.asarray(mean * trust, np.float32)[..., None], trust)[..., 0], np.float32)


def fill_error(texture: Values, depth: Values) -> Values:
    """Standard error of a fill, in levels, from the ``texture`` and the ``depth`` in the hole, in px.

    The constants are medians of the shipped network's errors on 12 photos (docs/quality.md, "Recovering").
    """
    return np.asarray(np.sqrt(np.square(texture * np.minimum(1.8, 0.35 * depth**0.6)) + 0.36), np.float32)


def _log_density(residual: Values, log_variance: Values) -> Values:
    """Of Student's t in three channels, less its constant."""
    return np.asarray(-(FREEDOM + 3) / 2 * np.log1p(residual / FREEDOM) - 1.5 * log_variance, np.float32)

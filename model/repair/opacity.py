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
#: Most pixels of a fit; they are taken evenly.
_MOST_PIXELS = 2500
_ROUNDS = 5
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
    """The most likely mark of white, of black and of a fitted colour, the likeliest first; may be empty.

    ``marked`` and ``guess`` (``float32 [N, 3]``, levels of 255): the pixels, and the picture below them as guessed with
    the standard ``error`` (``float32 [N]``, levels). ``noise``: error of the picture's coding, in levels.

    A fitted colour trades against opacity where the guess is smooth; prefer white or black unless it is far likelier.

    Raises:
        ValueError: the arrays do not have these shapes.
    """
    if marked.shape != guess.shape or marked.shape != (*error.shape, 3):
        raise ValueError(f"marked {marked.shape}, guess {guess.shape} and error {error.shape} do not belong together")
    if len(marked) < 16:
        return []
    if len(marked) > _MOST_PIXELS:
        some = np.linspace(0, len(marked) - 1, _MOST_PIXELS).astype(np.int64)
        marked, guess, error = marked[some], guess[some], error[some]
    variance = np.square(error) + noise**2
    unmarked = _log_density(np.square(marked - guess).sum(axis=1) / variance, np.log(variance))
    opacity = OPACITIES[:, None]
    variances = np.square((1 - opacity) * error) + noise**2
    logs = np.log(variances)
    shift = marked[None] - (1 - opacity)[..., None] * guess[None]

    def likelihood(added: Values) -> tuple[Values, Values, Values]:
        """For each opacity: the mean likelihood, and each pixel's squared residual and share of the mark."""
        residual = np.square(shift - added[:, None]).sum(axis=2) / variances
        density = _log_density(residual, logs)
        share = np.full((len(OPACITIES), 1), 0.7, np.float32)
        highest = np.maximum(density, unmarked)
        with_mark, without = np.exp(density - highest), np.exp(unmarked - highest)
        for _ in range(_ROUNDS):
            belongs = share * with_mark / (share * with_mark + (1 - share) * without)
            share = np.clip(belongs.mean(axis=1, keepdims=True), 0.02, 0.98)
        total = highest + np.log(share * with_mark + (1 - share) * without)
        return total.mean(axis=1), residual, belongs

    paints: list[Paint] = []
    for colour in (WHITE, BLACK):
        means, _, _ = likelihood(opacity * colour)
        best = int(np.argmax(means))
        paints.append(Paint(float(OPACITIES[best]), colour, float(means[best])))
    far = np.abs(marked - guess).sum(axis=1)
    starts = (np.ones(len(marked), np.bool_), far >= np.median(far))
    fits = []
    for start in starts:
        added = np.median(shift[:, start], axis=1).astype(np.float32)
        for _ in range(_ROUNDS):
            added = np.clip(added, -_BEYOND * opacity, (255 + _BEYOND) * opacity)
            _, residual, belongs = likelihood(added)
            weight = belongs / variances / (1 + residual / FREEDOM)
            added = np.einsum("on,onc->oc", weight, shift) / np.maximum(weight.sum(axis=1), 1e-9)[:, None]
        added = np.clip(added, -_BEYOND * opacity, (255 + _BEYOND) * opacity)
        means, _, _ = likelihood(added)
        best = int(np.argmax(means))
        fits.append((float(means[best]), best, added[best]))
    mean, best, shade = max(fits, key=lambda fit: fit[0])
    colour = np.clip(shade / OPACITIES[best], 0, 255).astype(np.float32)
    paints.append(Paint(float(OPACITIES[best]), colour, mean))
    return sorted(paints, key=lambda paint: -paint.likelihood)


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

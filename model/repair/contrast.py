"""A mark's opacity and colour, read off the contrast of the picture that is seen through it.

Inside the mark the picture is ``(1 - opacity) * guess + opacity * colour``: a straight line, whose slope is 1 less the
opacity. An opaque mark or object has the slope 0. Most JPEGs hold colour at half the resolution of brightness, and thin
strokes of a mark give some of theirs to the pixels beside them. So brightness tells the opacity, and the colour is
sought by the shares of the mark that the samples of colour saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.repair.ground import Below
from model.repair.opacity import FREEDOM, Flags, Values
from model.repair.unblending import LUMA, SHARED, sampled, without_light

#: Least pixels of a mark that tell its paint; most that are read.
LEAST_MARKED, _MOST_READ = 30, 4000
#: Rounds of the fits: of brightness, and of colour.
_ROUNDS, _COLOUR_ROUNDS = 8, 3
#: Errors of the guess are alike over so many pixels.
_ALIKE = 9
#: Least share of a sample of colour under the mark that tells its colour.
_LEAST_SEEN = 0.1


@dataclass(frozen=True)
class ContrastPaint:
    """Opacity and colour, read off the contrast of the picture seen through a mark."""

    opacity: float
    #: ``float32 [3]``, in levels.
    colour: Values
    #: Standard error of the opacity.
    error: float
    #: Median distance of the pixels' brightness from the fit, in the guess's standard errors.
    residual: float


def contrast_paint(
    marked: Values, below: Below, weight: Values, shape: Flags, *, noise: float, opacity: float = 0.5
) -> ContrastPaint | None:
    """A mark's paint; ``None``: too few pixels.

    ``marked``: ``float32 [H, W, 3]``, whose first pixel has even coordinates in its picture; ``weight`` (``float32
    [H, W]``) of the pixels that surely carry the mark; ``shape``: ``bool [H, W]``, all pixels that carry it. Where the
    guess is flat, the error of the opacity is large. ``opacity``: a first value.
    """
    where = np.flatnonzero((weight > 0).ravel())
    where = where[:: max(1, len(where) // _MOST_READ)]
    if len(where) < LEAST_MARKED:
        return None
    under, over = (values.reshape(-1, 3)[where] @ LUMA for values in (below.guess, marked))
    error, trust = below.error.ravel()[where], weight.ravel()[where]
    residual = np.zeros(len(where), np.float32)
    for _ in range(_ROUNDS):
        variance = np.square((1 - min(opacity, 1.0)) * error) + np.float32(noise**2)
        weights = trust / variance / (1 + residual / variance / np.float32(FREEDOM))
        total = float(weights.sum())
        middle, mean = float(weights @ under) / total, float(weights @ over) / total
        across, along = under - middle, over - mean
        size = max(float(weights @ np.square(across)), 1e-9)
        slope = float(np.clip(float(weights @ (across * along)) / size, -0.05, 1))
        opacity = 1 - slope
        rest = along - slope * across
        residual = np.square(rest)
    spread = float(np.sqrt(_ALIKE * np.square(weights * across * rest).sum())) / size
    level = (mean - slope * middle) / max(opacity, 0.02)
    if not 0 <= level <= 255:
        # The line through a level that pictures can have.
        level = float(np.clip(level, 0, 255))
        across, along = under - level, over - level
        opacity = 1 - float(weights @ (across * along)) / max(float(weights @ np.square(across)), 1e-9)
        residual = np.square(along - (1 - opacity) * across)
    tint = _tint(marked, below, np.float32(np.clip(opacity, 0.02, 1)) * shape, noise=noise)
    colour = np.clip(level + tint, 0, 255).astype(np.float32)
    return ContrastPaint(opacity, colour, spread, float(np.median(np.sqrt(residual / variance))))


def _tint(marked: Values, under: Below, alpha: Values, *, noise: float) -> Values:
    """``float32 [3]``: a mark's colour less its brightness, by the sampling of colour that explains the pixels best."""
    seen, below = without_light(marked), without_light(under.guess)
    least = np.float32(_LEAST_SEEN) * alpha.max()
    best: tuple[float, Values] | None = None
    for rows, columns in SHARED:
        share = sampled(alpha, rows, columns)
        where = np.flatnonzero(share.ravel() > least)
        where = where[:: max(1, len(where) // _MOST_READ)]
        part = share.ravel()[where]
        added = seen.reshape(-1, 3)[where] - (1 - part)[:, None] * below.reshape(-1, 3)[where]
        variance = np.square((1 - part) * under.error.ravel()[where]) + np.float32(noise**2)
        residual = np.zeros(len(where), np.float32)
        for _ in range(_COLOUR_ROUNDS):
            weights = part / variance / (1 + residual / np.float32(FREEDOM))
            tint = weights @ added / max(float(weights @ part), 1e-9)
            residual = np.square(added - part[:, None] * tint).mean(axis=1) / variance
        cost = float(np.log1p(residual / FREEDOM).mean())
        if best is None or cost < best[0]:
            best = cost, np.asarray(tint, np.float32)
    assert best is not None
    return best[1]

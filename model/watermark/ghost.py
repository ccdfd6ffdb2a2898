"""What remains of a mark in a cleaned picture: edges (the ghost score), a step of colour along its rim, or a relief.

A mark leaves a relief that lay a part of a pixel beside the place where it was taken off.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.strength import steps

Values = NDArray[np.float32]


#: Least score and least height, in levels, of a visible ghost. The height matters because smooth pictures agree with
#: the faintest remainder of a mark.
SCORE, LEVELS = 0.25, 1.5
#: Least agreement with the mark, and least height in levels, of a visible step.
_STEP_SCORE, _STEP_LEVELS = 0.5, 4.0
#: Blur of the picture and of the mark before their steps are compared, in px.
_BLUR = 2.5
#: Least share of the picture that shows through a mark, where a relief is reckoned.
_LEAST_THROUGH = 0.1


@dataclass(frozen=True)
class Ghost:
    """The remainder of a mark."""

    #: From -1 to 1: 1 is the mark in full, 0 no remainder, below 0 the negative of the mark.
    score: float
    #: Remaining height of its edges, in levels.
    levels: float
    #: The bounds of score and levels from which it is visible.
    bounds: tuple[float, float] = (SCORE, LEVELS)

    @property
    def shows(self) -> bool:
        """Whether a person would see it: it stands out of the picture's texture, and is not too faint."""
        return abs(self.score) > self.bounds[0] and abs(self.levels) > self.bounds[1]

    @property
    def excess(self) -> float:
        """The levels over their bound; 0 where it is not visible."""
        return abs(self.levels) / self.bounds[1] if self.shows else 0.0


def ghost_score(clean: Values, alpha: Values, colour: Values) -> float:
    """The score alone."""
    return ghost_of(clean, alpha, colour).score


def ghost_of(clean: Values, alpha: Values, colour: Values) -> Ghost:
    """The ghost in ``clean`` (``float32 [h, w, 3]``); ``alpha`` and ``colour`` of the mark cover the same pixels."""
    return _ghost(alpha, *_seen(clean, colour))


def relief_of(clean: Values, alpha: Values, colour: Values) -> Ghost:
    """The relief in ``clean`` (``float32 [h, w, 3]``), from which the mark of ``alpha`` and ``colour`` was taken."""
    return _relief(alpha, *_seen(clean, colour))


def ghost_and_relief(clean: Values, alpha: Values, colour: Values) -> tuple[Ghost, Ghost]:
    """Both remainders, which look at the same edges of ``clean``."""
    seen = _seen(clean, colour)
    return _ghost(alpha, *seen), _relief(alpha, *seen)


def _seen(clean: Values, colour: Values) -> tuple[Values, Values]:
    """The contrast of the mark's colour to the picture, ``float32 [h, w, 3]``, and the picture's edges."""
    return colour - cv2.GaussianBlur(clean, (0, 0), 6), steps(clean)


def _ghost(alpha: Values, contrast: Values, visible: Values) -> Ghost:
    return _remainder(visible, alpha[..., None] * contrast)


def _relief(alpha: Values, contrast: Values, visible: Values) -> Ghost:
    # What a mark leaves that lies one pixel lower or further right, to first order.
    height = contrast / np.maximum(1 - alpha, _LEAST_THROUGH)[..., None]
    slopes = (np.gradient(alpha, axis=axis)[..., None] for axis in (0, 1))
    remains = [_remainder(visible, np.asarray(slope * height, np.float32)) for slope in slopes]
    return max(remains, key=lambda one: (one.excess, abs(one.score)))


def _remainder(visible: Values, pattern: Values) -> Ghost:
    """What remains of ``pattern`` (``float32 [h, w, 3]``) in a picture's edges."""
    expected = steps(pattern)
    energy = (expected**2).sum(axis=0)
    where = energy > 0.05 * float(energy.max() or 1)
    if where.sum() < 12:
        return Ghost(0.0, 0.0)
    expected_edges, visible_edges = expected[:, where], visible[:, where]
    # Strong edges of the picture itself must not decide.
    bound = 3 * float(np.median(np.abs(visible_edges))) + 4
    visible_edges = np.clip(visible_edges, -bound, bound)
    both, own = float((expected_edges * visible_edges).sum()), float(np.sqrt((expected_edges**2).sum()))
    score = both / max(own * float(np.sqrt((visible_edges**2).sum())), 1e-6)
    # The remaining share of the pattern times its edges, over both directions and three channels of each pixel.
    return Ghost(score, both / max(own, 1e-6) / float(np.sqrt(3 * where.sum())))


def step_of(clean: Values, alpha: Values) -> Ghost:
    """The remainder of the mark as a colour step along its rim, in any of the three colours.

    A smooth remainder has no edges, and need not have the mark's colour: blurred, its gradients follow the opacity's.
    """
    expected = steps(_blurred(alpha))
    energy = (expected**2).sum(axis=0)
    where = energy > 0.05 * float(energy.max() or 1)
    if where.sum() < 12 or not energy.any():
        return Ghost(0.0, 0.0)
    edge = expected[:, where]
    own = float(np.sqrt((edge**2).sum()))
    remains = []
    for channel in range(3):
        visible = steps(_blurred(clean[..., channel]))[:, where]
        # Strong edges of the picture itself must not decide.
        bound = 3 * float(np.median(np.abs(visible))) + 0.5
        visible = np.clip(visible, -bound, bound)
        both = float((edge * visible).sum())
        score = both / max(own * float(np.sqrt((visible**2).sum())), 1e-6)
        remains.append(Ghost(score, both / own**2 * float(alpha.max()), (_STEP_SCORE, _STEP_LEVELS)))
    return max(remains, key=lambda one: (one.excess, abs(one.score)))


def _blurred(plane: Values) -> Values:
    """``float32 [h, w, 1]`` of ``[h, w]``."""
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), _BLUR), np.float32)[..., None]

"""What is still to be seen of a mark in a cleaned picture: the correlation of its gradients with the mark's own."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.strength import steps

Values = NDArray[np.float32]


#: A ghost is seen from this score on, where it is of so many levels: smooth pictures agree with the faintest remainder
#: of a mark, which nobody sees.
SCORE, LEVELS = 0.25, 1.5


@dataclass(frozen=True)
class Ghost:
    """What is left of a mark."""

    #: From -1 to 1: 1 the mark as it was laid on, 0 nothing of it, below 0 its negative.
    score: float
    #: How high its edges still are, in levels.
    levels: float

    @property
    def shows(self) -> bool:
        """Whether a person would see it: it stands out of the picture's own texture, and is not too faint."""
        return abs(self.score) > SCORE and abs(self.levels) > LEVELS


def ghost_score(clean: Values, alpha: Values, colour: Values) -> float:
    """The score alone."""
    return ghost_of(clean, alpha, colour).score


def ghost_of(clean: Values, alpha: Values, colour: Values) -> Ghost:
    """``clean``: ``float32 [h, w, 3]``; ``alpha``, ``colour``: the mark's, over the same pixels."""
    smooth = cv2.GaussianBlur(clean, (0, 0), 6)
    expected = steps(alpha[..., None] * (colour - smooth))
    found = steps(clean)
    where = (expected**2).sum(axis=0) > 0.05 * float((expected**2).sum(axis=0).max() or 1)
    if where.sum() < 12:
        return Ghost(0.0, 0.0)
    wanted, seen = expected[:, where], found[:, where]
    # Strong edges of the picture itself must not decide.
    bound = 3 * float(np.median(np.abs(seen))) + 4
    seen = np.clip(seen, -bound, bound)
    both, own = float((wanted * seen).sum()), float(np.sqrt((wanted**2).sum()))
    score = both / max(own * float(np.sqrt((seen**2).sum())), 1e-6)
    # The share of the mark that is left, times its edges: over both directions and three channels of each pixel.
    return Ghost(score, both / max(own, 1e-6) / float(np.sqrt(3 * where.sum())))

"""What is still to be seen of a mark in a cleaned picture: the correlation of its gradients with the mark's own."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.strength import steps

Values = NDArray[np.float32]


def ghost_score(clean: Values, alpha: Values, colour: Values) -> float:
    """From -1 to 1: the mark as it was laid on, 0 nothing of it, below 0 its negative.

    ``clean``: ``float32 [h, w, 3]``; ``alpha``, ``colour``: the mark's, over the same pixels.
    """
    smooth = cv2.GaussianBlur(clean, (0, 0), 6)
    expected = steps(alpha[..., None] * (colour - smooth))
    found = steps(clean)
    where = (expected**2).sum(axis=0) > 0.05 * float((expected**2).sum(axis=0).max() or 1)
    if where.sum() < 12:
        return 0.0
    wanted, seen = expected[:, where], found[:, where]
    # Strong edges of the picture itself must not decide.
    bound = 3 * float(np.median(np.abs(seen))) + 4
    seen = np.clip(seen, -bound, bound)
    return float((wanted * seen).sum() / max(float(np.sqrt((wanted**2).sum() * (seen**2).sum())), 1e-6))

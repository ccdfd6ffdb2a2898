"""Pictures that share a translucent mark in their lower right corner, and their originals."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

HEIGHT, WIDTH = 200, 260
MARK_HEIGHT, MARK_WIDTH = 36, 110
OPACITY = 0.45


def marked_pictures(count: int, seed: int = 3) -> list[tuple[Pixels, Pixels]]:
    """Pairs of a marked picture and its original, ``uint8 [H, W, 3]``."""
    rng = np.random.default_rng(seed)
    share = _coverage()[..., None].astype(np.float32) / 255 * np.float32(OPACITY)
    pairs = []
    for _ in range(count):
        original = _texture(rng)
        blended = original * (1 - share) + 255 * share
        pairs.append((np.rint(blended).astype(np.uint8), original))
    return pairs


def logo() -> Pixels:
    """The mark as a designer's file: white letters with alpha, ``uint8 [h, w, 4]``."""
    coverage = _coverage()
    rows, columns = np.flatnonzero(coverage.any(axis=1)), np.flatnonzero(coverage.any(axis=0))
    part = coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.dstack((np.full((*part.shape, 3), 255, np.uint8), part))


def _coverage() -> Pixels:
    """The letters over a picture: ``uint8 [H, W]``."""
    coverage = np.zeros((HEIGHT, WIDTH), np.uint8)
    where = (WIDTH - MARK_WIDTH - 8, HEIGHT - 18)
    cv2.putText(coverage, "ACME", where, cv2.FONT_HERSHEY_SIMPLEX, 1.1, 255, 3, cv2.LINE_AA)
    return coverage


def _texture(rng: np.random.Generator) -> Pixels:
    """A picture with the falling spectrum of photos."""
    total = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
    for sigma, size in ((40, 900), (12, 200), (4, 45), (1.2, 8)):
        total += size * cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32), (0, 0), sigma)
    total += rng.uniform(-60, 60, 3).astype(np.float32)
    return np.clip(total, 0, 255).astype(np.uint8)

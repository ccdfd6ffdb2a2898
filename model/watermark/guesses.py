"""The data of the regression: the samples' values at the pixels of a hole, and guesses of the values without a mark."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.poisson import Harmonic

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Values regressed at once: bounds the memory of marks that cover the picture.
_CHUNK = 1 << 18
#: A pixel is saturated if all its channels are above this.
SATURATED = 249
_MEAN = np.full((1, 3), 1 / 3, np.float32)


class Guesses:
    """Values and guesses of N samples at the P pixels of a hole."""

    def __init__(self, windows: Pixels, hole: Mask, used: NDArray[np.intp]) -> None:
        """``windows``: ``uint8 [N, h, w, 3]``; ``used``: indices of the windows in use."""
        fill = Harmonic(hole)
        self.rows, self.columns = fill.rows, fill.columns
        count = len(self.rows)
        #: ``uint8 [N, P, 3]``.
        self.seen = np.empty((len(used), count, 3), np.uint8)
        #: The continuation from around the hole: ``float16 [N, P, 3]``.
        self.guess = np.empty((len(used), count, 3), np.float16)
        #: Weight of each guess: ``float16 [N, P]``; 0 where all is saturated, which gives no information.
        self.weight = np.empty((len(used), count), np.float16)
        outside = (~hole).astype(np.float32)
        for place, index in enumerate(used):
            window = np.asarray(windows[index])
            self.seen[place] = window[self.rows, self.columns]
            blown = ((_darkest(window) > SATURATED) & ~hole).astype(np.float32)
            values = fill(np.dstack((window.astype(np.float32), _texture(window, outside), blown)))
            self.guess[place] = values[:, :3]
            nothing = (values[:, 4] > 0.5) & (self.seen[place] > SATURATED).all(axis=1)
            self.weight[place] = np.where(nothing, 0, 9 / (np.square(values[:, 3]) + 9))

    def chunks(self) -> list[slice]:
        """Slices of the pixels, of bounded size."""
        step = max(1, _CHUNK // max(len(self.seen), 1))
        return [slice(at, at + step) for at in range(0, len(self.rows), step)]

    def part(self, pixels: slice) -> tuple[Values, Values, Values]:
        """Guess ``[3, N, p]``, value ``[3, N, p]`` and weight ``[N, p]`` of a slice; channels come first for speed."""
        return (
            np.ascontiguousarray(self.guess[:, pixels].transpose(2, 0, 1), np.float32),
            np.ascontiguousarray(self.seen[:, pixels].transpose(2, 0, 1), np.float32),
            self.weight[:, pixels].astype(np.float32),
        )

    def plane(self, shape: tuple[int, int], values: Values) -> Values:
        """Values of the hole's pixels ``[P, ...]`` laid out over the window, 0 elsewhere."""
        out = np.zeros((*shape, *values.shape[1:]), np.float32)
        out[self.rows, self.columns] = values
        return out


def _darkest(window: Pixels) -> Pixels:
    """The lowest channel of each pixel."""
    red, green, blue = cv2.split(window)
    return np.asarray(cv2.min(cv2.min(red, green), blue), np.uint8)


def _texture(window: Pixels, outside: Values) -> Values:
    """Mean slope around each pixel, in levels per px, from clean pixels alone: near texture a guess is worse."""
    grey = cv2.transform(window.astype(np.float32), _MEAN)
    steps = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3)) + np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3))
    clean = cv2.erode(outside, np.ones((3, 3), np.uint8))
    weight = cv2.boxFilter(clean, -1, (9, 9))
    mean = cv2.boxFilter(steps * clean, -1, (9, 9)) / np.maximum(weight, 1e-3)
    return np.asarray(np.where(weight > 0.01, mean, 20) / 4, np.float32)

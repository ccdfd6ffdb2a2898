"""Searches a whole picture for a mark of known shape: at any place, in several sizes, at any opacity.

A matched filter on gradients. Over a ground I, a mark of opacity a and colour W adds a (W - I), and its edges add
grad(a W) - I grad(a). Both terms are correlations of the picture with the mark's own gradients, so one Fourier
transform of the picture serves all places and sizes. Their ratio to the expected energy is the opacity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

#: Limit of a step, in levels: strong edges of the goods must not decide. Blur that makes the picture its own ground.
_MOST, _GROUND = 40.0, 8.0
#: Steps that count as noise, in squared levels; distance from a hit in which no other counts, in px.
_NOISE, _APART = 20.0, 6


@dataclass(frozen=True)
class Shape:
    """The shape that is searched for: opacity ``float32 [h, w]``, and colour ``float32 [h, w, 3]``."""

    alpha: Values
    colour: Values

    def scaled(self, factor: float) -> Shape:
        """The shape in another size."""
        size = max(3, round(self.alpha.shape[1] * factor)), max(3, round(self.alpha.shape[0] * factor))
        return self.resized(size)

    def resized(self, size: tuple[int, int]) -> Shape:
        """The shape of ``size`` (width, height)."""
        if size == self.alpha.shape[::-1]:
            return self
        how = cv2.INTER_AREA if size[0] < self.alpha.shape[1] else cv2.INTER_CUBIC
        alpha = np.asarray(np.clip(cv2.resize(self.alpha, size, interpolation=how), 0, 1), np.float32)
        # Colours are scaled with their opacity, so that those of transparent pixels do not bleed in.
        weighted = cv2.resize(self.colour * self.alpha[..., None], size, interpolation=how)
        plain = cv2.resize(self.colour, size, interpolation=how)
        colour = np.where(alpha[..., None] > 0.02, weighted / np.maximum(alpha, 0.02)[..., None], plain)
        return Shape(alpha, np.asarray(np.clip(colour, 0, 255), np.float32))


@dataclass(frozen=True)
class Hit:
    """A place at which the picture agrees with the shape."""

    top: int
    left: int
    #: The shape in the size that was found.
    shape: Shape
    #: Opacity relative to the shape's.
    opacity: float
    #: Agreement of the gradients, from -1 to 1.
    cosine: float
    #: Deviations of the response above chance.
    z: float

    @property
    def score(self) -> float:
        """The rank among hits of other sizes and colours: plain shapes agree by chance more than detailed ones do."""
        return self.cosine * self.z


class Searched:
    """A picture, transformed once for any number of searches."""

    def __init__(self, pixels: Pixels) -> None:
        """``pixels``: ``uint8 [H, W, 3]``."""
        self.height, self.width = (int(side) for side in pixels.shape[:2])
        values = pixels.astype(np.float32)
        ground = cv2.GaussianBlur(values, (0, 0), _GROUND)
        self._shape = next_fast_len(self.height, real=True), next_fast_len(self.width, real=True)
        # [2 ways, H, W, 3]
        steps = np.stack([np.clip(step, -_MOST, _MOST) for step in _steps(values)])
        self._steps = [[self._transform(steps[way, ..., channel]) for channel in range(3)] for way in range(2)]
        self._grounded = [self._transform((steps[way] * ground).sum(axis=2)) for way in range(2)]
        self._ground = [self._transform(ground[..., channel]) for channel in range(3)]
        self._square = self._transform((ground**2).sum(axis=2))
        self._energy = self._transform((steps**2).sum(axis=(0, 3)))

    def _transform(self, plane: NDArray[Any]) -> Spectrum:
        return np.asarray(rfft2(np.asarray(plane, np.float32), self._shape), np.complex64)

    def hits(self, shape: Shape, most: int = 1) -> list[Hit]:
        """The best places of a shape that lies inside the picture, the best first."""
        tall, wide = shape.alpha.shape
        if tall + 2 > self.height or wide + 2 > self.width:
            return []
        alpha, ink = np.pad(shape.alpha, 1), np.pad(shape.alpha[..., None] * shape.colour, ((1, 1), (1, 1), (0, 0)))
        edge, inked = _steps(alpha[..., None])[..., 0], _steps(ink)
        response = np.zeros(1, np.complex64)
        for way in range(2):
            for channel in range(3):
                response = response + self._steps[way][channel] * np.conj(self._transform(inked[way, ..., channel]))
            response = response - self._grounded[way] * np.conj(self._transform(edge[way]))
        square = (edge**2).sum(axis=0)
        expected = self._square * np.conj(self._transform(square))
        for channel in range(3):
            both = (edge * inked[..., channel]).sum(axis=0)
            expected = expected - 2 * self._ground[channel] * np.conj(self._transform(both))
        where = np.asarray((np.abs(inked).max(axis=3) + 255 * np.abs(edge)).max(axis=0) > 2, np.float32)
        energy = self._energy * np.conj(self._transform(where))
        rows, columns = self.height - tall - 1, self.width - wide - 1
        answers = [np.asarray(irfft2(one, self._shape)[:rows, :columns]) for one in (response, expected, energy)]
        size = np.maximum(answers[1] + float((inked**2).sum()), 1.0)
        local = np.maximum(answers[2], 1.0)
        # Faint expectations and empty ground say nothing: a floor keeps their noise from agreeing.
        floor = _NOISE * float(where.sum())
        cosine = answers[0] / np.sqrt((size + floor) * (local + floor))
        spread = 1.4826 * float(np.median(np.abs(cosine - np.median(cosine)))) + 1e-3
        return self._best(shape, np.asarray(cosine, np.float32), answers[0] / size, spread, most)

    def _best(self, shape: Shape, cosine: Values, opacity: NDArray[Any], spread: float, most: int) -> list[Hit]:
        left, hits = cosine.copy(), []
        for _ in range(most):
            row, column = (int(value) for value in np.unravel_index(int(np.argmax(left)), left.shape))
            best = float(left[row, column])
            hits.append(Hit(row + 1, column + 1, shape, float(opacity[row, column]), best, best / spread))
            left[max(row - _APART, 0) : row + _APART + 1, max(column - _APART, 0) : column + _APART + 1] = -1
        return hits


def found(searched: Searched, shapes: Sequence[Shape]) -> Hit | None:
    """The best hit of several shapes."""
    hits = [hit for shape in shapes for hit in searched.hits(shape)]
    return max(hits, key=lambda hit: hit.cosine, default=None)


def _steps(picture: Values) -> Values:
    """Forward differences of ``[H, W, C]`` to the right and down: ``[2, H, W, C]``."""
    out = np.zeros((2, *picture.shape), np.float32)
    out[0, :, :-1] = picture[:, 1:] - picture[:, :-1]
    out[1, :-1] = picture[1:] - picture[:-1]
    return out

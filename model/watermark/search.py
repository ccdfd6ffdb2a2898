"""Searches a whole picture for a mark of known shape: at any place, in several sizes, at any opacity.

A matched filter on gradients. Over a ground I, a mark of opacity a and colour W adds a (W - I), and its edges add
grad(a W) - I grad(a). Both terms are correlations of the picture with the mark's own gradients, so one Fourier
transform of the picture serves all places and sizes. Their ratio to the expected energy is the opacity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
#: Share of the places below a tail of chance, and the deviation at which a normal distribution's begins.
_TAIL, _TAIL_Z = 0.98, 2.33
#: Levels by which the colours of a mark in one colour differ at most.
_ONE_COLOUR = 2.0


@dataclass(frozen=True)
class Shape:
    """The shape that is searched for: opacity ``float32 [h, w]``, and colour ``float32 [h, w, 3]``."""

    alpha: Values
    colour: Values

    def toned(self, tone: Tone) -> Shape:
        """The shape in other colours."""
        return Shape(self.alpha, np.asarray(np.clip(tone.level + tone.share * self.colour, 0, 255), np.float32))

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
class Tone:
    """Other colours of a shape: ``level + share * colour``."""

    level: float
    share: float


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
        return self.toned(shape, (Tone(0, 1),), most)[0]

    def toned(self, shape: Shape, tones: Sequence[Tone], most: int = 1) -> list[list[Hit]]:
        """The best places of a shape in each of some tones."""
        tall, wide = shape.alpha.shape
        if tall + 2 > self.height or wide + 2 > self.width:
            return [[] for _ in tones]
        own = _Own(shape, self._transform)
        rows, columns = self.height - tall - 1, self.width - wide - 1
        local = np.maximum(irfft2(self._energy * own.where, self._shape)[:rows, :columns], 1.0)
        # Faint expectations and empty ground say nothing: a floor keeps their noise from agreeing.
        floor = _NOISE * own.count
        found = []
        for tone in tones:
            response = -(self._grounded[0] * own.edges[0] + self._grounded[1] * own.edges[1])
            expected, inked = self._square * own.squared, 0.0
            for channel, (inks, both, energy) in enumerate(own.inked(tone)):
                response = response + self._steps[0][channel] * inks[0] + self._steps[1][channel] * inks[1]
                expected = expected - 2 * self._ground[channel] * both
                inked += energy
            answers = [np.asarray(irfft2(one, self._shape)[:rows, :columns]) for one in (response, expected)]
            size = np.maximum(answers[1] + inked, 1.0)
            cosine = np.asarray(answers[0] / np.sqrt((size + floor) * (local + floor)), np.float32)
            # Empty ground agrees with nothing: only places with texture tell how much agrees by chance. Their
            # distribution has long tails, which decide how high the best of many places comes by chance.
            chance = np.abs(cosine[local > floor])
            spread = float(np.quantile(chance, _TAIL)) / _TAIL_Z if chance.size else 0.0
            spread = max(spread, 1 / np.sqrt(own.count))
            found.append(self._best(shape.toned(tone), cosine, answers[0] / size, spread, most))
        return found

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


class _Own:
    """The transforms of a shape's gradients, from which those in any tone follow."""

    def __init__(self, shape: Shape, transform: Callable[[Values], Spectrum]) -> None:
        edge = _steps(np.pad(shape.alpha, 1)[..., None])[..., 0]
        square = np.square(edge).sum(axis=0)
        #: Of the opacity's edges, both ways, and of their squared length.
        self.edges, self.squared = [np.conj(transform(one)) for one in edge], np.conj(transform(square))
        self._square = float(square.sum())
        most = 255 * np.abs(edge).max(axis=0)
        tint = _tint(shape)
        #: For each channel those of the colour times the opacity, both ways, of the product of both, and the sums of
        #: their squares and of the product.
        self._inks: list[tuple[list[Spectrum], Spectrum, float, float]] = []
        for channel in range(3):
            if tint is not None:
                # The three channels of a mark in one colour are multiples of its opacity.
                level = float(tint[channel])
                inks = [np.asarray(level * one, np.complex64) for one in self.edges]
                both = np.asarray(level * self.squared, np.complex64)
                self._inks.append((inks, both, level**2 * self._square, level * self._square))
                continue
            ink = _steps(np.pad(shape.alpha * shape.colour[..., channel], 1)[..., None])[..., 0]
            product = (edge * ink).sum(axis=0)
            inks, both = [np.conj(transform(one)) for one in ink], np.conj(transform(product))
            self._inks.append((inks, both, float(np.square(ink).sum()), float(product.sum())))
            most = np.maximum(most, np.abs(ink).max(axis=0))
        where = np.asarray(most > 2, np.float32)
        #: Of the pixels with edges, and their number.
        self.where, self.count = np.conj(transform(where)), float(where.sum())

    def inked(self, tone: Tone) -> Iterator[tuple[list[Spectrum], Spectrum, float]]:
        """In a tone, for each channel: the transforms of ink and of its product with the opacity, and its square."""
        level, share = np.float32(tone.level), np.float32(tone.share)
        for inks, both, square, product in self._inks:
            toned = [level * edge + share * ink for edge, ink in zip(self.edges, inks, strict=True)]
            energy = level**2 * self._square + 2 * level * share * product + share**2 * square
            yield toned, level * self.squared + share * both, float(energy)


def _tint(shape: Shape) -> Values | None:
    """The colour ``[3]`` of a shape in one colour; ``None``: it has several."""
    colours = shape.colour[shape.alpha > 0.02]
    if not len(colours) or float((colours.max(axis=0) - colours.min(axis=0)).max()) > _ONE_COLOUR:
        return None
    return np.asarray(colours.mean(axis=0), np.float32)


def _steps(picture: Values) -> Values:
    """Forward differences of ``[H, W, C]`` to the right and down: ``[2, H, W, C]``."""
    out = np.zeros((2, *picture.shape), np.float32)
    out[0, :, :-1] = picture[:, 1:] - picture[:, :-1]
    out[1, :-1] = picture[1:] - picture[:-1]
    return out

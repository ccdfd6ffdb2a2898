"""Searches a picture for a logo of which the file is known: at any place, in any size, in its colours or others.

All sizes are searched in a reduced picture. The best hits are then fitted to whole pixels in the picture itself, as
programs lay marks: a width or height that is off by 1 px leaves the outline of the logo behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from model.watermark.frames import resized
from model.watermark.search import Hit, Searched, Shape, Tone
from model.watermark.sighting import strength_of

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]

#: Sizes of a logo in a picture, relative to its file.
_SMALLEST, _LARGEST = 0.3, 3.0
#: Least and most growth from size to size. Between, half a step moves the ends of the logo by 0.6 px.
_LEAST_STEP, _MOST_STEP, _END_PX = 0.006, 0.05, 0.6
#: Longest side of a picture in the search of all sizes, and of the part of a picture in which a hit is fitted, in px.
_COARSE_PX, _FINE_PX = 360, 900
#: Hits that are fitted, and least side of a logo in the reduced picture, in px.
_BEGUN, _LEAST_SIDE = 4, 6
#: Mean difference of two tones in levels.
_DIFFERENT = 40
#: Margin of the part of a picture in which a hit is fitted, and height of a low logo, in px.
_AROUND, _LOW = 6, 64
#: Opacity below which a border of the file is transparent.
LEAST_ALPHA = 0.004
#: The logo's own colours are taken if their relative error is no larger than others' when multiplied by this.
_OWN = 0.8
#: Least agreement and deviation of a certain hit: a closer agreement needs less (bench/logos.py; in photos without the
#: logo the best of all sizes reached .67 and 10.8, .78 and 6.5).
_CERTAIN = ((0.5, 15.0), (0.8, 9.0))
#: The same for a hit that counts if so many pictures have one; largest difference of their widths, as a share.
_PROBABLE, _LEAST_VOICES, _SAME_SIZE = (0.4, 9.0), 3, 0.01


@dataclass(frozen=True)
class Found:
    """The logo in one picture."""

    owner: int
    hit: Hit
    #: Width and height of the logo's file there, with its transparent borders.
    size: tuple[int, int]
    tone: Tone
    #: Opacity relative to the file's.
    strength: float = 1.0

    @property
    def certain(self) -> bool:
        """Whether the logo is there."""
        return any(self.hit.cosine >= cosine and self.hit.z >= z for cosine, z in _CERTAIN)

    @property
    def probable(self) -> bool:
        """Whether the logo is there if other pictures show it in the same size."""
        return self.hit.cosine >= _PROBABLE[0] and self.hit.z >= _PROBABLE[1]

    def like(self, other: Found) -> bool:
        """Whether size and tone are those of another picture."""
        return self.tone == other.tone and abs(self.size[0] / other.size[0] - 1) <= _SAME_SIZE


@dataclass(frozen=True)
class _Try:
    """A hit in the reduced picture."""

    hit: Hit
    tone: Tone
    #: Size relative to the file, and the step to the next size that was tried.
    size: float
    step: float
    #: Top and left in the picture, and px by which they may be off.
    place: tuple[float, float]
    unsure: float

    def near(self, other: _Try) -> bool:
        """Whether the fit of the other one covers this one, too."""
        shift = max(abs(mine - its) for mine, its in zip(self.place, other.place, strict=True))
        alike = abs(self.size / other.size - 1) < 2 * self.step
        return self.tone == other.tone and alike and shift < 4 * self.unsure


def tones_of(shape: Shape) -> list[Tone]:
    """The tones in which shops lay one logo: its own, inverted, white and black, so far as they differ."""
    seen = shape.alpha > 0.3
    kept: list[Tone] = []
    for tone in (Tone(0, 1), Tone(255, -1), Tone(255, 0), Tone(0, 0)):
        colour = shape.toned(tone).colour[seen]
        if all(np.abs(colour - shape.toned(other).colour[seen]).mean() > _DIFFERENT for other in kept):
            kept.append(tone)
    return kept


def everywhere(owner: int, pixels: Pixels, shape: Shape) -> list[Found]:
    """The best hits in one picture (``uint8 [H, W, 3]``), fitted to whole pixels, the best first."""
    coarse = min(1.0, _COARSE_PX / max(pixels.shape[:2]))
    searched = Searched(resized(pixels, coarse) if coarse < 1 else pixels)
    tones = tones_of(shape)
    tries: list[_Try] = []
    for size, step in _sizes(shape, coarse, (searched.height, searched.width)):
        hits = searched.toned(_trimmed(shape.scaled(size * coarse)), tones)
        for tone, (hit,) in ((tone, some) for tone, some in zip(tones, hits, strict=True) if some):
            tries.append(_Try(hit, tone, size, step, (hit.top / coarse, hit.left / coarse), 1 / coarse))
    found: list[Found] = []
    for one in _apart(tries):
        fitted = _fitted(pixels, shape.toned(one.tone), one)
        if fitted is None:
            continue
        hit, (wide, tall) = fitted
        # The part around the hit is too small to tell chance: the reduced picture does.
        again = _trimmed(hit.shape.resized((round(wide * coarse), round(tall * coarse))))
        for chance in searched.hits(again):
            sure = replace(hit, z=chance.z * hit.cosine / max(chance.cosine, 1e-3))
            found.append(Found(owner, sure, (wide, tall), one.tone))
    return sorted(found, key=lambda one: -one.hit.score)


def _apart(tries: list[_Try]) -> list[_Try]:
    """The best tries that are not the same place in the next size."""
    kept: list[_Try] = []
    for one in sorted(tries, key=lambda one: -one.hit.score):
        if not any(one.near(other) for other in kept):
            kept.append(one)
        if len(kept) == _BEGUN:
            break
    return kept


def agreed(candidates: Sequence[Sequence[Found]]) -> list[Found]:
    """The logo in each picture that shows it for certain, or that agrees with others on its size, the best first.

    ``candidates``: the best hits of each picture.
    """
    best = sorted((one for some in candidates for one in some), key=lambda one: -one.hit.score)
    certain = [one for one in best if one.certain]
    if certain:
        voices = [[one for one in some if one.certain and one.tone == certain[0].tone] for some in candidates]
        return sorted((some[0] for some in voices if some), key=lambda one: -one.hit.score)
    for anchor in best:
        voices = [[one for one in some if one.probable and one.like(anchor)] for some in candidates]
        group = [some[0] for some in voices if some]
        if len(group) >= _LEAST_VOICES:
            return sorted(group, key=lambda one: -one.hit.score)
    return []


def in_likeliest_colours(pixels: Pixels, found: Found, shape: Shape) -> Found:
    """The logo in the colours that explain the picture best: its edges hardly tell black from dark grey."""
    kinds, errors = [], []
    for tone in tones_of(shape):
        own = _trimmed(shape.resized(found.size)).toned(tone)
        strength, error = strength_of(pixels, own.alpha, own.colour, found.hit.top, found.hit.left)
        kinds.append(replace(found, tone=tone, hit=replace(found.hit, shape=own), strength=strength))
        errors.append(error / strength if strength > 0 else np.inf)
    # Its own colours need no better reason.
    errors[0] *= _OWN
    return kinds[int(np.argmin(errors))]


def _sizes(shape: Shape, reduced: float, picture: tuple[int, int]) -> Iterator[tuple[float, float]]:
    """The sizes of the search in a picture reduced by this factor, each with the step to the next one.

    ``picture``: its height and width.
    """
    sides = _trimmed(shape).alpha.shape
    size = _SMALLEST
    largest = min(side / (extent * reduced) for side, extent in zip(picture, sides, strict=True))
    while size <= min(_LARGEST, largest):
        step = float(np.clip(4 * _END_PX / (max(sides) * size * reduced), _LEAST_STEP, _MOST_STEP))
        if min(sides) * size * reduced >= _LEAST_SIDE:
            yield size, step
        size *= 1 + step


def _trimmed(shape: Shape) -> Shape:
    """The shape without its transparent borders.

    It is trimmed after scaling: programs scale a file with its borders, to whole pixels.
    """
    rows, columns = (np.flatnonzero((shape.alpha > LEAST_ALPHA).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return shape
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return Shape(np.ascontiguousarray(shape.alpha[box]), np.ascontiguousarray(shape.colour[box]))


def _fitted(pixels: Pixels, shape: Shape, start: _Try) -> tuple[Hit, tuple[int, int]] | None:
    """The hit near the try in whole pixels, and the file's width and height there."""
    place, size, step = start.place, start.size, start.step
    tall, wide = (side * size for side in _trimmed(shape).alpha.shape)
    around = int(np.ceil(step * max(tall, wide) + start.unsure)) + _AROUND
    rows, columns = (
        np.clip(np.arange(int(begin) - around, int(begin + extent) + around), 0, side - 1)
        for begin, extent, side in zip(place, (tall, wide), pixels.shape[:2], strict=True)
    )
    part = np.ascontiguousarray(pixels[np.ix_(rows, columns)])
    fine = min(1.0, _FINE_PX / max(part.shape[:2]))
    searched = Searched(resized(part, fine) if fine < 1 else part)
    middle, reach = round(shape.alpha.shape[1] * size * fine), int(np.ceil(step * wide * fine))
    # The height of a low logo is rounded by a large share of it.
    rounded = (-1, 0, 1) if tall * fine < _LOW else (0,)
    best = _best(searched, shape, list(product(range(middle - reach, middle + reach + 1, 2), rounded)))
    if best is None:
        return None
    if fine < 1:
        searched = Searched(part)
    middle, reach = round(best[1][0] / fine), int(np.ceil(1 / fine))
    best = _best(searched, shape, list(product(range(middle - reach, middle + reach + 1), (-1, 0, 1))))
    if best is None:
        return None
    hit = best[0]
    return replace(hit, top=hit.top + int(place[0]) - around, left=hit.left + int(place[1]) - around), best[1]


def _best(searched: Searched, shape: Shape, sizes: list[tuple[int, int]]) -> tuple[Hit, tuple[int, int]] | None:
    """The hit that agrees best, and its file's width and height; ``sizes``: widths, and px of height beyond scale."""
    hits = []
    for width, taller in sizes:
        size = width, round(width * shape.alpha.shape[0] / shape.alpha.shape[1]) + taller
        if min(size) > 2:
            hits += [(hit, size) for hit in searched.hits(_trimmed(shape.resized(size)))]
    return max(hits, key=lambda one: one[0].cosine, default=None)

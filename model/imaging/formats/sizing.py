"""Encodes lossy formats that cannot be spliced: near the source's size, and within a bound on the loss.

The bound counts outside the mask (:data:`LEAST_DB`). Where the source's size does not keep it, the quality rises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

#: Least similarity to the source outside the mask, in dB (PSNR); the mean difference is then about one level of 255.
LEAST_DB = 45.0
#: Range of the searched quality, and the allowed relative difference of the size.
LEAST, MOST, NEAR = 40, 100, 0.05
#: First quality of the search; assumed slopes, by quality, of the logarithm of the size and of the similarity in dB,
#: until two attempts are known.
_FIRST, _SIZE_SLOPE, _DB_SLOPE = 80, 0.04, 0.3
#: The search aims so many dB above the bound, and ends where a file lies within so many.
_AIM_DB, _ENOUGH_DB = 0.3, 1.0
_TRIES = 6


@dataclass(frozen=True)
class Coded:
    """A file, and its similarity to what was to be written, outside the mask."""

    data: bytes = field(repr=False)
    similarity_db: float

    @property
    def is_within_bound(self) -> bool:
        """Whether the loss is allowed."""
        return self.similarity_db >= LEAST_DB


def within_bound(encode: Callable[[int], Coded], size: int, most: int = MOST) -> Coded | None:
    """The file of ``encode(quality)`` nearest to ``size`` bytes that keeps the bound; ``None``: ``most`` does not.

    The logarithm of the size and the similarity are nearly linear in quality, so a secant search needs few encodings.
    """
    tried: dict[int, Coded] = {}
    quality = following = min(_FIRST, most)
    while len(tried) < _TRIES and following not in tried:
        quality = following
        tried[quality] = encode(quality)
        following = min(most, max(LEAST, _following(tried, quality, max(size, 1))))
    if most not in tried and not any(coded.is_within_bound for coded in tried.values()):
        tried[most] = encode(most)
    passing = [coded for coded in tried.values() if coded.is_within_bound]
    return min(passing, key=lambda coded: abs(math.log(len(coded.data) / max(size, 1))), default=None)


def _following(tried: dict[int, Coded], quality: int, size: int) -> int:
    """The next quality to try after ``quality``; itself: this one is good."""
    coded = tried[quality]
    growth = math.log(len(coded.data) / size)
    margin = coded.similarity_db - LEAST_DB
    for_size = quality - growth / _slope(tried, quality, lambda one: math.log(len(one.data)), _SIZE_SLOPE)
    for_bound = quality - (margin - _AIM_DB) / _slope(tried, quality, lambda one: one.similarity_db, _DB_SLOPE)
    if margin < 0:
        above = [other for other in tried if other > quality and tried[other].is_within_bound]
        wanted = max(round(for_bound), quality + 1)
        return wanted if not above or wanted < min(above) else (quality + min(above)) // 2
    if abs(growth) <= NEAR or (growth > 0 and margin <= _ENOUGH_DB):
        return quality
    if growth < 0:
        return max(round(for_size), quality + 1)
    below = [other for other in tried if other < quality and not tried[other].is_within_bound]
    return max(round(for_size), round(for_bound) if math.isfinite(for_bound) else LEAST, *(one + 1 for one in below))


def _slope(tried: dict[int, Coded], quality: int, value: Callable[[Coded], float], usual: float) -> float:
    """The slope of ``value`` between ``quality`` and the nearest other attempt, not far below the usual one."""
    others = sorted((other for other in tried if other != quality), key=lambda other: abs(other - quality))
    if not others or not all(math.isfinite(value(tried[one])) for one in (others[0], quality)):
        return usual
    return max((value(tried[others[0]]) - value(tried[quality])) / (others[0] - quality), usual / 4)

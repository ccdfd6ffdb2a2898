"""Encodes lossy formats that cannot be spliced, at the quality that gives the source's size."""

from __future__ import annotations

import math
from collections.abc import Callable

#: Range of the searched quality, and the allowed relative difference of the size.
LEAST, MOST, NEAR = 40, 100, 0.05
#: First quality of the search, and the assumed slope of the logarithm of the size until two sizes are known.
_FIRST, _SLOPE = 80, 0.04


def nearest_size(encode: Callable[[int], bytes], size: int, tries: int = 4) -> bytes:
    """The file of ``encode(quality)`` nearest to ``size`` bytes, found in at most ``tries`` encodings.

    The logarithm of the size is nearly linear in quality, so a secant search needs few encodings.
    """
    sizes: dict[int, float] = {}
    quality, slope = _FIRST, _SLOPE
    best = encode(quality)
    sizes[quality] = math.log(len(best))
    wanted = math.log(max(size, 1))
    while len(sizes) < tries and abs(len(best) - size) > NEAR * size:
        following = min(MOST, max(LEAST, round(quality + (wanted - sizes[quality]) / slope)))
        if following in sizes:
            break
        file = encode(following)
        sizes[following] = math.log(len(file))
        slope = max((sizes[following] - sizes[quality]) / (following - quality), _SLOPE / 4)
        quality = following
        if abs(len(file) - size) < abs(len(best) - size):
            best = file
    return best

"""Lossy formats whose coefficients cannot be spliced: encoded at the quality that gives the source's size."""

from __future__ import annotations

import math
from collections.abc import Callable

#: Quality is looked for between these, and a size so near to the wanted one is near enough.
LEAST, MOST, NEAR = 40, 100, 0.05
#: Where the search begins, and how the logarithm of the size grows with quality until two sizes say it better.
_FIRST, _SLOPE = 80, 0.04


def nearest_size(encode: Callable[[int], bytes], size: int, tries: int = 4) -> bytes:
    """The file of ``encode(quality)`` nearest to ``size`` bytes, found in at most ``tries`` encodings.

    The logarithm of the size is nearly straight in quality, so that a secant needs few of them.
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

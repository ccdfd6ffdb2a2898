"""Lossy formats whose coefficients cannot be spliced: the quality is the one that gives the source's own size."""

from __future__ import annotations

from collections.abc import Callable

#: Quality is looked for between these, and so near to the wanted size is near enough.
LEAST, MOST, NEAR = 40, 100, 0.05


def nearest_size(encode: Callable[[int], bytes], size: int, tries: int = 5) -> bytes:
    """The file of ``encode(quality)`` nearest to ``size`` bytes, by bisection in at most ``tries`` encodings."""
    low, high = LEAST, MOST
    best: bytes | None = None
    for _ in range(tries):
        quality = (low + high) // 2
        file = encode(quality)
        if best is None or abs(len(file) - size) < abs(len(best) - size):
            best = file
        if abs(len(file) - size) <= NEAR * size or low >= high:
            break
        low, high = (quality + 1, high) if len(file) < size else (low, quality - 1)
    assert best is not None
    return best

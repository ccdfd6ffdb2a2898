"""The extension `_texture.c`; an installation without a compiler does without it."""

import numpy as np
from numpy.typing import NDArray

def matches(
    pixels: NDArray[np.uint8],
    hole: NDArray[np.uint8],
    wanted: NDArray[np.uint8],
    seeds: NDArray[np.int16] | None,
    limit: int,
    rounds: int,
    height: int,
    width: int,
    /,
) -> bytearray: ...
def votes(
    detail: NDArray[np.int16], matches: NDArray[np.int16], wanted: NDArray[np.uint8], height: int, width: int, /
) -> bytearray: ...

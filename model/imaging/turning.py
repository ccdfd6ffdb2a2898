"""EXIF orientation on arrays: from the stored to the viewing orientation, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def as_seen(stored: Array, orientation: int) -> Array:
    """``[H, W, ...]`` turned by an EXIF orientation (Exif 2.32, tag 274); a view, no copy."""
    turned = stored.swapaxes(0, 1) if orientation >= 5 else stored
    flip_rows, flip_columns = _FLIPS[orientation]
    return turned[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def as_stored(seen: Array, orientation: int) -> Array:
    """The inverse of :func:`as_seen`; a view, no copy."""
    flip_rows, flip_columns = _FLIPS[orientation]
    turned = seen[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return turned.swapaxes(0, 1) if orientation >= 5 else turned


def contiguous(array: Array) -> Array:
    """The array in contiguous memory; copied only if needed."""
    return np.ascontiguousarray(array)


#: After the swap of axes: whether rows and columns are reversed.
_FLIPS = {
    1: (False, False),
    2: (False, True),
    3: (True, True),
    4: (True, False),
    5: (False, False),
    6: (False, True),
    7: (True, True),
    8: (True, False),
}

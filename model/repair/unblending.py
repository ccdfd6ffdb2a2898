"""Takes a translucent mark of known opacity and colour off the pixels: inverse blending.

Most JPEGs hold colour at half the resolution of brightness. At the mark's edges the opacity that the colour saw is
therefore another one than that of the brightness: the mean over the pixels that share a sample.
"""

from __future__ import annotations

import cv2
import numpy as np

from model.repair.opacity import Flags, Values

#: Weights of red, green and blue in the brightness of JPEG (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
#: Rows and columns that share a sample of colour: 4:4:4, 4:2:2 and 4:2:0.
SHARED = ((1, 1), (1, 2), (2, 2))
#: Another sampling than 4:4:4 has to be this much smoother.
_SMOOTHER = 0.95


def unblended(marked: Values, alpha: Values, colour: Values, rim: Flags) -> tuple[Values, Values]:
    """The picture under a mark, ``float32 [H, W, 3]``, and the opacity that its colour saw, ``[H, W]``.

    ``marked``: ``float32 [H, W, 3]``, whose first pixel has even coordinates in its picture; ``alpha``: ``float32
    [H, W]``, under 1; ``colour``: ``float32 [3]`` or ``[H, W, 3]``, in levels. The sampling of colour is the one that
    leaves the least colour along ``rim`` (``bool [H, W]``), the mark's edge.
    """
    chroma = without_light(marked)
    luma = (marked - chroma)[..., 0]
    ink = colour @ LUMA
    clean_luma = (luma - alpha * ink) / (1 - alpha)
    ink_chroma = colour - ink[..., None]
    edges = cv2.dilate(rim.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    best: tuple[float, Values, Values] | None = None
    for rows, columns in SHARED:
        seen = sampled(alpha, rows, columns)
        # Where the colour's own resolution matters, its shares of the mark do too.
        added = sampled(alpha[..., None] * ink_chroma, rows, columns)
        clean = (chroma - added) / (1 - seen)[..., None]
        rough = _roughness(clean, edges)
        if best is None or rough < _SMOOTHER * best[0]:
            best = rough, clean, seen
    assert best is not None
    return clean_luma[..., None] + best[1], best[2]


def without_light(values: Values) -> Values:
    """The colour alone of ``values`` (``float32 [H, W, 3]``, levels): less their brightness."""
    return values - (values @ LUMA)[..., None]


def sampled(values: Values, rows: int, columns: int) -> Values:
    """``values`` (``[H, W]`` or ``[H, W, 3]``) as a coder leaves them that keeps one sample for each block."""
    if rows == columns == 1:
        return values
    height, width = values.shape[:2]
    whole = cv2.copyMakeBorder(values, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    size = whole.shape[1], whole.shape[0]
    small = cv2.resize(whole, (size[0] // columns, size[1] // rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)[:height, :width], np.float32)


def _roughness(chroma: Values, where: Flags) -> float:
    across, down = np.abs(np.diff(chroma, axis=1)).sum(axis=2), np.abs(np.diff(chroma, axis=0)).sum(axis=2)
    return float(across[where[:, 1:]].sum() + down[where[1:]].sum())

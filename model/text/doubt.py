"""Says whether a person should look at a repair of text marks: where little is left to continue the picture from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from model.text.reading import Line
from model.text.strokes import Mask, Strokes

Pixels = NDArray[np.uint8]
#: ``hole_large``: the letters of a line cannot be told from the picture, or the mask is a large part of it.
#: ``over_detail``: fine detail lies around the letters, and so below them.
Doubt = Literal["hole_large", "over_detail"]

#: Largest share of a picture that the strokes of its marks cover.
_MOST_SHARE = 0.05
#: Fine detail: mean difference from the blurred picture in levels, and the blur as a share of the line's height. A
#: plain ground has 0, and most faces at the size of their letters 9 to 12.
_DETAIL, _BLUR = 8.0, 0.25
#: Share of a mark's area from which on it counts as recovered.
_MOSTLY = 0.5
#: Distance from the mask within which the letters' rims still show, in px.
_RIM = 3


def doubts_of(pixels: Pixels, lines: Sequence[Line], strokes: Strokes) -> tuple[Doubt, ...]:
    """The doubts about a repair of ``lines`` in ``pixels`` (``uint8 [H, W, 3]``) by their ``strokes``."""
    doubts: list[Doubt] = []
    if strokes.untold or np.count_nonzero(strokes.mask) > _MOST_SHARE * strokes.mask.size:
        doubts.append("hole_large")
    if any(_detail(pixels, line, strokes.mask) > _DETAIL for line in lines):
        doubts.append("over_detail")
    return tuple(doubts)


def standing(doubts: Sequence[Doubt], recovered: float) -> list[Doubt]:
    """The doubts that stand where the share ``recovered`` of the mark's area was not filled."""
    return list(doubts) if recovered < _MOSTLY else []


def _detail(pixels: Pixels, line: Line, mask: Mask) -> float:
    """Mean difference of the pixels around the letters from their blurred surroundings, in levels."""
    box = line.box(line.height, (pixels.shape[0], pixels.shape[1]))
    if not pixels[box].size:
        return 0.0
    grey = cv2.cvtColor(np.ascontiguousarray(pixels[box]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    near = cv2.dilate(np.ascontiguousarray(mask[box]), np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8))
    seen = (near == 0).astype(np.float32)
    if not seen.any():
        return 0.0
    blur = _BLUR * line.height
    around = cv2.GaussianBlur(grey * seen, (0, 0), blur) / np.maximum(cv2.GaussianBlur(seen, (0, 0), blur), 1e-3)
    return float(np.abs(grey - around)[seen > 0].mean())

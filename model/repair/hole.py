"""Turns a user's mask into the hole that the network fills, and into the blend weights of the fill.

A mask is ``uint8 [H, W]``, 255 = repair, 0 = keep. It is widened a little, because marks have soft edges and JPEG
smears them; the seam is feathered inside the widened rim, so that nothing outside it ever changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from model.cells import extent, touched_cells
from model.repair.flat import with_flat_ground
from model.repair.seam import keep_flat, near_known, rim_matched

Mask = NDArray[np.uint8]
#: Values of the mask below this (of 255) count as unmarked.
_NOISE = 24
#: Parts of the hole are separated on cells of this many px.
_CELL, _MOST_WINDOWS = 32, 256
#: Default feather in px.
DEFAULT_FEATHER_PX = 2


def default_dilation(height: int, width: int) -> int:
    """3 px for small pictures to 5 px for large ones (from about 2,000 px of mean side on)."""
    return int(np.clip(round(3 + 2 * (np.sqrt(height * width) - 500) / 1500), 3, 5))


def rim(height: int, width: int, dilation_px: int | None, feather_px: int | None) -> tuple[int, int]:
    """Dilation and feather in px, as requested or (``None``) by the size of the picture.

    The feather lies in the widened rim, so that the painted area is replaced in full.
    """
    reach = default_dilation(height, width) if dilation_px is None else dilation_px
    return reach, min(DEFAULT_FEATHER_PX if feather_px is None else feather_px, max(reach - 1, 0))


def dilate(mask: Mask, px: int | None = None) -> Mask:
    """``mask`` widened by ``px`` in every direction (``None``: by the size of the picture)."""
    reach = default_dilation(*mask.shape) if px is None else px
    if reach == 0:
        return mask
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(mask, kernel), np.uint8)


def blend_weights(hole: Mask, feather_px: int) -> NDArray[np.float32]:
    """``float32 [H, W]`` in [0, 1]: 0 outside ``hole``, rising to 1 over ``feather_px`` inwards of its border."""
    if feather_px == 0:
        return (hole > 0).astype(np.float32)
    # Beyond the picture's border there is nothing to blend with: pad with "inside".
    padded = cv2.copyMakeBorder(hole, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    return np.asarray(np.clip(depth / (feather_px + 1), 0, 1), np.float32)


def split_soft(painted: Mask, reach: int) -> tuple[Mask, Mask | None]:
    """The hole, and the soft part of a painted mask that reaches beyond it (``None`` where there is none).

    Values of half and more are the mark, widened by ``reach`` px. Softer paint beyond it joins the hole too, and is
    blended by its strength. Values under ``_NOISE`` are JPEG noise around a hard edge.
    """
    hole = np.zeros_like(painted)
    left, top, wide, tall = extent(painted)
    if not wide:
        return hole, None
    box = slice(max(top - reach, 0), top + tall + reach), slice(max(left - reach, 0), left + wide + reach)
    part = painted[box]
    widened = dilate(np.where(part > 127, np.uint8(255), np.uint8(0)), reach)
    is_soft = (part >= _NOISE) & (widened == 0)
    if not is_soft.any():
        hole[box] = widened
        return hole, None
    hole[box] = np.where(is_soft, np.uint8(255), widened)
    soft = np.zeros_like(painted)
    soft[box] = np.where(is_soft, part, np.uint8(0))
    return hole, soft


def lay(
    pixels: Mask, fill: Mask, hole: Mask, feather_px: int, soft: Mask | None = None, *, match_colour: bool = True
) -> Mask:
    """``fill`` (``uint8 [H, W, 3]``) laid into ``pixels`` under the feathered ``hole``; outside it nothing changes.

    With ``match_colour`` the fill's colours are matched to the rim, and flat backgrounds continued
    (:mod:`model.repair.seam`, ``flat``). ``soft``: the strength of a softly painted mask, in place of the feather.
    """
    result = pixels.copy()
    for window, part in _windows(hole):
        source = pixels[window]
        matched = fill[window]
        if match_colour:
            matched = near_known(source, rim_matched(source, matched, part), part)
            matched = with_flat_ground(source, matched, part)
            matched = keep_flat(source, matched, part)
        laid = cv2.copyTo(matched, part, np.ascontiguousarray(result[window]))
        if soft is None and not feather_px:
            result[window] = laid
            continue
        if soft is None:
            weights = blend_weights(part, feather_px)
        else:
            painted = soft[window]
            core = np.where(painted > 0, np.uint8(0), part)
            weights = np.maximum(blend_weights(core, feather_px), np.minimum(painted / np.float32(127), 1))
        # Inside the feather the fill stands by itself.
        blends = (part > 0) & (weights < 1)
        share = weights[blends][:, None]
        laid[blends] = np.rint(source[blends] * (1 - share) + matched[blends] * share).astype(np.uint8)
        result[window] = laid
    return result


def _windows(hole: Mask) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """Windows of groups of the hole's parts, and in each the hole of its group: the cost follows the covered area."""
    height, width = hole.shape
    cells = touched_cells(hole, _CELL, _CELL).view(np.uint8)
    count, labels = cv2.connectedComponents(cv2.dilate(cells, np.ones((3, 3), np.uint8)), connectivity=8)
    if count - 1 > _MOST_WINDOWS:
        count, labels = 2, np.ones_like(labels)
    for label in range(1, count):
        own = (labels == label) & (cells > 0)
        left, top, wide, tall = cv2.boundingRect(own.astype(np.uint8))
        # A cell more on each side: the rim, and distances to the hole's border, are seen from within the window.
        first_row, first_column = max(top - 1, 0), max(left - 1, 0)
        window = (
            slice(first_row * _CELL, min((top + tall + 1) * _CELL, height)),
            slice(first_column * _CELL, min((left + wide + 1) * _CELL, width)),
        )
        part = own[first_row : top + tall + 1, first_column : left + wide + 1].astype(np.uint8)
        mine = part.repeat(_CELL, axis=0).repeat(_CELL, axis=1)
        part = hole[window]
        yield window, part * mine[: part.shape[0], : part.shape[1]]

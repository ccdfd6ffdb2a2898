"""Copies the picture's own fine detail into the fill, which a network leaves soft.

For each pixel of the hole the known patch nearby is sought that is most like its own (PatchMatch, ``_texture.c``).
Known pixels of the patch count most, so that what lies across the hole's border decides. Above a sigma of 1 px, the
fill's detail gives way to the mean of what the neighbours' matches bring, and more of it where they agree. Calm ground
has no detail to copy, and deep inside a wide hole no match can be trusted: there the fill stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.box import Box
from model.cells import extent, touched_cells
from model.repair.recovery import Recovery

try:
    from model.repair import _texture
except ImportError:  # no compiler was at hand while the package was installed
    IS_BUILT = False
else:
    IS_BUILT = True

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]

#: The share of the fill's detail that gives way where a caller says nothing.
DEFAULT_TEXTURE = 1.0
#: Sigma in px above which detail is copied, and its parts of a level.
_SIGMA_PX, _PARTS = 1.0, 16
#: Side of the tiles in which the hole is worked on, and how far around them matches and detail are seen, in px.
_TILE_PX, _AROUND_PX = 512, 40
#: Depth in the hole from which on texture fades, and where it ends, in px.
_SHALLOW_PX, _DEEP_PX = 4.0, 12.0
#: Detail of the known pixels nearby, in levels: below the first number nothing is copied, from the second on all.
_CALM, _ROUGH = 0.5, 1.5
#: Cells in which it is measured, in px; cells around one that count, and those where a mark may ring: a JPEG's blocks.
_CELL, _NEAR_CELLS, _CALM_CELLS, _RINGING_PX = 4, 5, 11, 8
#: Least share of known pixels among the cells for their detail to count.
_LEAST_KNOWN = 0.02


def textured(recovery: Recovery, hole: Mask, amount: float, soft: Mask | None = None) -> Recovery:
    """``recovery`` with texture in the pixels of ``hole`` that were invented, by ``amount``.

    ``soft`` (``uint8 [H, W]``): paint under which the picture still shows; it stays as it was blended.
    """
    kept = [flags for flags in (recovery.taken, soft) if flags is not None]
    taken = np.maximum.reduce(kept) if kept else None
    pixels, share = with_texture(recovery.pixels, hole, amount, taken)
    return replace(recovery, pixels=pixels, textured=share)


def with_texture(filled: Pixels, hole: Mask, amount: float, taken: Mask | None = None) -> tuple[Pixels, float]:
    """``filled`` (``uint8 [H, W, 3]``) with texture in ``hole`` (``uint8 [H, W]``), and the share of it that has some.

    ``amount``: 0 to 1, how much of the fill's detail gives way. ``taken`` (``uint8 [H, W]``): pixels of the hole that
    come from the picture; they stay. Without the extension the fill stays as it is. The same input has the same result.
    """
    invented = hole if taken is None else np.where(taken > 0, np.uint8(0), hole)
    if not IS_BUILT or amount <= 0:
        return filled, 0.0
    result, textured = filled.copy(), 0
    for core in _tiles(invented):
        window = core.cells(1, halo=_AROUND_PX, height=hole.shape[0], width=hole.shape[1])
        wanted = np.zeros((window.height, window.width), np.uint8)
        wanted[core.within(window).slices] = invented[core.slices]
        textured += _copy(filled[window.slices], hole[window.slices], wanted, amount, result[window.slices])
    return result, textured / max(int(np.count_nonzero(hole)), 1)


def _tiles(invented: Mask) -> Iterator[Box]:
    """The parts of a grid of tiles that hold invented pixels, each no larger than what it holds."""
    for row, column in np.argwhere(touched_cells(invented, _TILE_PX, _TILE_PX)):
        top, left = int(row) * _TILE_PX, int(column) * _TILE_PX
        across, down, wide, tall = extent(invented[top : top + _TILE_PX, left : left + _TILE_PX])
        yield Box(top + down, left + across, top + down + tall, left + across + wide)


def _copy(fill: Pixels, hole: Mask, wanted: Mask, amount: float, result: Pixels) -> int:
    """Write the wanted pixels of one window with texture into ``result``; returns how many there are."""
    low = cv2.GaussianBlur(fill.astype(np.uint16) * np.uint16(_PARTS), (0, 0), _SIGMA_PX)
    detail = np.subtract(fill.astype(np.int16) * np.int16(_PARTS), low, dtype=np.int16, casting="unsafe")
    share = _share(detail, hole) * np.float32(amount)
    flags = np.where(share > 0.01, wanted, np.uint8(0))
    if not flags.any():
        return 0
    height, width = hole.shape
    # Neighbours have a say: their matches are sought too.
    near = np.asarray(cv2.dilate(flags, np.ones((3, 3), np.uint8)), np.uint8)
    found = _texture.matches(np.ascontiguousarray(fill), np.ascontiguousarray(hole), near, height, width)
    matches = np.frombuffer(found, np.int16).reshape(height, width, 2)
    voted = np.frombuffer(_texture.votes(detail, matches, flags, height, width), np.int16).reshape(height, width, 3)
    rows, columns = np.nonzero(voted[..., 0] != np.iinfo(np.int16).min)
    before = fill[rows, columns].astype(np.float32)
    after = (low[rows, columns] + voted[rows, columns].astype(np.float32)) / np.float32(_PARTS)
    mixed = before + share[rows, columns][:, None] * (after - before)
    result[rows, columns] = np.rint(mixed.clip(0, 255)).astype(np.uint8)
    return len(rows)


def _share(detail: NDArray[np.int16], hole: Mask) -> Values:
    """How much texture each pixel of a window takes, by the detail around it and its depth: ``float32 [h, w]``."""
    height, width = hole.shape
    energy = cv2.transform(np.square(detail.astype(np.float32)), np.full((1, 3), 1 / (3 * _PARTS**2), np.float32))
    reach = np.ones((2 * _RINGING_PX + 1,) * 2, np.uint8)
    rms = np.full((-(-height // _CELL), -(-width // _CELL)), np.inf, np.float32)
    for beside, cells in ((hole, _NEAR_CELLS), (cv2.dilate(hole, reach), _CALM_CELLS)):
        known = (beside == 0).astype(np.float32)
        sums, counts = (cv2.blur(_in_cells(plane), (cells, cells)) for plane in (energy * known, known))
        has_some = counts > _LEAST_KNOWN
        rms[has_some] = np.minimum(rms, np.sqrt(sums / np.maximum(counts, 1e-6)))[has_some]
    rms[np.isinf(rms)] = 0
    rough = cv2.resize(rms, (rms.shape[1] * _CELL, rms.shape[0] * _CELL), interpolation=cv2.INTER_LINEAR)
    depth = cv2.distanceTransform(hole, cv2.DIST_L2, cv2.DIST_MASK_5)
    share = np.clip((rough[:height, :width] - _CALM) / (_ROUGH - _CALM), 0, 1)
    share *= np.clip((_DEEP_PX - depth) / (_DEEP_PX - _SHALLOW_PX), 0, 1)
    return np.asarray(share, np.float32)


def _in_cells(plane: Values) -> Values:
    """The means of ``plane`` in cells; those at the far borders are filled up with zeros."""
    height, width = plane.shape
    padded = cv2.copyMakeBorder(plane, 0, -height % _CELL, 0, -width % _CELL, cv2.BORDER_CONSTANT, value=0)
    size = padded.shape[1] // _CELL, padded.shape[0] // _CELL
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.float32)

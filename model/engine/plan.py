"""Plans: regions around the connected parts of the mask, and tiles in large regions.

The cost of a picture grows with the area, so a corner logo is repaired in its corner. A plan is plain data: it can be
printed, tested, and counted as progress (one tile is one pass of the network).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from model.box import Box
from model.cells import touched_cells
from model.engine.costs import Costs, costs_for
from model.repair.hole import Mask

#: Crops start and end on this grid: at another offset the strides of the network would change its result.
ALIGN = 16
#: Pixels around a part of the mask that the network sees: at least, and as a share of the part's longer side.
CONTEXT_LEAST, CONTEXT_SHARE = 64, 0.5
#: The least side of a crop: below it the deepest level of a network has nothing left to convolve.
LEAST_SIDE = 64
#: Parts of the mask are separated on cells of this many pixels; more parts than ``MOST_PARTS`` are one region.
CELL, MOST_PARTS = 16, 256
#: A region too large for one pass is cut into tiles of one of these sides that overlap by ``OVERLAP`` or more.
TILES, OVERLAP = (512, 768, 1024), 96
#: A hole that holds a disc of this radius is wide: the network does not see across it, so a smaller copy, in which it
#: holds a disc of at most the second radius, guides it.
WIDE_RADIUS, GUIDED_RADIUS = 14, 14
#: Sides of regions are rounded up to multiples of the second number up to the first, so that few shapes occur.
_BUCKETS = ((256, 32), (512, 64), (1 << 30, 128))


@dataclass(frozen=True)
class Region:
    """A box of the picture and the tiles that cover its masked pixels.

    Both may reach beyond the right and lower border of the picture; that part is padding.
    """

    box: Box
    tiles: tuple[Box, ...]
    #: Reduction of the copy whose fill guides the tiles; ``None``: no guide.
    guide: int | None = None

    @property
    def passes(self) -> int:
        return len(self.tiles) + (self.guide is not None)


@dataclass(frozen=True)
class Plan:
    """All passes of the network for one picture."""

    regions: tuple[Region, ...]

    @property
    def tiles_total(self) -> int:
        """Passes of the network."""
        return sum(region.passes for region in self.regions)

    @property
    def pixels_total(self) -> int:
        """Pixels that pass through the network."""
        tiles = sum(tile.area for region in self.regions for tile in region.tiles)
        return tiles + sum(region.box.area // region.guide**2 for region in self.regions if region.guide)

    def cost_ms(self, costs: Costs) -> float:
        """Expected time on the device."""
        return self.tiles_total * costs.pass_ms + self.pixels_total * costs.ns_per_px / 1e6

    def __str__(self) -> str:
        lines = [f"{self.tiles_total} passes, {self.pixels_total} px"]
        for region in self.regions:
            box = region.box
            guided = "" if region.guide is None else f", guided at 1/{region.guide}"
            lines.append(f"{box.width}x{box.height} at ({box.left}, {box.top}): {len(region.tiles)} tiles{guided}")
        return "\n".join(lines)


def make_plan(hole: Mask, costs: Costs | None = None) -> Plan:
    """The cheapest plan for a picture whose (widened) mask is ``hole`` (``uint8 [H, W]``) where passes cost ``costs``.

    Candidates are regions, joined as long as that is cheaper, and the whole picture in one pass. What does not fit into
    one pass is cut into tiles; where the hole is wide, a smaller copy guides the fill.
    """
    costs = costs or costs_for("fourier-unet", "cpu")
    joined = _merged([_with_context(box, *hole.shape) for box in _parts(hole)], costs)
    plan = Plan(tuple(_region(_bucketed(box, *hole.shape), hole, costs) for box in joined))
    everything = _bucketed(Box(0, 0, *hole.shape), *hole.shape)
    if everything.area > costs.most_px:
        return plan
    whole = Plan((_region(everything, hole, costs),))
    return whole if whole.cost_ms(costs) < plan.cost_ms(costs) else plan


def _region(box: Box, hole: Mask, costs: Costs) -> Region:
    """A box in one pass where it fits, else in tiles; guided where the hole is wide."""
    guide = _guide(box, hole, costs)
    if box.area <= costs.most_px:
        return Region(box, (box,), guide)
    most = math.isqrt(costs.most_px) // ALIGN * ALIGN
    # Small tiles leave out more unmasked pixels, large ones overlap less.
    cuts = [cut(box, hole, side=min(side, most)) for side in TILES]
    region = min(cuts, key=lambda region: Plan((region,)).cost_ms(costs))
    return Region(box, region.tiles, guide)


def _guide(box: Box, hole: Mask, costs: Costs) -> int | None:
    """The reduction of the copy that guides the fill of ``box``; ``None``: the hole is not wide, or the box small."""
    depth = float(cv2.distanceTransform(hole[box.slices], cv2.DIST_L2, cv2.DIST_MASK_3).max())
    if depth <= WIDE_RADIUS:
        return None
    smaller = max(math.ceil(depth / GUIDED_RADIUS), math.ceil(math.sqrt(box.area / costs.most_px)))
    smaller = min(smaller, min(box.height, box.width) // LEAST_SIDE)
    return smaller if smaller > 1 else None


def _parts(hole: Mask) -> list[Box]:
    """Boxes around groups of masked pixels; groups so near that their contexts would overlap are one."""
    cells = touched_cells(hole, CELL, CELL).view(np.uint8)
    reach = CONTEXT_LEAST // CELL // 2
    near = cv2.dilate(cells, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    count, labels = cv2.connectedComponents(near, connectivity=8)
    if count - 1 > MOST_PARTS:
        return [_extent(cells, hole)]
    return [_extent(np.where(labels == label, cells, np.uint8(0)), hole) for label in range(1, count)]


def _extent(cells: Mask, hole: Mask) -> Box:
    """The box of the cells that are set, cut to the picture."""
    left, top, width, height = cv2.boundingRect(cells)
    return Box(
        top * CELL,
        left * CELL,
        min((top + height) * CELL, hole.shape[0]),
        min((left + width) * CELL, hole.shape[1]),
    )


def _with_context(part: Box, height: int, width: int) -> Box:
    context = max(CONTEXT_LEAST, int(max(part.height, part.width) * CONTEXT_SHARE))
    box = Box(
        max(0, part.top - context),
        max(0, part.left - context),
        min(height, part.bottom + context),
        min(width, part.right + context),
    )
    return _bucketed(box, height, width)


def _bucketed(box: Box, height: int, width: int) -> Box:
    """``box`` grown to the grid and to one of a few sizes: into the picture where there is room, else beyond it."""
    top, bottom = _grown(box.top, box.bottom, height)
    left, right = _grown(box.left, box.right, width)
    return Box(top, left, bottom, right)


def _grown(start: int, end: int, limit: int) -> tuple[int, int]:
    start -= start % ALIGN
    length = max(end - start, LEAST_SIDE)
    step = next(step for largest, step in _BUCKETS if length <= largest)
    # The whole side of a picture is an allowed size: pictures of one catalogue share it.
    length = min(length + -length % step, max(limit + -limit % ALIGN, LEAST_SIDE))
    # Near the far border grow towards the near one, as far as the picture goes.
    overshoot = max(0, start + length - limit) // ALIGN * ALIGN
    start = max(0, start - overshoot)
    return start, start + length


def _merged(boxes: list[Box], costs: Costs) -> list[Box]:
    """Join boxes as long as a joint one costs no more than its two."""
    boxes = sorted(boxes, key=lambda box: (box.top, box.left))
    changed = True
    while changed:
        changed = False
        kept: list[Box] = []
        for box in boxes:
            for index, other in enumerate(kept):
                joint = box.union(other)
                if costs.of(joint.area) <= costs.of(box.area) + costs.of(other.area):
                    kept[index] = joint
                    changed = True
                    break
            else:
                kept.append(box)
        boxes = kept
    return boxes


def cut(box: Box, hole: Mask, *, side: int) -> Region:
    """``box`` in overlapping tiles of at most ``side`` px, without those in which nothing is masked."""
    tiles = [
        Box(box.top + top, box.left + left, box.top + bottom, box.left + right)
        for top, bottom in _cuts(box.height, side)
        for left, right in _cuts(box.width, side)
    ]
    return Region(box, tuple(tile for tile in tiles if hole[tile.slices].any()))


def _cuts(length: int, side: int) -> list[tuple[int, int]]:
    """Intervals of at most ``side`` px that cover ``length``, aligned; several overlap by about ``OVERLAP`` or more."""
    if length <= side:
        return [(0, length)]
    overlap = min(OVERLAP, side // 2)
    count = -(-(length - overlap) // (side - overlap))
    step = (length - side) / (count - 1)
    starts = [round(index * step / ALIGN) * ALIGN for index in range(count)]
    return [(start, min(start + side, length)) for start in starts]


def tile_weights(region: Region) -> list[NDArray[np.float32]]:
    """For each tile ``float32 [h, w]``: raised cosines that fall over the overlap with its neighbours.

    They are positive everywhere, so that their weighted mean exists wherever a tile lies.
    """
    rows = _ramps({(tile.top, tile.bottom) for tile in region.tiles})
    columns = _ramps({(tile.left, tile.right) for tile in region.tiles})
    return [
        np.outer(rows[tile.top, tile.bottom], columns[tile.left, tile.right]).astype(np.float32)
        for tile in region.tiles
    ]


def _ramps(intervals: set[tuple[int, int]]) -> dict[tuple[int, int], NDArray[np.float64]]:
    """The weight along one axis for each interval that tiles take on it."""
    ramps = {(start, end): np.ones(end - start) for start, end in intervals}
    for before, after in pairwise(sorted(intervals)):
        overlap = before[1] - after[0]
        if overlap > 0:
            rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap) + 0.5) / overlap)
            ramps[after][:overlap] *= rise
            ramps[before][-overlap:] *= rise[::-1]
    return {interval: np.maximum(ramp, 1e-4) for interval, ramp in ramps.items()}

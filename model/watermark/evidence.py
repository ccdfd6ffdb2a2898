"""Evidence of a shared mark: where it lies, and which pictures carry it.

The gradients of block after block are correlated between all pictures. Pictures with a mark in the block agree with
each other, so the matrix of correlations has one large eigenvalue, and its eigenvector names the carriers. Pictures
that look alike (one model in one pose) agree without a mark: their correlations count as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.fields import opponents

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Side of a block and step between blocks, in px of the reduced views; longest side of the reduced views.
_BLOCK, _STEP, _LONGEST = 48, 24, 640
#: Blur that is taken off the gradients, in px; gradient of an empty block, in levels over all its pixels.
_BLUR, _EMPTY = 1.5, 20.0
#: Rounds of the power iteration.
_ROUNDS = 40
#: Least eigenvalue of a block with a mark (bench/catalogue.py: .6 to 1.4 without, 2 to 16 with one), and of one that
#: needs no further proof: else the carriers' mean correlation counts. How many carriers must not look alike.
_LEAST_VALUE, _SURE_VALUE, _LEAST_AGREEMENT, _LEAST_APART = 1.4, 2.5, 0.4, 3
#: A block belongs to the mark of the best block from this share of its eigenvalue, from the second where no blocks
#: connect them, and if its eigenvector is as alike.
_SHARE, _ELSEWHERE, _SAME_CARRIERS = 0.12, 0.35, 0.5
#: Distance that joins edges to one part, in px, and least share of the best part's eigenvalue.
_NEAR, _PART_SHARE = 9, 0.15
#: A picture carries the mark from this share of the carriers' median correlation.
_CARRIES = 0.25
#: Two pictures look alike if their thumbnails, less the median thumbnail, correlate by more.
_ALIKE = 0.5


@dataclass(frozen=True)
class Evidence:
    """A mark that pictures share."""

    #: ``bool [H, W]`` over the views: blocks that hold parts of the mark.
    region: Mask
    #: ``bool [N]``.
    carriers: NDArray[np.bool_]
    #: The largest eigenvalue: about the number of carriers times their mean correlation.
    value: float
    #: The sum of the excess of all its blocks' eigenvalues.
    total: float


def look_alikes(thumbs: Values) -> Mask:
    """Which pictures look alike, by thumbnails ``float32 [N, h, w, 3]``: ``bool [N, N]``, true on the diagonal."""
    own = thumbs - np.median(thumbs, axis=0)
    # A tint of the whole picture is no likeness: many pictures are reddish.
    own = (own - own.mean(axis=(1, 2), keepdims=True)).reshape(len(thumbs), -1)
    own /= np.linalg.norm(own, axis=1, keepdims=True) + 1e-6
    return np.asarray((own @ own.T > _ALIKE) | np.eye(len(own), dtype=np.bool_))


def apart(alike: Mask) -> int:
    """The number of pictures of which no two look alike, chosen one after the other."""
    chosen: list[int] = []
    for one in range(len(alike)):
        if not alike[one, chosen].any():
            chosen.append(one)
    return len(chosen)


def groups(alike: Mask) -> list[NDArray[np.intp]]:
    """The pictures, each with those that look like the first of its group."""
    left, out = np.ones(len(alike), np.bool_), []
    while left.any():
        members = np.flatnonzero(left & alike[int(np.argmax(left))])
        left[members] = False
        out.append(members)
    return out


def evidence(views: Sequence[Pixels], alike: Mask, longest: int = _LONGEST, *, colour: bool = True) -> Evidence | None:
    """The strongest mark that the views (``uint8 [H, W, 3]`` of one size) share; ``None`` without one.

    ``longest``: longest side of the reduced views; ``colour``: whether their colour counts beside their brightness.
    """
    height, width = views[0].shape[:2]
    factor = min(1.0, longest / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) if factor < 1 else one for one in views]
    reduced = np.asarray(np.stack(small), np.uint8)
    blocks = _Blocks(reduced, alike, colour=colour)
    if blocks.values.size == 0 or float(blocks.values.max()) < _LEAST_VALUE:
        return None
    best = int(np.argmax(blocks.values))
    value = float(blocks.values[best])
    same = np.abs(blocks.vectors @ blocks.vectors[best]) > _SAME_CARRIERS
    kept = (blocks.values > max(_LEAST_VALUE, _SHARE * value)) & same
    kept &= (blocks.values > _ELSEWHERE * value) | blocks.connected(kept, best)
    carriers = _carriers(blocks, kept, alike)
    both = np.ix_(carriers, carriers)
    if apart(alike[both]) < _LEAST_APART:
        return None
    agreement = np.abs(blocks.correlations(best)[both][~alike[both]])
    if value < _SURE_VALUE and float(agreement.mean()) < _LEAST_AGREEMENT:
        return None
    region = np.zeros(reduced.shape[1:3], np.uint8)
    for top, left in blocks.corners[kept]:
        region[top : top + _BLOCK, left : left + _BLOCK] = 1
    region = np.asarray(cv2.resize(region, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    return Evidence(region > 0, carriers, value, float((blocks.values[kept] - 1).sum()))


class _Blocks:
    """The blocks of some views, with the leading eigenvalue and eigenvector of each."""

    def __init__(self, views: Pixels, alike: Mask, *, colour: bool) -> None:
        """``views``: ``uint8 [N, H, W, 3]``."""
        self._views, self._alike, self._planes = views, alike, 6 if colour else 2
        count, height, width = views.shape[:3]
        tops, lefts = _starts(height), _starts(width)
        corners, matrices = [], []
        for top in tops:
            strip = self._fields(top)
            for left in lefts:
                corners.append((top, left))
                matrices.append(self._matrix(strip[..., left : left + _BLOCK].reshape(count, -1)))
        #: Top and left of each block: ``[B, 2]``.
        self.corners = np.array(corners, np.intp)
        #: ``float32 [B]`` and ``float32 [B, N]``.
        self.values, self.vectors = _leading(np.stack(matrices))

    def connected(self, kept: Mask, best: int) -> Mask:
        """The kept blocks that neighbours connect with the best one."""
        rows, columns = (np.unique(self.corners[:, axis], return_inverse=True)[1] for axis in (0, 1))
        grid = np.zeros((int(rows.max()) + 1, int(columns.max()) + 1), np.uint8)
        grid[rows, columns] = kept
        labels = cv2.connectedComponents(grid, connectivity=8)[1]
        return np.asarray(kept & (labels[rows, columns] == labels[rows[best], columns[best]]))

    def correlations(self, block: int) -> Values:
        """The correlations of the views in a block: ``float32 [N, N]``, 0 between look-alikes."""
        top, left = (int(value) for value in self.corners[block])
        return self._matrix(self._fields(top)[..., left : left + _BLOCK].reshape(len(self._views), -1))

    def _fields(self, top: int) -> Values:
        """The gradients of a strip of blocks, less their own blur: ``float32 [N, planes, block, W]``."""
        around = 6
        low, high = max(top - around, 0), min(top + _BLOCK + around, self._views.shape[1])
        strips = [_sharp(one[low:high], self._planes)[:, top - low : top - low + _BLOCK] for one in self._views]
        return np.stack(strips)

    def _matrix(self, fields: Values) -> Values:
        return _correlations(fields, self._alike, _EMPTY)


def _sharp(pixels: Pixels, planes: int) -> Values:
    """Gradients less their own blur, of brightness (2 planes) and colour (6): ``float32 [planes, H, W]``."""
    out = np.empty((planes, *pixels.shape[:2]), np.float32)
    for number, plane in enumerate(opponents(pixels)[: planes // 2]):
        # What is left of a plane after its blur has the gradients that are left of its gradients.
        sharp = plane - cv2.GaussianBlur(plane, (0, 0), _BLUR)
        out[2 * number] = np.diff(sharp, axis=1, append=sharp[:, -1:])
        out[2 * number + 1] = np.diff(sharp, axis=0, append=sharp[-1:])
    return out


def _correlations(fields: Values, alike: Mask, empty: float) -> Values:
    """Correlations of fields ``[N, P]``; ``empty``: length of a field that counts as half."""
    length = np.linalg.norm(fields, axis=1, keepdims=True)
    own = fields / (length + empty)
    matrix = own @ own.T
    matrix[alike] = 0
    return np.asarray(matrix, np.float32)


def shared(windows: Pixels, alike: Mask, edge: Mask) -> Mask:
    """The parts of ``edge`` (``bool [h, w]``) that the windows share beyond look-alikes: parts on the goods are not.

    ``windows``: ``uint8 [N, h, w, 3]`` of carriers, aligned; ``alike``: ``bool [N, N]``.
    """
    near = cv2.dilate(edge.astype(np.uint8), np.ones((_NEAR, _NEAR), np.uint8))
    count, labels = cv2.connectedComponents(near, connectivity=8)
    # Each window's field is made once, and kept at the edges alone.
    rows, columns = np.nonzero(near)
    fields = np.stack([_sharp(np.asarray(window), 6)[:, rows, columns] for window in windows])
    part_of = labels[rows, columns]
    values = np.zeros(count, np.float32)
    for part in range(1, count):
        own = fields[:, :, part_of == part]
        matrix = _correlations(own.reshape(len(own), -1), alike, _EMPTY * np.sqrt(own.shape[2]) / _BLOCK)
        values[part] = _leading(matrix[None])[0][0]
    kept = values > max(_LEAST_VALUE, _PART_SHARE * float(values.max(initial=0)))
    kept[0] = False
    return np.asarray(edge & kept[labels])


def _leading(matrices: Values) -> tuple[Values, Values]:
    """The leading eigenvalue and eigenvector of symmetric matrices ``[B, N, N]`` with entries of 1 at most."""
    # Power iteration; the shift makes the largest eigenvalue the largest in size, too.
    shift = 2.0
    vectors = np.ones(matrices.shape[:2], np.float32) + 0.01 * np.arange(matrices.shape[1], dtype=np.float32)
    for _ in range(_ROUNDS):
        vectors = np.einsum("bij,bj->bi", matrices, vectors) + shift * vectors
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9
    values = np.einsum("bi,bij,bj->b", vectors, matrices, vectors)
    return values.astype(np.float32), vectors.astype(np.float32)


def _starts(side: int) -> list[int]:
    """The first rows, or columns, of the blocks: the last block ends at the border."""
    last = max(side - _BLOCK, 0)
    return [*range(0, last, _STEP), last]


def _carriers(blocks: _Blocks, kept: Mask, alike: Mask) -> NDArray[np.bool_]:
    """The pictures that agree with the carriers of other looks, over the kept blocks."""
    vectors, weights = blocks.vectors[kept], blocks.values[kept]
    turned = np.sign((vectors @ vectors[int(np.argmax(weights))])[:, None]) * vectors
    # C v = value v: what a picture shares with all others, weighted by how far they carry the mark.
    shared = np.abs((turned * weights[:, None]).sum(axis=0))
    sure = shared > 0.3 * shared.max()
    partners = np.maximum((~alike[:, sure]).sum(axis=1), 1)
    shared = shared / partners
    return np.asarray(shared > _CARRIES * np.median(shared[sure]))

"""Copies the picture's own detail into the fill, which a network leaves soft.

For each pixel of the hole the known patch nearby is sought that is most like its own (PatchMatch, ``_texture.c``).
Known pixels of the patch count most, so that what lies across the hole's border decides. Above a sigma of 1 px, the
fill's detail gives way to the mean of what the neighbours' matches bring, and more of it where they agree. Calm ground
has no detail to copy: there the fill stays.

The middle of a wide hole lies far from all that is known, and the network has left more than fine detail soft there.
So a copy of half the size gets its detail first, and this again until no hole is wide. What that brought is added to
the fill inside, and its matches are where the search at full size begins.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.box import Box
from model.cells import extent, touched_cells
from model.repair.ground import depth_in
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
Matches = NDArray[np.int16]
#: Low frequencies (``uint16``), of a window or of n of its pixels, and the window's detail (``int16``), in parts of a
#: level.
_Bands = tuple[NDArray[np.uint16], NDArray[np.int16]]

#: The share of the fill's detail that gives way where a caller says nothing.
DEFAULT_TEXTURE = 1.0
#: Sigma in px above which detail is copied: at a hole's border, and inside where a coarser copy gave the rest. Parts of
#: a level in which it is counted.
_SIGMA_PX, _INNER_SIGMA_PX, _PARTS = 1.0, 2.0, 16
#: How strong the detail inside is: less than copied, for none of it is known to be there.
_INNER_GAIN = 0.9
#: A hole of more depth is wide, in px; its inside begins at the first of the others, and is whole from the second.
_WIDE_PX, _BORDER_PX, _INSIDE_PX = 12.0, 4.0, 8.0
#: How far away a match lies at most, in px, where no coarser copy gave it; the side of a patch. Rounds of that search.
_REACH_PX, _PATCH_PX, _ROUNDS = 32, 7, 3
#: Side of the tiles in which the hole is worked on, in px. Least side of a picture that is worth a copy, and how
#: often one is halved at most: holes of a depth of up to 512 px get matches in their middle.
_TILE_PX, _LEAST_SIDE_PX, _HALVINGS = 512, 64, 4
#: Detail of the known pixels nearby, in levels: below the first number nothing is copied, from the second on all.
_CALM, _ROUGH = 0.5, 1.5
#: Cells in which it is measured, in px; cells around one that count, and those where a mark may ring: a JPEG's blocks.
_CELL, _NEAR_CELLS, _CALM_CELLS, _RINGING_PX = 4, 5, 11, 8
#: Least share of known pixels among the cells for their detail to count.
_LEAST_KNOWN = 0.02
#: What stands for no match, and for no detail.
_NONE = np.iinfo(np.int16).min


@dataclass(frozen=True)
class _Coarser:
    """Part of a copy of half the size, whose hole has got its detail."""

    #: Where in the copy it lies.
    box: Box
    #: ``uint8 [h, w, 3]``: before, as the network left it, and after.
    before: Pixels
    after: Pixels
    #: ``int16 [h, w, 2]``: rows down and columns to the right to each pixel's match; ``_NONE``: none.
    matches: Matches


@dataclass(frozen=True)
class _Level:
    """A picture whose hole is to get detail, at its own size or a smaller one."""

    #: ``uint8 [H, W, 3]``.
    filled: Pixels
    #: ``uint8 [H, W]``: all that is not known, and the part of it that the fill invented.
    hole: Mask
    invented: Mask
    amount: float

    def window(self, core: Box, halo: int) -> Box:
        """A tile with up to ``halo`` px around it."""
        return core.cells(1, halo=halo, height=self.hole.shape[0], width=self.hole.shape[1])


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
    result, given = _detailed(_Level(filled, hole, invented, amount), _HALVINGS)
    return result, given / max(int(np.count_nonzero(hole)), 1)


def _detailed(level: _Level, halvings: int, matches: Matches | None = None) -> tuple[Pixels, int]:
    """The pixels of a level with texture, and how many have some.

    ``halvings``: how often a picture is halved at most. ``matches`` (``int16 [H, W, 2]``) takes where texture comes
    from.
    """
    coarser = _coarser(level, halvings)
    result = level.filled.copy()
    given = sum(_detail(level, core, coarser, result, matches) for core in _tiles(level.invented))
    return result, given


def _coarser(level: _Level, halvings: int) -> _Coarser | None:
    """A copy of half the size of the box around all wide holes, with detail in them; ``None``: no hole is wide."""
    height, width = level.hole.shape
    if not halvings or min(height, width) < _LEAST_SIDE_PX:
        return None
    wide = [core for core in _tiles(level.invented) if _is_wide(level, core)]
    if not wide:
        return None
    around = functools.reduce(Box.union, wide)
    box = around.cells(2, halo=_REACH_PX + _PATCH_PX, height=-(-height // 2), width=-(-width // 2))
    filled, hole, invented = (
        _halved(plane[box.scaled(2).slices]) for plane in (level.filled, level.hole, level.invented)
    )
    matches = np.full((*hole.shape, 2), _NONE, np.int16)
    after, _ = _detailed(_Level(filled, hole, invented, level.amount), halvings - 1, matches)
    return _Coarser(box, filled, after, matches)


def _is_wide(level: _Level, core: Box) -> bool:
    """Whether invented pixels of a tile lie deep in the hole."""
    window = level.window(core, int(_WIDE_PX) + 1)
    depth = depth_in(level.hole[window.slices] > 0)[core.within(window).slices]
    return bool((depth[level.invented[core.slices] > 0] > _WIDE_PX).any())


def _halved(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``plane`` at half its size; sides of odd length are rounded up. A mask is 0 where all its four pixels are."""
    rows, columns = plane.shape[0] % 2, plane.shape[1] % 2
    even = cv2.copyMakeBorder(plane, 0, rows, 0, columns, cv2.BORDER_REPLICATE) if rows or columns else plane
    size = even.shape[1] // 2, even.shape[0] // 2
    if plane.ndim == 3:
        return np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), np.uint8)
    across = np.maximum(even[:, ::2], even[:, 1::2])
    return np.maximum(across[::2], across[1::2])


def _tiles(invented: Mask) -> Iterator[Box]:
    """The parts of a grid of tiles that hold invented pixels, each no larger than what it holds."""
    for row, column in np.argwhere(touched_cells(invented, _TILE_PX, _TILE_PX)):
        top, left = int(row) * _TILE_PX, int(column) * _TILE_PX
        across, down, wide, tall = extent(invented[top : top + _TILE_PX, left : left + _TILE_PX])
        yield Box(top + down, left + across, top + down + tall, left + across + wide)


def _detail(level: _Level, core: Box, coarser: _Coarser | None, result: Pixels, matches: Matches | None) -> int:
    """Write the invented pixels of a tile with texture into ``result``, and where it comes from into ``matches``.

    Returns how many pixels got texture.
    """
    if coarser is not None and not core.common(coarser.box.scaled(2)).area:
        coarser = None
    around, reach = level.window(core, 1), _REACH_PX
    if coarser is not None:
        added, near_seeds = _enlarged(coarser, around)
        reach += int(np.abs(near_seeds, where=near_seeds != _NONE, out=np.zeros_like(near_seeds)).max())
    window = level.window(core, reach + _PATCH_PX + 1)
    own = core.within(window).slices
    fill, hole = level.filled[window.slices].copy(), level.hole[window.slices].copy()
    wanted = np.zeros(hole.shape, np.uint8)
    wanted[own] = level.invented[core.slices]
    if coarser is not None:
        inside = np.clip((depth_in(hole > 0) - _BORDER_PX) / (_INSIDE_PX - _BORDER_PX), 0, 1)[..., None]
        fill[own] = np.rint((fill[own] + inside[own] * added[core.within(around).slices]).clip(0, 255))
        result[window.slices][wanted > 0] = fill[wanted > 0]
    low, detail = _parted(fill, _SIGMA_PX)
    share = _share(detail, hole) * np.float32(level.amount)
    flags = np.where(share > 0.01, wanted, np.uint8(0))
    if not flags.any():
        return 0
    rows, columns = np.nonzero(flags)
    places = rows, columns
    work = _Work(fill, hole, flags, places, share[places][:, None], reach, (low[places], detail))
    if coarser is None:
        found = work.search(fill, None, _ROUNDS)
    else:
        low, detail = _parted(fill, _INNER_SIGMA_PX)
        work = replace(work, inner=((low[places], detail), inside[places]))
        seeds = np.full((*hole.shape, 2), _NONE, np.int16)
        seeds[around.within(window).slices] = near_seeds
        # What the coarser copy's matches bring is sought, not the fill: that is smooth, and so would be its match.
        found = work.search(fill, seeds, 0)
        target = fill.copy()
        work.lay(found, target)
        found = work.search(target, found, 1)
    if matches is not None:
        matches[core.slices] = found[own]
    return work.lay(found, result[window.slices])


@dataclass(frozen=True)
class _Work:
    """A window in which pixels get detail."""

    #: ``uint8 [h, w, 3]``.
    fill: Pixels
    #: ``uint8 [h, w]``: what is not known, and the pixels that get detail.
    hole: Mask
    flags: Mask
    #: Rows and columns of these n pixels, and how much detail each takes: ``float32 [n, 1]``.
    places: tuple[NDArray[np.intp], NDArray[np.intp]]
    share: Values
    #: How far away a match lies at most, in px.
    reach: int
    fine: _Bands
    #: Where a hole is wide: the bands of its inside, and how far inside each pixel lies (``float32 [n, 1]``, 0 to 1).
    inner: tuple[_Bands, Values] | None = None

    def search(self, target: Pixels, seeds: Matches | None, rounds: int) -> Matches:
        """Matches of what ``target`` shows, sought for so many rounds; 0: the seeds that are matches."""
        answer = _texture.matches(target, self.hole, self._sought, seeds, self.reach, rounds, *self.hole.shape)
        return np.frombuffer(answer, np.int16).reshape(*self.hole.shape, 2)

    @functools.cached_property
    def _sought(self) -> Mask:
        """The flagged pixels and their neighbours, which have a say."""
        return np.asarray(cv2.dilate(self.flags, np.ones((3, 3), np.uint8)), np.uint8)

    def lay(self, found: Matches, pixels: Pixels) -> int:
        """Write the detail that matches bring into a picture of the window; returns how many pixels got some."""
        after, has_some = self._voted(self.fine, found)
        if self.inner is not None:
            bands, inside = self.inner
            after += inside * (self._voted(bands, found, _INNER_GAIN)[0] - after)
        fill = self.fill[self.places]
        mixed = fill + self.share * (after - fill)
        rows, columns = (axis[has_some] for axis in self.places)
        pixels[rows, columns] = np.rint(mixed[has_some].clip(0, 255))
        return len(rows)

    def _voted(self, bands: _Bands, found: Matches, gain: float = 1.0) -> tuple[Values, NDArray[np.bool_]]:
        """Low frequencies with ``gain`` times the detail that neighbours' matches bring, and which pixels have some."""
        low, detail = bands
        height, width = self.hole.shape
        answer = _texture.votes(detail, found, self.flags, height, width)
        voted = np.frombuffer(answer, np.int16).reshape(height, width, 3)[self.places]
        after = low.astype(np.float32) + np.float32(gain) * voted.astype(np.float32)
        return np.asarray(after / np.float32(_PARTS), np.float32), np.not_equal(voted[:, 0], _NONE)


def _enlarged(coarser: _Coarser, window: Box) -> tuple[Values, Matches]:
    """What a coarser copy brought to the pixels of a window (``float32 [h, w, 3]``), and its matches."""
    box = coarser.box
    cells = window.cells(2, halo=1, height=box.bottom, width=box.right).common(box)
    own, place = cells.within(box).slices, cells.scaled(2)
    step = cv2.subtract(coarser.after[own], coarser.before[own], dtype=cv2.CV_32F)
    large = cv2.resize(step, (place.width, place.height), interpolation=cv2.INTER_LINEAR)
    offsets = np.repeat(np.repeat(coarser.matches[own], 2, axis=0), 2, axis=1)
    common = place.common(window)
    source, target = common.within(place).slices, common.within(window).slices
    added = np.zeros((window.height, window.width, 3), np.float32)
    added[target] = large[source]
    seeds = np.full((window.height, window.width, 2), _NONE, np.int16)
    seeds[target] = np.where(offsets == _NONE, _NONE, 2 * offsets)[source]
    return added, seeds


def _parted(pixels: Pixels, sigma: float) -> _Bands:
    """``pixels`` without their detail above ``sigma`` px, and that detail, in parts of a level."""
    parts = pixels.astype(np.uint16) * np.uint16(_PARTS)
    low = np.asarray(cv2.GaussianBlur(parts, (0, 0), sigma), np.uint16)
    return low, np.subtract(parts, low, dtype=np.int16, casting="unsafe")


def _share(detail: NDArray[np.int16], hole: Mask) -> Values:
    """How much texture each pixel of a window takes, by the detail of what is known around it: ``float32 [h, w]``."""
    height, width = hole.shape
    weights = np.full((1, 3), 1 / (3 * _PARTS**2), np.float32)
    energy = np.asarray(cv2.transform(np.square(detail.astype(np.float32)), weights), np.float32)
    reach = np.ones((2 * _RINGING_PX + 1,) * 2, np.uint8)
    rms = np.full((-(-height // _CELL), -(-width // _CELL)), np.inf, np.float32)
    for beside, cells in ((hole, _NEAR_CELLS), (cv2.dilate(hole, reach), _CALM_CELLS)):
        known = np.equal(beside, 0).astype(np.float32)
        energies, counts = _in_cells(energy * known), _in_cells(known)
        np.fmin(rms, _root_mean(energies, counts, cells), out=rms)
    while np.isinf(rms).any() and cells < max(rms.shape):
        # Far from all that is known, what is nearest counts.
        cells = 2 * cells + 1
        rms = np.where(np.isinf(rms), _root_mean(energies, counts, cells), rms)
    rms[np.isinf(rms)] = 0
    rough = cv2.resize(rms, (rms.shape[1] * _CELL, rms.shape[0] * _CELL), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip((rough[:height, :width] - _CALM) / (_ROUGH - _CALM), 0, 1), np.float32)


def _root_mean(energies: Values, counts: Values, cells: int) -> Values:
    """Root mean square of known pixels in windows of ``cells`` cells; infinite where too few are known."""
    sums, known = (cv2.blur(plane, (cells, cells)) for plane in (energies, counts))
    means = np.maximum(sums, 0) / np.maximum(known, 1e-6)
    return np.asarray(np.where(known > _LEAST_KNOWN, np.sqrt(means), np.inf), np.float32)


def _in_cells(plane: Values) -> Values:
    """The means of ``plane`` in cells; those at the far borders are filled up with zeros."""
    height, width = plane.shape
    padded = cv2.copyMakeBorder(plane, 0, -height % _CELL, 0, -width % _CELL, cv2.BORDER_CONSTANT, value=0)
    size = padded.shape[1] // _CELL, padded.shape[0] // _CELL
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.float32)

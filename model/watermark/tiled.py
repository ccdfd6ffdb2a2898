"""Windows around the cells of a mark that repeats over the whole picture."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from model.watermark.alignment import framed, match
from model.watermark.fields import luma_field
from model.watermark.lattice import Autocorrelation, Lattice, Vector, phases
from model.watermark.samples import Spool
from model.watermark.template import Rule
from model.watermark.windows import Placement, Progress, Windows

Values = NDArray[np.float32]
#: Sample, top and left of a window.
Place = tuple[int, int, int]

#: Most samples for the search of the period; most windows in all and of one sample; context around a cell, in px.
_PERIOD_SAMPLES, _MOST_WINDOWS, _MOST_EACH, _CONTEXT = 60, 240, 8, 10
#: Most pixels of the samples for the search of the period, and least samples: large samples give more information.
_PERIOD_PX, _LEAST_SAMPLES = 24_000_000, 16
#: Farthest that a picture lies from its phase, in px, and rounds in which it is moved.
_REACH, _ALIGNMENTS = 2, 2
#: Least share of the cells with the mark in each quarter of the pictures; a single mark with similar parts shows in one
#: or two quarters only.
_LEAST_SHARE = 0.5


def gather(spool: Spool, indices: NDArray[np.intp], on_progress: Progress) -> Windows | None:
    """The windows of the samples' cells; ``None`` without a shared period."""
    sizes = [spool.sizes[int(index)] for index in indices]
    autocorrelation = Autocorrelation(max(height for height, _ in sizes), max(width for _, width in sizes))
    enough = _PERIOD_PX // max(1, int(np.median([height * width for height, width in sizes])))
    some = indices[: max(_LEAST_SAMPLES, min(enough, _PERIOD_SAMPLES))]
    for number, index in enumerate(some):
        on_progress("period", number, len(some))
        autocorrelation.add(luma_field(spool[int(index)]))
    lattice = autocorrelation.lattice(luma_field(spool[int(index)]) for index in some[:_LEAST_SAMPLES])
    if lattice is None:
        return None
    height, width = _extent(lattice)
    places: list[Place] = []
    # The first few samples rule out most false periods.
    for tried in (some[:_LEAST_SAMPLES], indices):
        begins = phases(lattice, (luma_field(spool[int(index)]) for index in tried))
        places = _places(spool, tried, lattice, begins)
        if len({owner for owner, _, _ in places}) < 3:
            return None
        places = _matched(spool, places, height, width, on_progress)
        if not places:
            return None
    pixels = spool.windows(len(places), height, width)
    for row, (owner, top, left) in enumerate(places):
        pixels[row] = spool[owner][top : top + height, left : left + width]
    reference = int(np.median([width for _, width in sizes]))
    owners = np.array([owner for owner, _, _ in places], np.intp)
    rule = Rule("top-left", "pixels", 0, 0, reference, lattice=lattice)
    without = len(indices) - len(set(owners.tolist()))
    cells = [Placement(owner, top, left, 1.0) for owner, top, left in places]
    return Windows(pixels, owners, cells, 0.0, rule, without, 0.0, spool.alike(owners))


def _extent(lattice: Lattice) -> tuple[int, int]:
    """Height and width of a window: odd, so that it has a middle pixel."""
    height, width = lattice.extent
    return (height + 2 * _CONTEXT) | 1, (width + 2 * _CONTEXT) | 1


def _places(spool: Spool, indices: NDArray[np.intp], lattice: Lattice, begins: list[Vector]) -> list[Place]:
    """Sample, top and left of windows inside their pictures, spread over the samples."""
    height, width = _extent(lattice)
    places: list[Place] = []
    each = max(1, min(_MOST_EACH, _MOST_WINDOWS // max(len(indices), 1)))
    rng = np.random.default_rng(0)
    for index, begin in zip(indices, begins, strict=True):
        tall, wide = spool.sizes[int(index)]
        reach = int(2 + (tall + wide) / min(np.hypot(*lattice.first), np.hypot(*lattice.second)))
        steps = np.arange(-reach, reach + 1)
        first, second = (axis.ravel() for axis in np.meshgrid(steps, steps))
        middles = np.array(begin)[:, None] + lattice.matrix @ np.stack((first, second))
        tops, lefts = np.rint(middles[1] - height // 2).astype(int), np.rint(middles[0] - width // 2).astype(int)
        inside = np.flatnonzero((tops >= 0) & (lefts >= 0) & (tops + height <= tall) & (lefts + width <= wide))
        for place in rng.permutation(inside)[:each]:
            places.append((int(index), int(tops[place]), int(lefts[place])))
    return places


def _matched(spool: Spool, places: list[Place], height: int, width: int, on_progress: Progress) -> list[Place]:
    """The places, moved by their pictures' remaining shifts, without those that do not show the mark."""
    signs = dict.fromkeys((owner for owner, _, _ in places), 1)
    for number in range(_ALIGNMENTS):
        on_progress("align", number, _ALIGNMENTS)
        total = _field(spool, places, height, width, signs)
        moved: list[Place] = []
        for owner, own in groupby(places, key=itemgetter(0)):
            # All cells of a picture lie where its pattern does: what one of them lies on must not move it, nor must
            # a picture agree with itself.
            cells = list(own)
            field = _field(spool, cells, height, width, signs)
            tries = [match(framed(sign * field), framed(total - field), _REACH) for sign in (1, -1)]
            best = max(tries, key=lambda one: one.agreement)
            # Over grounds that are darker than the mark, its edges are turned round.
            signs[owner] *= 1 if best is tries[0] else -1
            moved += [(owner, top + best.down, left + best.across) for _, top, left in cells]
        places = [place for place in moved if _lies_inside(place, spool.sizes[place[0]], height, width)]
    wanted = framed(_field(spool, places, height, width, signs) / np.float32(max(len(places), 1)))
    agreements: list[float] = []
    for place in places:
        best = match(framed(_field(spool, [place], height, width, signs)), wanted, 0)
        agreements.append(abs(best.agreement) if abs(best.z) > 4 else 0.0)
    bar = 0.3 * float(np.median([one for one in agreements if one > 0] or [1.0]))
    shown = [place for place, agreement in zip(places, agreements, strict=True) if agreement > bar]
    return shown if _everywhere(spool, places, set(shown), height, width) else []


def _field(spool: Spool, places: list[Place], height: int, width: int, signs: dict[int, int]) -> Values:
    """The sum of the normalised gradients of the windows at ``places``: ``float32 [1, 2, h, w]``."""
    total = np.zeros((1, 2, height, width), np.float32)
    for owner, cells in groupby(places, key=itemgetter(0)):
        picture = spool[owner]
        for _, top, left in cells:
            total += signs[owner] * luma_field(picture[top : top + height, left : left + width])
    return total


def _lies_inside(place: Place, size: tuple[int, int], height: int, width: int) -> bool:
    _, top, left = place
    return 0 <= top <= size[0] - height and 0 <= left <= size[1] - width


def _everywhere(spool: Spool, places: list[Place], shown: set[Place], height: int, width: int) -> bool:
    """Whether the mark shows in all quarters of the pictures with cells, at least three quarters."""
    counts = np.zeros((4, 2), int)
    for place in places:
        owner, top, left = place
        tall, wide = spool.sizes[owner]
        quarter = 2 * (top + height / 2 > tall / 2) + (left + width / 2 > wide / 2)
        counts[int(quarter)] += (1, place in shown)
    there = counts[:, 0] > 0
    return int(there.sum()) >= 3 and bool((counts[there, 1] >= _LEAST_SHARE * counts[there, 0]).all())

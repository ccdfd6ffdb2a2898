"""Windows around a mark with one place: the frame in which the samples agree best, and the shift of each sample."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from model.watermark.alignment import NULL_PX, match
from model.watermark.evidence import Evidence, evidence, groups, shared
from model.watermark.fields import LOCAL_PX, Sum, field_of
from model.watermark.frames import ANCHORS, Frame, hypotheses
from model.watermark.outline import edges
from model.watermark.samples import Spool
from model.watermark.template import Rule
from model.watermark.windows import Placement, Progress, Windows

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice]

#: Number of samples that evidence is looked for in, and of alignment rounds.
_SCORED, _ROUNDS = 60, 3
#: Number of samples that frames are compared with, and longest side of their reduced views, in px.
_COMPARED, _COMPARED_PX = 30, 360
#: Largest distance of a mark from the place of its rule, in px.
REACH = 5
#: Context around the mark in a window, in px, from which the background is continued.
_CONTEXT = 24
#: Least number of edge pixels of a mark.
_LEAST_EDGES = 40
#: A sample carries the mark from this deviation above chance, and from this share of the other samples' agreement.
_PRESENT_Z, _PRESENT_SHARE = 4.0, 0.3


def gather(spool: Spool, indices: NDArray[np.intp], on_progress: Progress) -> Windows | None:
    """The windows of the samples that share a mark; ``None`` without a shared mark."""
    frame, margin = _frame(spool, indices, on_progress)
    some = indices[:_SCORED]
    views = [frame.view(spool[int(index)]) for index in some]
    alike = spool.alike(some)
    shared_mark = evidence(views, alike)
    if shared_mark is None:
        return None
    search = _Search(spool, indices, frame, shared_mark, on_progress)
    where = search.edges(views, alike)
    for _ in range(_ROUNDS):
        if where.sum() < _LEAST_EDGES:
            return None
        before = search.shifts, search.present
        search.match(where)
        if search.present.sum() < 3:
            return None
        if (search.shifts == before[0]).all() and (search.present == before[1]).all():
            break
        where = search.edges(views, alike)
    return search.cut(where, margin) if where.sum() >= _LEAST_EDGES else None


def _frame(spool: Spool, indices: NDArray[np.intp], on_progress: Progress) -> tuple[Frame, float]:
    """The frame with the strongest evidence, and its strength over the runner-up's; 0 with a single candidate."""
    frames = hypotheses([spool.sizes[index] for index in indices])
    if len(frames) == 1:
        return frames[0], 0.0
    some = [spool[int(index)] for index in indices[:_COMPARED]]
    alike = spool.alike(indices[:_COMPARED])
    scores = []
    for number, frame in enumerate(frames):
        on_progress("place", number, len(frames))
        shared_mark = evidence([frame.view(pixels) for pixels in some], alike, _COMPARED_PX, colour=False)
        scores.append(shared_mark.total if shared_mark is not None else 0.0)
    order = np.argsort(scores, kind="stable")[::-1]
    return frames[order[0]], scores[order[0]] / max(scores[order[1]], 1.0)


class _Search:
    """The samples in one frame, each with its shift, and with a flag whether it carries the mark."""

    def __init__(
        self,
        spool: Spool,
        indices: NDArray[np.intp],
        frame: Frame,
        shared_mark: Evidence,
        on_progress: Progress,
    ) -> None:
        self._spool, self._indices, self._frame, self._told = spool, indices, frame, on_progress
        self._region = shared_mark.region
        self.shifts = np.zeros((len(indices), 2), np.intp)
        self._carriers = np.zeros(len(indices), np.bool_)
        self._carriers[: len(shared_mark.carriers)] = shared_mark.carriers
        self.present = self._carriers
        self._mean: Values = np.zeros(0, np.float32)

    def _view(self, number: int) -> Pixels:
        return self._frame.view(self._spool[int(self._indices[number])])

    def _field(self, number: int, box: Box) -> Values:
        """The field of a part of the view, equal to that part of the whole view's field."""
        rows, columns = box
        top, left = max(rows.start - LOCAL_PX, 0), max(columns.start - LOCAL_PX, 0)
        part = self._view(number)[top : rows.stop + LOCAL_PX, left : columns.stop + LOCAL_PX]
        rows, columns = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        return np.asarray(field_of(part)[..., rows, columns], np.float32)

    def edges(self, views: list[Pixels], alike: Mask) -> Mask:
        """The edges that the samples with the mark share, without those of look-alikes: ``bool [H, W]``."""
        total = Sum((self._frame.height, self._frame.width))
        carrying = np.flatnonzero(self.present)
        every = self._spool.alike(self._indices[carrying])
        for members in groups(every):
            self._told("align", int(carrying[members[0]]), len(self._indices))
            fields = (_moved(field_of(self._view(number)), self.shifts[number]) for number in carrying[members])
            total.add(reduce(np.add, fields), len(members))
        self._mean = total.mean()
        edge = edges(total) & self._region
        (rows, columns), padding = _box(self._region, REACH)
        rows, columns = _part(rows, padding, edge.shape[0]), _part(columns, padding, edge.shape[1])
        some = np.flatnonzero(self.present[: len(views)])
        windows = np.stack([np.roll(views[n], tuple(-self.shifts[n]), (0, 1))[rows, columns] for n in some])
        kept = np.zeros_like(edge)
        kept[rows, columns] = shared(windows, alike[np.ix_(some, some)], edge[rows, columns])
        return kept

    def match(self, where: Mask) -> None:
        """Find each sample's shift, and whether it carries the mark."""
        box, padding = _box(where, NULL_PX + REACH + 4)
        borders = ((0, 0), (0, 0), (padding, padding), (padding, padding))
        wanted = np.pad(self._mean * where, borders)[..., box[0], box[1]]
        shifts = np.zeros_like(self.shifts)
        agreements, heights = np.zeros(len(shifts)), np.zeros(len(shifts))
        # The visible part of the box, in coordinates of the picture and of the box.
        part = _part(box[0], padding, where.shape[0]), _part(box[1], padding, where.shape[1])
        rows = slice(part[0].start + padding - box[0].start, part[0].stop + padding - box[0].start)
        columns = slice(part[1].start + padding - box[1].start, part[1].stop + padding - box[1].start)
        for number in range(len(self._indices)):
            padded = np.zeros_like(wanted)
            padded[..., rows, columns] = self._field(number, part)
            best = match(padded, wanted, REACH + 1)
            shifts[number], agreements[number], heights[number] = (best.down, best.across), best.agreement, best.z
        sure = heights > _PRESENT_Z
        typical = float(np.median(agreements[sure])) if sure.any() else 1.0
        present = sure & (agreements > _PRESENT_SHARE * typical)
        # A mark of middling brightness is light on some pictures and dark on others, and disagrees with the mean there.
        shifts[self._carriers & ~present] = 0
        present |= self._carriers
        if present.any():
            shifts -= np.rint(np.median(shifts[present], axis=0)).astype(np.intp)
        shifts[~present] = 0
        self.shifts, self.present = shifts, present

    def cut(self, where: Mask, margin: float) -> Windows:
        """The windows around ``where``."""
        frame, rows, columns = self._frame, np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
        top, left = max(int(rows[0]) - _CONTEXT, 0), max(int(columns[0]) - _CONTEXT, 0)
        bottom = min(int(rows[-1]) + 1 + _CONTEXT, frame.height)
        right = min(int(columns[-1]) + 1 + _CONTEXT, frame.width)
        carrying = np.flatnonzero(self.present)
        pixels = self._spool.windows(len(carrying), bottom - top, right - left)
        for place, number in enumerate(carrying):
            view = self._view(int(number))
            down, across = (int(value) for value in self.shifts[number])
            y = np.clip(np.arange(top, bottom) + down, 0, frame.height - 1)
            x = np.clip(np.arange(left, right) + across, 0, frame.width - 1)
            pixels[place] = view[np.ix_(y, x)]
        low, right_of = ANCHORS[frame.anchor]
        sizes = [self._spool.sizes[int(index)] for index in self._indices]
        middle = int(np.median([height for height, _ in sizes])), int(np.median([width for _, width in sizes]))
        reference = middle if frame.scale == "pixels" else frame.reference
        rule = Rule(
            frame.anchor,
            frame.scale,
            top - low * frame.height,
            left - right_of * frame.width,
            reference[1],
            reference[0],
            sizes=tuple(sorted({sizes[number] for number in carrying})),
            shares=frame.shares,
        )
        without = int((~self.present).sum())
        owners = self._indices[carrying]
        places = [self._place(int(number), top, left) for number in carrying]
        jitter = float(np.std(self.shifts[carrying]))
        return Windows(pixels, owners, places, jitter, rule, without, margin, self._spool.alike(owners))

    def _place(self, number: int, top: int, left: int) -> Placement:
        """The part of a sample that begins at this row and column of its view, moved by the sample's shift."""
        owner = int(self._indices[number])
        size = self._spool.sizes[owner]
        factor = self._frame.factor(size)
        corner = self._frame.corner(round(size[0] / factor), round(size[1] / factor))
        starts = [
            float(factor * (begin + start + shift))
            for begin, start, shift in zip(corner, (top, left), self.shifts[number], strict=True)
        ]
        return Placement(owner, starts[0], starts[1], factor)


def _moved(field: Values, shift: NDArray[np.intp]) -> Values:
    """``field`` moved back by ``shift``."""
    down, across = (int(value) for value in shift)
    return np.roll(field, (-down, -across), (-2, -1)) if down or across else field


def _box(where: Mask, context: int) -> tuple[Box, int]:
    """Around ``where`` with ``context`` px, in coordinates padded by ``context`` on all sides."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    return (
        slice(int(rows[0]), int(rows[-1]) + 1 + 2 * context),
        slice(int(columns[0]), int(columns[-1]) + 1 + 2 * context),
    ), context


def _part(padded: slice, padding: int, side: int) -> slice:
    """A slice of padded coordinates in coordinates of the view, cut to the view."""
    return slice(max(padded.start - padding, 0), min(padded.stop - padding, side))

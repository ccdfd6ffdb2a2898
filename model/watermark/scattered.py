"""Windows around a mark that lies at another place in each picture.

The pictures' edges are correlated with each other at every shift. Two pictures with the mark agree best at the
difference of its places, look-alikes at the differences of their goods. Shifts of a mark add up: from a first picture
to a second and on to a third is as far as to the third (as in Lowe, "Object recognition from local scale-invariant
features", 1999, agreeing votes tell what single ones do not). The largest set of pictures whose shifts add up is taken.

What goods carry, as a maker's print, lies at another place in each picture, too: :mod:`model.watermark.lying`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from model.watermark.alignment import framed, match
from model.watermark.fields import Sum, field_of, luma_field
from model.watermark.frames import resized
from model.watermark.growth import cut
from model.watermark.samples import Spool
from model.watermark.template import Rule
from model.watermark.windows import Placement, Progress, Windows

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Most samples that are compared with each other, and longest side of their reduced views, in px.
_COMPARED, _LONGEST = 40, 320
#: Shifts that are kept for each two pictures, distance between them, and shifts of look-alike goods, which do not
#: count, in px of the reduced views.
_KEPT, _APART, _STILL = 4, 4, 12
#: Largest error of a shift along an axis, in px of the reduced views.
_NEAR = 1.5
#: Most sets that are looked at, and rounds in which one grows.
_SETS, _ROUNDS = 8, 12
#: Least number of pictures that agree on the place in another one, and least share of the set.
_LEAST_AGREEING, _AGREE = 3, 0.3
#: Least number of pairs of one set (bench/catalogue.py, draws 3 to 7: 34 at most without a mark).
_LEAST_PAIRS = 36
#: Least distance over which the middle 80 % of the places spread along each axis, as a share of the side: goods in one
#: pose spread along one axis at most (the same draws: .08 to .13 along the other).
_LEAST_SPREAD = 0.15
#: Share of the pictures that a window lies in.
_COVERED = 0.9
#: Least side of a window, in px; distance within which a window is aligned, in px; and deviation above chance of one
#: that shows the mark.
_LEAST_SIDE, _REACH, _PRESENT_Z = 16, 4, 4.0
#: Smallest power of a frequency beside the mean one.
_LEAST_POWER = 0.01
#: A value below every agreement.
_BLANK = -1e9
#: Rounds of the alignment.
_ALIGNMENTS = 2


@dataclass(frozen=True)
class Scattering:
    """Pictures whose shifts add up."""

    #: Row and column of the mark in each picture of the set, up to one shift of all; NaN: not in the set. ``[N, 2]``.
    places: Values
    #: Pairs of pictures that do not look alike and agree with the places.
    pairs: int

    @property
    def members(self) -> NDArray[np.intp]:
        return np.flatnonzero(np.isfinite(self.places[:, 0]))


def gather(spool: Spool, indices: NDArray[np.intp], on_progress: Progress) -> Windows | None:
    """The windows of the samples around a mark without a fixed place; ``None`` without one."""
    some = indices[:_COMPARED]
    sizes = np.array([spool.sizes[int(index)] for index in some])
    reduced = min(1.0, _LONGEST / sizes.max())
    for one in scattering(shifts(spool, some, reduced, on_progress), ~spool.alike(some)):
        members = one.members
        places, own = one.places[members] / reduced, sizes[members]
        spread = np.quantile(places, 0.9, axis=0) - np.quantile(places, 0.1, axis=0)
        if one.pairs >= _LEAST_PAIRS and (spread >= _LEAST_SPREAD * np.median(own, axis=0)).all():
            break
    else:
        return None
    spans = [_covered(-places[:, axis], own[:, axis] - places[:, axis]) for axis in (0, 1)]
    starts, extent = np.array([one[0] for one in spans]), (spans[0][1] - spans[0][0], spans[1][1] - spans[1][0])
    if min(extent) < _LEAST_SIDE:
        return None
    corners = [
        Placement(int(some[number]), float(top), float(left), 1.0)
        for number, (top, left) in zip(members, np.rint(places + starts), strict=True)
    ]
    middle = np.median(sizes, axis=0)
    rule = Rule("top-left", "pixels", 0, 0, float(middle[1]), float(middle[0]), anywhere=True,
                sizes=tuple(sorted({spool.sizes[one.owner] for one in corners})))  # fmt: skip
    corners = _aligned(spool, corners, extent, rule, on_progress)
    if len(corners) < _LEAST_AGREEING:
        return None
    return replace(cut(spool, corners, extent, rule), without=len(indices) - len(corners))


def shifts(spool: Spool, indices: NDArray[np.intp], reduced: float, on_progress: Progress) -> Values:
    """The shifts at which each two samples agree best: rows and columns, ``[N, N, kept, 2]``, the best first.

    ``reduced``: factor by which the samples are scaled before.
    """
    views = [resized(spool[int(index)], reduced) for index in indices]
    sides = [next_fast_len(2 * max(view.shape[axis] for view in views), real=True) for axis in (0, 1)]
    spectra = np.stack([rfft2(luma_field(view), sides) for view in views])
    power = np.square(np.abs(spectra)).sum(axis=1)
    # Each picture counts the same, and so does each frequency: outlines of goods are coarse.
    power /= power.mean(axis=(1, 2), keepdims=True)
    mean = power.mean(axis=0)
    spectra /= np.sqrt(np.maximum(mean, _LEAST_POWER * float(mean.mean())))
    out = np.zeros((len(views), len(views), _KEPT, 2), np.float32)
    for one in range(len(views)):
        on_progress("place", one, len(views))
        for other in range(one + 1, len(views)):
            agreement = irfft2((np.conj(spectra[one]) * spectra[other]).sum(axis=0), sides)
            out[one, other] = _peaks(agreement)
            out[other, one] = -out[one, other]
    return out


def _peaks(agreement: Values) -> Values:
    """The shifts of the largest values: ``float32 [kept, 2]``."""
    out = np.empty((_KEPT, 2), np.float32)
    _blank(agreement, (0, 0), _STILL)
    for number in range(_KEPT):
        best = np.unravel_index(int(np.argmax(agreement)), agreement.shape)
        for axis, (at, side) in enumerate(zip(best, agreement.shape, strict=True)):
            line = agreement[:, best[1]] if axis == 0 else agreement[best[0]]
            less, own, more = (float(line[(at + step) % side]) for step in (-1, 0, 1))
            # The top of the parabola through three values; beside a blanked one there is none.
            part = 0.5 * (less - more) / (less + more - 2 * own) if min(less, more) > _BLANK else 0.0
            out[number, axis] = (at if at <= side // 2 else at - side) + part
        _blank(agreement, (int(best[0]), int(best[1])), _APART)
    return out


def _blank(agreement: Values, middle: tuple[int, int], reach: int) -> None:
    rows, columns = (
        np.arange(at - reach, at + reach + 1) % side for at, side in zip(middle, agreement.shape, strict=True)
    )
    agreement[np.ix_(rows, columns)] = _BLANK


def scattering(shifts: Values, apart: Mask) -> list[Scattering]:
    """The sets of pictures whose ``shifts`` (``[N, N, kept, 2]``) add up, those with most pairs first.

    ``apart``: which pictures do not look alike, ``bool [N, N]``: only their shifts count.
    """
    left = _closures(shifts, apart)
    found: list[Scattering] = []
    for _ in range(_SETS):
        one, other, kept = (int(value) for value in np.unravel_index(int(np.argmax(left)), left.shape))
        if left[one, other, kept] < _LEAST_AGREEING:
            break
        places = np.full((len(shifts), 2), np.nan, np.float32)
        places[one], places[other] = 0, shifts[one, other, kept]
        for _ in range(_ROUNDS):
            before, places = places, _voted(places, shifts, apart)
            if np.allclose(before, places, atol=0.1, equal_nan=True):
                break
        found.append(Scattering(places, int(np.triu(_fits(places, shifts) & apart).sum())))
        members = found[-1].members
        left[np.ix_(members, members)] = left[one, other] = 0
    return sorted(found, key=lambda one: -one.pairs)


def _closures(shifts: Values, apart: Mask) -> NDArray[np.intp]:
    """For each shift from one picture to another, the number of third ones by way of which it is as far."""
    count = len(shifts)
    out = np.zeros(shifts.shape[:3], np.intp)
    for one in range(count):
        for other in np.flatnonzero(apart[one, one + 1 :]) + one + 1:
            third = np.flatnonzero(apart[one] & apart[other])
            if not third.size:
                continue
            around = shifts[one, third][:, :, None] + shifts[third, other][:, None]
            apart_by = np.abs(around.reshape(len(third), -1, 1, 2) - shifts[one, other])
            out[one, other] = (apart_by.max(axis=3) <= 2 * _NEAR).any(axis=1).sum(axis=0)
    return out


def _voted(places: Values, shifts: Values, apart: Mask) -> Values:
    """The place of each picture by the votes of those that have one: ``[N, 2]``, NaN where they do not agree."""
    out = np.full_like(places, np.nan)
    placed = np.isfinite(places[:, 0])
    for one in range(len(places)):
        voters = np.flatnonzero(placed & apart[one])
        if not voters.size:
            continue
        votes = (places[voters, None] + shifts[voters, one]).reshape(-1, 2)
        near = (np.abs(votes[:, None] - votes) <= _NEAR).all(axis=2)
        # One vote of each.
        agreeing = near.reshape(len(votes), len(voters), -1).any(axis=2).sum(axis=1)
        best = int(np.argmax(agreeing))
        if agreeing[best] >= min(max(_LEAST_AGREEING, _AGREE * len(voters)), placed.sum() - placed[one]):
            out[one] = votes[near[best]].mean(axis=0)
    return out


def _fits(places: Values, shifts: Values) -> Mask:
    """Which pairs have a shift that fits the places: ``bool [N, N]``."""
    apart_by = np.abs(shifts - (places[None] - places[:, None])[:, :, None])
    # A picture without a place compares as false.
    return np.asarray(np.any((apart_by <= 2 * _NEAR).all(axis=3), axis=2))


def _covered(starts: Values, ends: Values) -> tuple[int, int]:
    """The longest span that lies in most of the pictures, which start and end there, along an axis."""
    first = int(np.ceil(np.quantile(starts, _COVERED)))
    return first, max(first, int(np.floor(np.quantile(ends, 1 - _COVERED))))


def _aligned(
    spool: Spool, places: list[Placement], size: tuple[int, int], rule: Rule, on_progress: Progress
) -> list[Placement]:
    """The places to a px, of the windows that show what all share."""
    for _ in range(_ALIGNMENTS):
        if len(places) < _LEAST_AGREEING:
            return []
        windows = cut(spool, places, size, rule).pixels
        total = Sum((windows.shape[1], windows.shape[2]))
        for number, window in enumerate(windows):
            on_progress("align", number, len(windows))
            total.add(field_of(window))
        wanted = framed(total.mean())
        matches = [match(framed(field_of(window)), wanted, _REACH) for window in windows]
        places = [
            replace(one, top=one.top + found.down, left=one.left + found.across)
            for one, found in zip(places, matches, strict=True)
            if found.z > _PRESENT_Z
        ]
    return places

"""The mask of a line of text: its strokes where they separate from the background, else the line's whole shape.

A mask of strokes keeps the picture between the letters, from which the network continues. All ink is lighter or all
ink is darker than its background, and strokes are thin compared with the line's height. A closing or an opening by a
disc wider than a stroke therefore removes exactly the ink (a top-hat), and other thin parts of the picture, such as a
gap beside an arm. Those reach out of the line's shape: they count as ink only within the line itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.text.reading import Line

Pixels = NDArray[np.uint8]
Mask = NDArray[np.uint8]

#: Diameter of the disc as a share of the line's height: wider than a stroke of heavy type.
_DISC = 0.34
#: Widening of the shape and of the strokes, as shares of the line's height. The detector cuts ascenders short.
_SHAPE_GROWN, _STROKE_GROWN = 0.12, 0.03
#: Plausible share of a line's shape that its strokes cover.
_LEAST_SHARE, _MOST_SHARE = 0.04, 0.5
#: Length of the stretches with separate thresholds, and the widest space between words, in heights of the line.
_CHUNK, _SPACE = 3.0, 0.7
#: Largest share of a line's shape in stretches without ink.
_MOST_BARE = 0.6
#: Least step from background to ink, in levels.
_LEAST_STEP = 6.0
#: The steps around a line that its ink exceeds: their percentile, and the reach in heights of the line.
_AROUND, _AROUND_REACH = 80.0, 0.6
#: Least share of a part's area outside of a line's shape that makes it a part of the picture, and the widening of such
#: parts as a share of the line's height.
_FOREIGN_SHARE, _FOREIGN_GROWN = 0.5, 0.04


@dataclass(frozen=True, eq=False)
class Strokes:
    """The ink of some lines."""

    #: ``uint8 [H, W]``: 255 where the lines have ink, or may have ink.
    mask: Mask
    #: Number of lines whose ink does not separate from the background: their whole shapes are masked.
    untold: int = 0


def strokes_of(pixels: Pixels, lines: Sequence[Line]) -> Strokes:
    """The ink of ``lines`` in ``pixels`` (``uint8 [H, W, 3]``)."""
    mask, untold = np.zeros(pixels.shape[:2], np.uint8), 0
    for line in lines:
        height = line.height
        box = line.box(round(2 * height), (pixels.shape[0], pixels.shape[1]))
        part = pixels[box]
        if not part.size:
            continue
        corners = line.corners - np.array((box[1].start, box[0].start), np.float32)
        shape = _shape(corners, part.shape[:2], _SHAPE_GROWN * height)
        drawn = _strokes(part, shape, corners, height)
        untold += drawn is None
        np.maximum(mask[box], shape if drawn is None else drawn, out=mask[box])
    return Strokes(mask, untold)


def _strokes(part: Pixels, shape: Mask, corners: NDArray[np.float32], height: float) -> Mask | None:
    """The ink within ``shape``; ``None`` if it does not separate from the background."""
    radius = max(2, round(_DISC * height / 2))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    inside = shape > 0
    along = _along(corners, part.shape[:2])
    ring = (_widened(shape, _AROUND_REACH * height) > 0) & ~inside
    best, drawn, crossing = 0.0, None, np.zeros_like(inside)
    for how in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        steps = cv2.GaussianBlur(cv2.morphologyEx(part, how, disc).astype(np.float32).max(axis=2), (0, 0), 0.7)
        foreign = np.zeros_like(inside)
        # Once with all that is thin, and once without what does not belong to the line.
        for _ in range(2):
            sure, likely = _levels(steps, inside & ~foreign, ring & ~foreign, along, _CHUNK * height)
            foreign |= _foreign(steps >= sure, inside)
            foreign = _widened(foreign.astype(np.uint8), _FOREIGN_GROWN * height) > 0
        every = _grown(steps >= sure, steps >= likely) & inside
        own, ink = inside & ~foreign, every & ~foreign
        if not _LEAST_SHARE <= float(ink.sum()) / max(float(inside.sum()), 1.0) <= _MOST_SHARE:
            continue
        # The contrast of ink and background decides the polarity.
        apart = float(steps[ink].mean() - steps[own & ~ink].mean()) / (float(steps[own].std()) + 1)
        if apart > best:
            best, drawn, crossing = apart, ink, every & foreign
    if drawn is None:
        return None
    bare = _bare(drawn, inside, along, height)
    if float((bare & inside).sum()) > _MOST_BARE * float(inside.sum()):
        return None
    ink = _widened(drawn.astype(np.uint8), max(1, _STROKE_GROWN * height)) > 0
    unsure = (bare | crossing) & (_shape(corners, part.shape[:2], 1) > 0)
    return np.where(inside & (ink | unsure), np.uint8(255), np.uint8(0))


def _along(corners: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The distance of each pixel from the beginning of the line, along the line, in px."""
    a, b, _, d = corners
    across = b - a if np.hypot(*(b - a)) >= np.hypot(*(d - a)) else d - a
    across = across / max(float(np.hypot(*across)), 1.0)
    rows, columns = np.indices(size, np.float32)
    return np.asarray((columns - a[0]) * across[0] + (rows - a[1]) * across[1], np.float32)


def _levels(
    steps: NDArray[np.float32],
    inside: NDArray[np.bool_],
    ring: NDArray[np.bool_],
    along: NDArray[np.float32],
    length: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The least steps of sure and of likely ink, for each stretch of the line: the background changes along it.

    The first is Otsu's threshold between background and ink, the second half of it. Both exceed the steps of ``ring``.
    """
    sure = np.full(steps.shape, _LEAST_STEP, np.float32)
    likely = sure.copy()
    stretch = np.floor(along / length).astype(np.int32)
    for number in np.unique(stretch[inside]):
        here = stretch == number
        values = np.minimum(steps[inside & here], 255).astype(np.uint8).reshape(-1, 1)
        level, _ = cv2.threshold(values, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        around = steps[ring & here]
        least = max(_LEAST_STEP, float(np.percentile(around, _AROUND)) if around.size else 0.0)
        sure[here], likely[here] = max(float(level), least), max(float(level) / 2, least)
    return sure, likely


def _foreign(thin: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of ``thin`` that lie mostly outside of the line's shape."""
    count, labels = cv2.connectedComponents(thin.astype(np.uint8), connectivity=8)
    areas = np.bincount(labels.ravel(), minlength=count)
    outside = areas - np.bincount(labels[inside], minlength=count)
    foreign = outside > _FOREIGN_SHARE * areas
    foreign[0] = False
    return np.asarray(foreign[labels])


def _bare(
    ink: NDArray[np.bool_], inside: NDArray[np.bool_], along: NDArray[np.float32], height: float
) -> NDArray[np.bool_]:
    """Stretches without ink that are longer than the space between two words."""
    last = int(along[inside].max()) if inside.any() else 0
    places = np.clip(along, 0, last).astype(np.int32)
    has_ink = np.bincount(places[ink], minlength=last + 1) > 0
    bare = np.zeros(last + 1, bool)
    start = 0
    for place in [*np.flatnonzero(has_ink).tolist(), last + 1]:
        if place - start > _SPACE * height:
            bare[start:place] = True
        start = place + 1
    return np.asarray(bare[places] & inside, bool)


def _grown(sure: NDArray[np.bool_], likely: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Parts of ``likely`` that touch a ``sure`` pixel (hysteresis)."""
    _, labels = cv2.connectedComponents(likely.astype(np.uint8), connectivity=8)
    kept = np.unique(labels[sure & likely])
    return np.isin(labels, kept[kept > 0])


def _shape(corners: NDArray[np.float32], size: tuple[int, int], grown: float) -> Mask:
    shape = np.zeros(size, np.uint8)
    cv2.fillPoly(shape, [np.rint(corners).astype(np.int32)], 255)
    return _widened(shape, max(1, grown))


def _widened(shape: Mask, by: float) -> Mask:
    """``shape``, widened by so many px in all directions."""
    reach = round(by)
    return np.asarray(cv2.dilate(shape, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), np.uint8)

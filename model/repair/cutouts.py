"""Cut-outs: alpha is repaired as a channel of its own, and colour goes on under transparency for the network to see.

Where alpha around a part of the hole is flat, the part takes it: a mark on transparent ground becomes transparent.
Where the outline of the goods crosses the part, a translucent mark of one strength is subtracted from alpha. Else the
network continues alpha as a grey picture. The outline is then made smooth and steep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.imaging.picture import Page, Picture
from model.repair.seam import spread

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
Samples = NDArray[Any]
Opacity = NDArray[np.float32]

#: Parts of the hole this near to each other are taken together; the rim around them has this width.
_GROUP_PX, _RIM_PX = 8, 8
_MOST_PARTS = 512
#: Alpha of a rim is flat where all of it is so near to its most common value.
_FLAT_LEVELS = 2
#: A rim shows an outline, rather than a soft shadow, where so little of it lies between these values of alpha.
_OUTLINE_SHARE, _CLEAR, _FULL = 0.2, 16, 239
#: An outline is smoothed by so many px and made steeper by this factor.
_SIGMA_PX, _GAIN = 1.0, 2.5
#: A mark has one strength where this share of its transparent pixels is so near to the most common value, if that
#: is at most this: nearly opaque paint hides the outline.
_STRENGTH_SHARE, _STRENGTH_LEVELS, _MOST_STRENGTH, _LEAST_VEILED = 0.5, 4, 230, 32
#: Error of alpha from which a known mark was subtracted; such alpha is that around it where this share of it agrees.
_SUBTRACTED_LEVELS, _AGREEING_SHARE = 24, 0.9
#: Pixels in which colour under transparency is computed; larger pictures are reduced first, for it is smooth.
_ENOUGH_PIXELS = 1 << 21


@dataclass(frozen=True)
class Cutout:
    """The repair of a page's alpha."""

    #: ``[H, W]``, in the page's depth: as in the file, but for the parts of the hole that take the alpha around them.
    alpha: Samples = field(repr=False)
    #: The parts of the hole that the network fills.
    hole: Mask = field(repr=False)
    #: Those of them that an outline crosses.
    outlines: Mask = field(repr=False)

    @classmethod
    def of_alpha(cls, alpha: Samples) -> Cutout:
        """A repair that is done: ``alpha`` is what it came to."""
        nothing = np.zeros(alpha.shape, np.uint8)
        return cls(alpha, nothing, nothing)

    @property
    def view(self) -> Picture:
        """Alpha as the network sees it."""
        return Picture(np.repeat(eight_bits(self.alpha)[..., None], 3, axis=2))

    def filled(self, result: Pixels | None) -> Samples:
        """Alpha with the network's ``result`` (``uint8 [H, W, 3]``) in the hole; ``None``: the hole is empty."""
        if result is None:
            return self.alpha
        alpha = np.rint(result.mean(axis=2)).astype(np.uint8)
        for window, part in _groups(self.outlines):
            alpha[window] = _cleaned(alpha[window], part)
        before = eight_bits(self.alpha)
        changed = (self.hole > 0) & (alpha != before)
        filled = self.alpha.copy()
        filled[changed] = alpha[changed].astype(filled.dtype) * (257 if filled.dtype == np.uint16 else 1)
        return filled


def cutout_of(page: Page, painted: Mask, hole: Mask, opacity: Opacity | None = None) -> Cutout:
    """The repair of the alpha of ``page``, its last channel, in ``hole``, which is the mask ``painted``, widened.

    ``opacity`` (``float32 [H, W]``, 0 to 1): that of a known mark, which is then subtracted from alpha.
    """
    alpha = page.samples[..., -1].copy()
    step = 257 if alpha.dtype == np.uint16 else 1
    crossed, outlines = np.zeros_like(hole), np.zeros_like(hole)
    for window, part in _groups(hole):
        rim = (cv2.dilate(part.astype(np.uint8), np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)) > 0) & (hole[window] == 0)
        if not rim.any():
            continue
        around = alpha[window][rim]
        values, counts = np.unique(around, return_counts=True)
        common = int(values[np.argmax(counts)])
        veiled = eight_bits(alpha[window])
        known = None if opacity is None else _without(veiled, np.where(part, opacity[window], np.float32(0)))
        is_flat = max(int(values[-1]) - common, common - int(values[0])) <= _FLAT_LEVELS * step
        if is_flat and (known is None or _agrees(known[part], common // step)):
            alpha[window][part] = common
            continue
        between = (around > _CLEAR * step) & (around < _FULL * step)
        is_outline = between.mean() <= _OUTLINE_SHARE
        unveiled = known
        if opacity is None and is_outline:
            unveiled = _unveiled(veiled, part & (painted[window] > 127))
        if unveiled is not None:
            cleaned = _cleaned(unveiled, part) if is_outline else unveiled
            if is_outline and known is not None:
                cleaned = _settled(known, cleaned)
            changed = part & (cleaned != veiled)
            alpha[window][changed] = cleaned[changed].astype(alpha.dtype) * step
            continue
        crossed[window][part] = 255
        if is_outline:
            outlines[window][part] = 255
    return Cutout(alpha, crossed, outlines)


def with_alpha(page: Page, samples: Samples, alpha: Samples) -> Samples:
    """``samples``, the repaired ones of ``page``, with this alpha; what becomes transparent takes the ground's colour.

    Without it the colour of a mark would stay in the file, where alpha hides it.
    """
    before = page.samples[..., -1]
    out = samples.copy()
    out[..., -1] = alpha
    stayed_clear = (alpha == 0) & (before == 0)
    out[stayed_clear] = page.samples[stayed_clear]
    cleared = (alpha == 0) & (before != 0)
    if cleared.any() and (before == 0).any():
        colours, counts = np.unique(page.samples[before == 0][:, :-1], axis=0, return_counts=True)
        out[cleared, :-1] = colours[np.argmax(counts)]
    return out


def views(page: Page, hole: Mask) -> list[Picture]:
    """The page's views for the network, where the colours of what can be seen go on under transparency.

    What a file holds under alpha 0 is often black; the network would draw it into the edges of the goods.
    """
    alpha = eight_bits(page.samples[..., -1])
    if alpha.min() == 255:
        return page.views()
    return [Picture(_extended(picture.pixels, alpha, hole)) for picture in page.views()]


def _extended(pixels: Pixels, alpha: Mask, hole: Mask) -> Pixels:
    ground = ground_of(pixels, alpha, hole)
    out = pixels.copy()
    seen_through = (alpha < 255) & (hole == 0)
    opacity = alpha[seen_through][:, None].astype(np.float32) / 255
    mixed = pixels[seen_through] * opacity + ground[seen_through] * (1 - opacity)
    out[seen_through] = np.rint(mixed).astype(np.uint8)
    return out


def ground_of(pixels: Pixels, alpha: Mask, hole: Mask) -> Pixels:
    """A ground in the colours of ``pixels`` that can be seen outside ``hole``, continued smoothly over the picture."""
    weights = np.where(hole > 0, np.uint8(0), alpha)
    if not weights.any():
        return pixels
    height, width = alpha.shape
    scale = min(1.0, float(np.sqrt(_ENOUGH_PIXELS / alpha.size)))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    share = np.asarray(cv2.resize(weights, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)
    weighted = cv2.multiply(pixels, cv2.merge([weights] * 3), dtype=cv2.CV_16U)
    colours = np.asarray(cv2.resize(weighted, size, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)
    ground = np.rint(spread(colours, share).clip(0, 255)).astype(np.uint8)
    return np.asarray(cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _unveiled(alpha: Mask, mark: NDArray[np.bool_]) -> Mask | None:
    """``alpha`` without a translucent mark that lies on it where ``mark`` is; ``None``: its strength varies.

    Paint of the strength m makes alpha a + m (1 - a) of a (Porter and Duff 1984): on transparent ground m, on goods 1.
    """
    veiled = alpha[mark & (alpha > _CLEAR) & (alpha < 250)]
    if len(veiled) < _LEAST_VEILED:
        return None
    strength = int(np.argmax(np.bincount(veiled)))
    near = np.abs(veiled.astype(np.int16) - strength) <= _STRENGTH_LEVELS
    if strength > _MOST_STRENGTH or near.mean() < _STRENGTH_SHARE:
        return None
    return _without(alpha, np.where(mark, np.float32(strength / 255), np.float32(0)))


def _without(alpha: Mask, opacity: Opacity) -> Mask | None:
    """``alpha`` without paint of this opacity over it; ``None``: it hides what is below it."""
    if opacity.max() > _MOST_STRENGTH / 255:
        return None
    below = (alpha.astype(np.float32) - 255 * opacity) / (1 - opacity)
    return np.asarray(np.rint(below.clip(0, 255)), np.uint8)


def _settled(alpha: Mask, cleaned: Mask) -> Mask:
    """``alpha``, from which a known mark was subtracted, where it is neither nearly clear nor nearly full."""
    is_clear = (alpha <= _SUBTRACTED_LEVELS) | (cleaned == 0)
    is_full = (alpha >= 255 - _SUBTRACTED_LEVELS) | (cleaned == 255)
    return np.where(is_clear, np.uint8(0), np.where(is_full, np.uint8(255), alpha))


def _agrees(alpha: Mask, common: int) -> bool:
    """Whether nearly all of ``alpha``, from which a mark was subtracted, is near to ``common``."""
    near = np.abs(alpha.astype(np.int16) - common) <= _SUBTRACTED_LEVELS
    return float(near.mean()) >= _AGREEING_SHARE


def _cleaned(alpha: Mask, part: NDArray[np.bool_]) -> Mask:
    """``alpha`` with a clean outline in ``part``: smooth, as steep as that of goods, and without islands."""
    smooth = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), _SIGMA_PX)
    steep = np.rint(((smooth - 127.5) * _GAIN + 127.5).clip(0, 255)).astype(np.uint8)
    out = np.where(part, steep, alpha)
    for level, islands in ((np.uint8(0), out > 0), (np.uint8(255), out < 255)):
        count, labels = cv2.connectedComponents(islands.astype(np.uint8), connectivity=8)
        reaching = np.unique(labels[~part])
        lonely = np.setdiff1d(np.arange(1, count), reaching)
        out[np.isin(labels, lonely) & part] = level
    return out


def _groups(hole: Mask) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """Windows around groups of near parts of the hole, and in each the pixels of its group."""
    grouped = cv2.dilate(hole, np.ones((2 * _GROUP_PX + 1,) * 2, np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(grouped, connectivity=8)
    if count - 1 > _MOST_PARTS:
        yield (slice(None), slice(None)), hole > 0
        return
    for label in range(1, count):
        left, top, width, height = (int(value) for value in boxes[label][:4])
        window = (
            slice(max(top - _RIM_PX, 0), top + height + _RIM_PX),
            slice(max(left - _RIM_PX, 0), left + width + _RIM_PX),
        )
        yield window, (labels[window] == label) & (hole[window] > 0)


def eight_bits(alpha: Samples) -> Mask:
    """Alpha of 8 or 16 bits in 8."""
    return (alpha >> 8).astype(np.uint8) if alpha.dtype == np.uint16 else np.asarray(alpha, np.uint8)

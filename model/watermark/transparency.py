"""A known mark over a picture with transparency: found and removed on a flat ground, and subtracted from alpha.

Laying paint over paint is associative (Porter and Duff 1984): a marked cut-out on a ground is the cut-out on that
ground with the mark over it. On the ground the mark is therefore removed as from any picture. Alpha and the goods' own
colours follow from the mark's opacity.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.imaging.picture import Page
from model.repair.cutouts import cutout_of, eight_bits, ground_of
from model.repair.hole import dilate
from model.repair.seam import spread
from model.watermark.remove import Fill, PreparedMark, Removal, finish_with, prepare
from model.watermark.template import Template

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.uint8]
Samples = NDArray[Any]

#: The mark lies over alpha where alpha is at least its opacity, but for this error, in this share of its pixels.
_ERROR, _SHARE = 0.06, 0.97
#: Opacity from which the mark raises alpha by a level of 255.
_LEAST = 0.5 / 255
#: Alpha from which a pixel's own colour is certain.
_SOLID = 250
#: Distance in px by which the mark's soft rim reaches beyond it.
_RIM_PX = 2
#: Radius of Telea's method, in px.
_TELEA_PX = 3


@dataclass(frozen=True)
class Cleared:
    """A cut-out without one mark."""

    #: The goods' colours, ``uint8 [H, W, 3]``, and alpha, ``[H, W]`` in the page's depth.
    pixels: Pixels = field(repr=False)
    alpha: Samples = field(repr=False)
    #: ``uint8 [H, W]``: 255 where either may differ.
    changed: Mask = field(repr=False)
    #: The removal from the picture on a flat ground.
    removal: Removal


def clear(
    page: Page, pixels: Pixels, alpha: Samples, template: Template, *, noise: float, fill: Fill | None
) -> Cleared | None:
    """Remove the mark from ``pixels`` (``uint8 [H, W, 3]``) and ``alpha`` (``[H, W]``) of ``page``.

    ``None``: the picture does not carry the mark, or carries it in its colours alone.
    """
    opaque = eight_bits(alpha)
    found = _found(pixels, opaque, template, noise)
    if found is None:
        return None
    seen, prepared = found
    removal = finish_with(prepared, seen, fill)
    if not removal.changed.any():
        return Cleared(pixels, alpha, removal.changed, removal)
    opacity = _opacity(prepared)
    hole = dilate(np.where((removal.changed > 0) | (opacity > _LEAST), np.uint8(255), np.uint8(0)), _RIM_PX)
    cutout = cutout_of(replace(page, samples=alpha[..., None]), hole, hole, opacity)
    continued = None
    if cutout.hole.any():
        picture = cutout.view.pixels
        continued = (
            np.asarray(cv2.inpaint(picture, cutout.hole, _TELEA_PX, cv2.INPAINT_TELEA), np.uint8)
            if fill is None
            else fill(picture, cutout.hole)
        )
    cleared = cutout.filled(continued)
    changed = np.where((removal.changed > 0) | (cleared != alpha), np.uint8(255), np.uint8(0))
    colours = _colours(pixels, removal.pixels, eight_bits(cleared), changed)
    return Cleared(colours, cleared, changed, removal)


def _found(pixels: Pixels, alpha: Mask, template: Template, noise: float) -> tuple[Pixels, PreparedMark] | None:
    """The picture on a ground, and the mark in it; ``None``: there is none, or none over alpha.

    The mark is found on a flat ground from which it differs, and removed on one that continues the goods' colours, so
    that their outline is no edge that could blur into them.
    """
    visible = template.alpha > template.alpha.max() / 2
    flat = np.full_like(pixels, 0 if template.colour[visible].mean() > 127 else 255)
    seen = _on_ground(pixels, alpha, flat)
    prepared = prepare(seen, template, noise=noise)
    if prepared is None or not _lies_over(alpha, prepared):
        return None
    hole = dilate(np.where(_opacity(prepared) > _LEAST, np.uint8(255), np.uint8(0)), _RIM_PX)
    smooth = _on_ground(pixels, alpha, ground_of(pixels, alpha, hole))
    again = prepare(smooth, template, noise=noise)
    if again is None or again.sighting.view != prepared.sighting.view:
        return seen, prepared
    return smooth, again


def _opacity(prepared: PreparedMark) -> Values:
    """The mark's opacity in the whole picture."""
    opacity = np.zeros(prepared.pixels.shape[:2], np.float32)
    opacity[prepared.recovery.view] = prepared.recovery.alpha
    return opacity


def _lies_over(alpha: Mask, prepared: PreparedMark) -> bool:
    opacity = prepared.recovery.alpha
    shown = alpha[prepared.recovery.view][prepared.sighting_mask].astype(np.float32) / 255
    return bool((shown >= opacity[prepared.sighting_mask] - _ERROR).mean() >= _SHARE)


def _on_ground(pixels: Pixels, alpha: Mask, ground: Pixels) -> Pixels:
    share = alpha[..., None].astype(np.float32) / 255
    return np.asarray(np.rint(pixels * share + ground * (1 - share)), np.uint8)


def _colours(pixels: Pixels, cleaned: Pixels, alpha: Mask, changed: Mask) -> Pixels:
    """The goods' colours in ``changed``: those of ``cleaned``, on a ground, where solid, else of near solid ones."""
    inside = changed > 0
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    window = (
        slice(max(int(rows[0]) - 8 * _RIM_PX, 0), int(rows[-1]) + 1 + 8 * _RIM_PX),
        slice(max(int(columns[0]) - 8 * _RIM_PX, 0), int(columns[-1]) + 1 + 8 * _RIM_PX),
    )
    solid = alpha[window] >= _SOLID
    shown = np.where(inside[window][..., None], cleaned[window], pixels[window])
    weight = solid.astype(np.float32)
    around = spread(shown * weight[..., None], weight)
    out = pixels.copy()
    part = out[window]
    new = np.where(solid[..., None], shown, np.rint(around.clip(0, 255)).astype(np.uint8))
    part[inside[window]] = new[inside[window]]
    return out

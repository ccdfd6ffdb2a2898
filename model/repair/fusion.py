"""One place that decides by expected error: each pixel of a part averages what is known of it, and the worse gives way.

The un-blended value, one interpolated across the mark's rim and the fill estimate the same pixel. Each has an expected
error. Un-blending amplifies noise and the errors of the mark's shape; the fill's error is small on calm ground, and
grows with the texture around and deep in a hole.
"""

from __future__ import annotations

import cv2
import numpy as np

from model.repair.ground import Ground
from model.repair.opacity import Flags, Values
from model.repair.unblending import unblended, without_light
from model.repair.veil import LaidVeil

#: An alpha of less changes no level of 255.
_FAINT = 0.004
#: Relative error of a fitted colour and opacity, and of the share at the mark's rim.
_VEIL_ERROR, _RIM_ERROR = 0.02, 0.12
#: Error of values interpolated across the rim, over the mean step between neighbours; the interpolation's sigma in px.
_ACROSS_ERROR, _ACROSS_PX = 0.8, 0.8
#: The fill counts by its error too where it is this near, in both variances.
_AGREEING = 2.0
#: Depth in the hole up to which texture alone tells the fill's error, in px, and the most that each px more adds, in
#: levels of colour and of brightness. It adds twice the local mean difference from the un-blended values, whose sigma
#: is in px: noise has no mean.
_SHALLOW_PX, _DEEPER, _MEAN_PX = 4.0, (1.0, 2.0), 2.0
#: Calm ground: most error of the fill, in levels. There a pixel has a false share of the mark if it ends this far from
#: the fill, and another share explains it this well, both in variances of the fill and of coding.
_CALM, _CONTRARY, _EXPLAINED = 4.0, 6.0, 4.0
#: Kept pixels are strange where their colour is this far from the fill's, in its variances, in a local mean; the most
#: that one pixel counts, and the mean's sigma in px.
_STRANGE, _MOST_DISTANCE, _STRANGE_PX = 6.0, 20.0, 3.0


def fused(ground: Ground, veil: LaidVeil) -> tuple[Values, Values]:
    """The picture without the veil, ``float32 [H, W, 3]``, and the share of it that is not invented, ``[H, W]``.

    Un-blending amplifies noise by 1 / (1 - a), and errors of a by the mark's contrast. At the rim, where a is least
    sure, the un-blended value is averaged with one interpolated between the mark's inside and its outside, by their
    inverse variances. Where the fill agrees, it counts by its own: on flat ground it is better than any un-blending,
    and it knows colour better than brightness. Where the shape is wrong (:func:`_false_share`), where
    another mark may lie (:func:`_strange`), and on plain ground the fill stays.
    """
    alpha = veil.alpha
    through = 1 - alpha
    clean, seen = unblended(ground.marked, alpha, veil.colour, veil.rim)
    clean = np.clip(clean, 0, 255)
    contrast = np.abs(veil.colour - clean).mean(axis=2)
    spoilt = np.square(ground.noise / through) + np.square(_VEIL_ERROR * contrast * (alpha > _FAINT))
    at_rim = spoilt + np.square(_RIM_ERROR * veil.opacity * contrast / through)
    known = np.where(veil.rim | veil.rest, np.float32(0), np.float32(1))
    weight = cv2.GaussianBlur(known, (0, 0), _ACROSS_PX)
    across = cv2.GaussianBlur(clean * known[..., None], (0, 0), _ACROSS_PX) / np.maximum(weight, 1e-3)[..., None]
    trust = np.where(weight > 0.02, 1 / (np.square(_ACROSS_ERROR * ground.step) + ground.noise**2), 0)
    trust = np.where(veil.rim, trust * at_rim, 0)[..., None]
    own = np.where(veil.rim, at_rim, spoilt)
    pixels, by_fill = np.zeros_like(clean), own
    deep = np.maximum(ground.depth - _SHALLOW_PX, 0)
    told = known * ground.inside
    count = np.maximum(cv2.GaussianBlur(told, (0, 0), _MEAN_PX), 1e-3)[..., None]
    sources = [clean, np.asarray(across, np.float32), ground.guess]
    colours = [without_light(values) for values in sources]
    lights = [values - colour for values, colour in zip(sources, colours, strict=True)]
    for (mine, between, fill), error, deeper in (
        (colours, ground.colour_error, _DEEPER[0]),
        (lights, ground.error, _DEEPER[1]),
    ):
        mean = cv2.GaussianBlur((mine - fill) * told[..., None], (0, 0), _MEAN_PX) / count
        off = 4 * np.square(mean).mean(axis=2) - ground.noise**2
        variance = np.square(error) + np.clip(off, 0, np.square(deeper * deep))
        is_near = np.square(mine - fill).mean(axis=2) < _AGREEING * (variance + own)
        by_fill = np.where(is_near, own / variance, 0)
        pixels += (mine + trust * between + by_fill[..., None] * fill) / (1 + trust + by_fill[..., None])
    share = 1 / (1 + trust[..., 0] + by_fill)
    kept = np.maximum(alpha, seen) <= _FAINT
    pixels = np.where(kept[..., None], ground.marked, pixels)
    share = np.where(kept, 1, share)
    # Beside the mark JPEG spreads its colour.
    near = cv2.dilate((~kept).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    false = ground.plain | _false_share(ground, veil, pixels, kept) | _strange(ground, kept & ~veil.rest & ~near)
    pixels = np.where(veil.rest[..., None], veil.instead, pixels)
    pixels = np.where(false[..., None], ground.guess, pixels)
    share = np.where(veil.rest | false, 0, share)
    return np.clip(pixels, 0, 255).astype(np.float32), share.astype(np.float32)


def _strange(ground: Ground, kept: Flags) -> Flags:
    """``bool [H, W]``: pixels that would stay as they are (``kept``), but whose colour is not the fill's all around.

    Another mark may lie there.
    """
    kept = kept & ground.inside
    colour = np.square(without_light(ground.marked - ground.guess)).mean(axis=2)
    distance = np.minimum(colour / (np.square(ground.colour_error) + ground.noise**2), _MOST_DISTANCE)
    share, local = (
        cv2.GaussianBlur(values.astype(np.float32), (0, 0), _STRANGE_PX) for values in (kept, distance * kept)
    )
    return np.asarray(kept & (local > _STRANGE * share))


def _false_share(ground: Ground, veil: LaidVeil, pixels: Values, kept: Flags) -> Flags:
    """``bool [H, W]``: pixels of calm ground in which the mark has another share than its shape says.

    Between narrow letters a shape closes, and a soft rim is wider than it: ``pixels`` is then far from the fill, which
    is nearly right there, and the fill under another share of the mark is what the marked picture shows. What would be
    ``kept`` without any share of it is another mark's, as an outline is.
    """
    limit = np.square(ground.error) + ground.noise**2
    contrary = np.square(pixels - ground.guess).mean(axis=2) > _CONTRARY * limit
    added, shift = veil.colour - ground.guess, ground.marked - ground.guess
    share = (shift * added).sum(axis=2) / np.maximum(np.square(added).sum(axis=2), 1)
    rest = np.square(shift - np.clip(share, 0, veil.opacity)[..., None] * added).mean(axis=2)
    return np.asarray(ground.inside & (ground.error < _CALM) & contrary & (kept | (rest < _EXPLAINED * limit)))

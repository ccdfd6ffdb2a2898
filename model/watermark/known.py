"""Templates of a mark whose look is known: from the logo's own file, or from one picture in which it is painted over.

The mark is searched over place, size and colour in every picture; one picture is enough. Where many pictures carry it,
opacity and colour are then estimated from them as in :mod:`model.watermark.estimate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.errors import TemplateRefused
from model.watermark.estimate import INFORMATIVE, Estimate, Progress, read_into, template_of, tested
from model.watermark.frames import resized
from model.watermark.growth import Placement, grown, rule_of
from model.watermark.placings import likeliest
from model.watermark.remove import prepare
from model.watermark.samples import Sample, Spool
from model.watermark.search import Hit, Searched, Shape
from model.watermark.template import Quality, Rule, Template
from model.watermark.windows import Windows

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.uint8]

#: Sizes of a logo in a picture, relative to its file; step from size to size of the coarse and of the fine search.
_SMALLEST, _LARGEST, _COARSE, _FINE = 0.3, 3.0, 1.05, 1.012
#: Longest side of a picture in the coarse and in the fine search, in px; sizes that the fine search begins from.
_COARSE_PX, _FINE_PX, _BEGUN = 360, 900, 3
#: Pictures that are searched in all sizes; least agreement and deviation of a certain hit, and of one in a size that
#: other pictures told.
_SEARCHED, _CERTAIN, _EXPECTED = 8, (0.5, 18.0), (0.4, 11.0)
#: Error of the opacity of a known mark; least opacity; share of the colours that must be possible at it.
_ERROR, _FAINTEST, _POSSIBLE = 0.03, 0.05, 0.95
#: Factors on a first opacity that are tried, pictures in which they are, and the coding error of those.
_FACTORS = (0.8, 0.86, 0.92, 0.96, 1.0, 1.04, 1.08, 1.14, 1.2)
_JUDGED, _NOISE = 8, 3.0
#: Distance over which differences read the opacity, in px, and the blur before it: soft edges must not count.
_LAG, _SOFT = 3, 1.0


@dataclass(frozen=True)
class _Found:
    """The mark in one picture."""

    owner: int
    hit: Hit
    #: Px of the picture per px of the logo's file.
    factor: float
    variant: int


def from_logo(
    alpha: Values, colour: Values, samples: Sequence[Sample], *, on_progress: Progress = lambda *_: None
) -> Estimate:
    """The template of a logo (opacity ``float32 [h, w]``, colour ``float32 [h, w, 3]``) as the pictures carry it.

    Raises:
        TemplateRefused: ``mark_not_found``: no picture shows it.
    """
    rows, columns = np.flatnonzero((alpha > 0.02).any(axis=1)), np.flatnonzero((alpha > 0.02).any(axis=0))
    if not rows.size:
        raise TemplateRefused("logo_empty", "The logo's alpha marks nothing.")
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    shapes = _variants(Shape(np.ascontiguousarray(alpha[box]), np.ascontiguousarray(colour[box])))
    with Spool() as spool:
        duplicates = read_into(spool, samples, on_progress)
        certain: list[_Found] = []
        for index in range(min(len(spool), _SEARCHED)):
            on_progress("search", index, min(len(spool), _SEARCHED))
            certain += _everywhere(index, spool[index], shapes)
        if not certain:
            raise TemplateRefused.logo_unseen(min(len(spool), _SEARCHED))
        best = max(certain, key=lambda one: one.hit.score)
        shape = best.hit.shape
        size = spool.sizes[best.owner]
        opacity = _opacity(spool[best.owner], best.hit.top, best.hit.left, shape)
        rule = Rule("top-left", "pixels", best.hit.top, best.hit.left, size[1], size[0], sizes=(size,))
        first = _known_template(Shape(np.clip(shape.alpha * opacity, 0, 1), shape.colour), rule, 1)
        places = [
            Placement(one.owner, one.hit.top, one.hit.left, one.factor / best.factor)
            for one in certain
            if one.variant == best.variant
        ]
        return _completed(spool, first, places, duplicates, on_progress)


def from_mark(
    picture: Pixels, mask: Mask, samples: Sequence[Sample], *, on_progress: Progress = lambda *_: None
) -> Estimate:
    """The template of the mark that ``mask`` (``uint8 [H, W]``, 255: mark) paints over in ``picture``.

    Raises:
        TemplateRefused: ``mask_empty``, ``mark_not_found``.
    """
    shape, top, left = _painted(picture, mask)
    with Spool() as spool:
        spool.add("painted", picture)
        duplicates = read_into(spool, samples, on_progress)
        size = spool.sizes[0]
        rule = Rule("top-left", "pixels", top, left, size[1], size[0], sizes=(size,))
        first = _known_template(shape, rule, 1)
        return _completed(spool, first, [Placement(0, top, left, 1.0)], duplicates, on_progress)


def _completed(
    spool: Spool, first: Template, places: list[Placement], duplicates: int, on_progress: Progress
) -> Estimate:
    """The template with the rule of all its places, and estimated from them where they are many."""
    every = np.arange(len(spool))
    mark = first.alpha.shape[0], first.alpha.shape[1]
    own = {one.owner: one for one in places}
    sizes = [spool.sizes[owner] for owner in own]
    if len(own) > 1:
        first = replace(first, rule=rule_of(list(own.values()), sizes, mark, first.rule))
    owners = np.array(list(own), np.intp)
    empty = np.zeros((0, 1, 1, 3), np.uint8)
    shifts = np.zeros((len(owners), 2), np.intp)
    for number, one in enumerate(own.values()):
        top, left = first.rule.corner(*spool.sizes[one.owner])
        shifts[number] = np.rint((one.top - top) / one.factor), np.rint((one.left - left) / one.factor)
    windows = Windows(empty, owners, shifts, first.rule, 0, 0.0, spool.alike(owners))
    wider = grown(spool, every, first, windows, on_progress)
    warnings: list[str] = []
    final = first
    if wider is not None:
        owners = wider.owners
        around = (wider.pixels.shape[1] - mark[0]) // 2, (wider.pixels.shape[2] - mark[1]) // 2
        final = _best_opacity(replace(first, rule=wider.rule_of(*around)), spool, owners)
        estimated = template_of(wider, on_progress) if len(owners) >= INFORMATIVE else None
        if estimated is not None and estimated.quality.informative >= INFORMATIVE:
            final = min((final, estimated), key=lambda one: _remains(one, spool, owners))
    else:
        final = _best_opacity(final, spool, owners)
    final = replace(final, rule=likeliest(final.rule, (final.alpha.shape[0], final.alpha.shape[1])))
    final = tested(final, spool, owners, on_progress)
    final = replace(final, quality=replace(final.quality, samples=len(owners), without=len(spool) - len(owners)))
    if final.quality.clean < final.quality.tested:
        warnings.append(
            f"The mark was found again in {final.quality.found} of {final.quality.tested} pictures and is clean in "
            f"{final.quality.clean}: look at the sheet before you use the template."
        )
    return Estimate([final], warnings, len(spool), duplicates)


def _best_opacity(template: Template, spool: Spool, owners: NDArray[np.intp]) -> Template:
    """The template with the opacity that leaves least of the mark in its pictures."""
    tries = [_opaque(template, factor) for factor in _FACTORS]
    return min(tries, key=lambda one: _remains(one, spool, owners))


def _opaque(template: Template, factor: float) -> Template:
    """The template with ``factor`` times its opacity."""
    alpha = np.asarray(np.clip(template.alpha * np.float32(factor), 0, 1), np.float32)
    opacity = round(float(np.median(alpha[template.mask > 0])), 4)
    return replace(template, alpha=alpha, quality=replace(template.quality, opacity=opacity))


def _remains(template: Template, spool: Spool, owners: NDArray[np.intp]) -> float:
    """Levels of the mark that un-blending alone leaves in some pictures; a picture without a sighting counts most."""
    fixed = replace(template, quality=replace(template.quality, strength_spread=0.0))
    left = []
    for index in owners[:_JUDGED]:
        prepared = prepare(spool[int(index)], fixed, noise=_NOISE)
        if prepared is None:
            left.append(255.0)
        else:
            left.append(abs(prepared.plain.ghost.levels) + abs(prepared.plain.step.levels))
    return float(np.mean(left))


def _variants(shape: Shape) -> list[Shape]:
    """The shape in its own colours, inverted, and all in white and in black, as shops lay one logo on many grounds."""
    seen = shape.colour[shape.alpha > 0.3]
    kinds = [shape.colour, 255 - shape.colour, np.full_like(shape.colour, 255), np.zeros_like(shape.colour)]
    kept: list[Values] = []
    for kind in kinds:
        same = kind[shape.alpha > 0.3]
        if len(seen) and all(np.abs(same - other[shape.alpha > 0.3]).mean() > 40 for other in kept):
            kept.append(np.asarray(kind, np.float32))
    return [Shape(shape.alpha, kind) for kind in kept]


def _everywhere(owner: int, pixels: Pixels, shapes: list[Shape]) -> list[_Found]:
    """The certain hits in one picture: at most one."""
    longest = max(pixels.shape[:2])
    coarse, fine = min(1.0, _COARSE_PX / longest), min(1.0, _FINE_PX / longest)
    searched = Searched(resized(pixels, coarse) if coarse < 1 else pixels)
    steps = int(np.ceil(np.log(_LARGEST / _SMALLEST) / np.log(_COARSE)))
    sizes = [_SMALLEST * _COARSE**step for step in range(steps + 1)]
    tries: list[tuple[float, float, int]] = []
    for variant, shape in enumerate(shapes):
        for size in sizes:
            if min(shape.alpha.shape) * size * coarse < 6:
                continue
            tries += [(hit.score, size, variant) for hit in searched.hits(shape.scaled(size * coarse))]
    tries.sort(reverse=True)
    if not tries:
        return []
    searched = Searched(resized(pixels, fine) if fine < 1 else pixels)
    best: tuple[Hit, float, int] | None = None
    for _, size, variant in tries[:_BEGUN]:
        for step in range(-4, 5):
            factor = size * _FINE**step
            for hit in searched.hits(shapes[variant].scaled(factor * fine)):
                if best is None or hit.score > best[0].score:
                    best = hit, factor, variant
    if best is None or best[0].cosine < _CERTAIN[0] or best[0].z < _CERTAIN[1]:
        return []
    hit, factor, variant = best
    shape = shapes[variant].scaled(factor)
    return [
        _Found(
            owner, replace(hit, top=round(hit.top / fine), left=round(hit.left / fine), shape=shape), factor, variant
        )
    ]


def _opacity(pixels: Pixels, top: int, left: int, shape: Shape) -> float:
    """The opacity of the shape at its place, relative to its own."""
    tall, wide = shape.alpha.shape
    around = 12
    rows = np.clip(np.arange(top - around, top + tall + around), 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(left - around, left + wide + around), 0, pixels.shape[1] - 1)
    window = pixels[np.ix_(rows, columns)]
    alpha = np.pad(shape.alpha, around)
    colour = np.pad(shape.colour, ((around, around), (around, around), (0, 0)))
    hole = cv2.dilate((alpha > 0.02).astype(np.uint8) * 255, np.ones((5, 5), np.uint8))
    guess = cv2.inpaint(np.ascontiguousarray(window), hole, 3, cv2.INPAINT_TELEA).astype(np.float32)
    expected = _lagged(alpha[..., None] * (colour - guess))
    visible = _lagged(window.astype(np.float32) - guess)
    energy = (expected**2).sum(axis=(0, 3))
    where = energy > 0.1 * float(np.quantile(energy[energy > 1], 0.9)) if (energy > 1).any() else energy > 1
    if where.sum() < 12:
        return 0.5
    own, seen = expected[:, where], visible[:, where]
    weight: Values = np.ones(own.shape, np.float32)
    opacity = 0.5
    for _ in range(8):
        opacity = float((weight * own * seen).sum() / max(float((weight * own**2).sum()), 1e-6))
        rest = np.abs(seen - opacity * own)
        weight = np.asarray(1 / (1 + np.square(rest / (2 * float(np.median(rest)) + 2))), np.float32)
    return float(np.clip(opacity, _FAINTEST, 1.0))


def _lagged(picture: Values) -> Values:
    """Differences of ``[H, W, 3]`` over some px, to the right and down: ``[2, H, W, 3]``."""
    soft = cv2.GaussianBlur(picture, (0, 0), _SOFT)
    out = np.zeros((2, *picture.shape), np.float32)
    out[0, :, :-_LAG] = soft[:, _LAG:] - soft[:, :-_LAG]
    out[1, :-_LAG] = soft[_LAG:] - soft[:-_LAG]
    return out


def _painted(picture: Pixels, mask: Mask) -> tuple[Shape, int, int]:
    """The shape under the painted mask, with the faintest opacity that explains it, and its top and left."""
    rows, columns = np.flatnonzero((mask > 127).any(axis=1)), np.flatnonzero((mask > 127).any(axis=0))
    if not rows.size:
        raise TemplateRefused("mask_empty", "The mask paints nothing over: mark its pixels white.")
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    guess = cv2.inpaint(picture, np.where(mask > 127, 255, 0).astype(np.uint8), 3, cv2.INPAINT_TELEA)
    given, ground = picture[box].astype(np.float32), guess[box].astype(np.float32)
    inside, step = mask[box] > 127, given - ground
    # Colour W = ground + step / a lies in 0 to 255: of a white or black mark the faintest such opacity is the true one.
    needed = np.maximum(step / np.maximum(255 - ground, 8), -step / np.maximum(ground, 8)).max(axis=2)
    shown = inside & (np.abs(step).max(axis=2) > 6)
    if shown.sum() < 20:
        raise TemplateRefused("mark_not_found", "The painted mark does not stand out from its surroundings.")
    opacity = float(np.clip(np.quantile(needed[shown], _POSSIBLE), _FAINTEST, 1.0))
    colour = np.clip(ground + step / opacity, 0, 255)
    # Where the picture equals its surroundings there is no mark.
    typical = float(np.median(np.abs(step[shown]).max(axis=1)))
    alpha = np.where(inside, opacity * np.clip(np.abs(step).max(axis=2) / max(typical, 6.0), 0, 1), 0)
    return Shape(np.asarray(alpha, np.float32), np.asarray(colour, np.float32)), box[0].start, box[1].start


def _known_template(shape: Shape, rule: Rule, samples: int) -> Template:
    """A template of a known shape; its quality says that no regression was made."""
    mask = np.where(shape.alpha > 0.5 * float(shape.alpha.max()), 255, 0).astype(np.uint8)
    quality = Quality(
        samples=samples,
        without=0,
        informative=0,
        error=_ERROR,
        opacity=round(float(np.median(shape.alpha[mask > 0])), 4),
        z=0,
        margin=0,
        ghost=0,
        strength_spread=0.2,
        jitter_px=0,
    )
    return Template(shape.alpha, shape.colour, mask, rule, quality)

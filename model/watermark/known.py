"""Templates of a mark whose look is known: from the logo's own file, or from one picture in which it is painted over.

The mark is searched over place, size and colour in every picture; one picture is enough. Where many pictures carry it,
opacity and colour are then estimated from them as in :mod:`model.watermark.estimate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.errors import TemplateRefused
from model.watermark.caution import Caution
from model.watermark.estimate import INFORMATIVE, Estimate, read_into, tested
from model.watermark.growth import grown, rule_of
from model.watermark.logo_search import Found, agreed, everywhere, in_likeliest_colours
from model.watermark.making import template_of
from model.watermark.placings import likeliest
from model.watermark.remove import prepare
from model.watermark.samples import Sample, Spool
from model.watermark.search import Shape
from model.watermark.sighting import look
from model.watermark.template import Quality, Rule, Template
from model.watermark.windows import Placement, Progress

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.uint8]

#: Most pictures that are searched in all sizes, and pictures with a certain hit that are enough.
_SEARCHED, _ENOUGH = 8, 2
#: Error of the opacity of a known mark; least opacity; share of the colours that must be possible at it.
_ERROR, _PAINTED_ERROR, _FAINTEST, _POSSIBLE = 0.01, 0.03, 0.05, 0.95
#: Pictures in which templates are compared, and the coding error of those.
_JUDGED, _NOISE = 8, 3.0
#: Spread of the strength where too few pictures tell it, and the least number of pictures that do.
_UNTOLD_SPREAD, _TOLD = 0.2, 5


def from_logo(
    alpha: Values, colour: Values, samples: Sequence[Sample], *, on_progress: Progress = lambda *_: None
) -> Estimate:
    """The template of a logo (opacity ``float32 [h, w]``, colour ``float32 [h, w, 3]``) as the pictures carry it.

    Raises:
        TemplateRefused: ``mark_not_found``: no picture shows it.
    """
    if not (alpha > 0.02).any():
        raise TemplateRefused("logo_empty", "The logo's alpha marks nothing.")
    logo = Shape(alpha, colour)
    with Spool() as spool:
        duplicates = read_into(spool, samples, on_progress)
        candidates: list[list[Found]] = []
        for index in range(min(len(spool), _SEARCHED)):
            on_progress("search", index, min(len(spool), _SEARCHED))
            candidates.append(everywhere(index, spool[index], logo))
            if sum(any(one.certain for one in some) for some in candidates) >= _ENOUGH:
                break
        found = agreed(candidates)
        if not found:
            raise TemplateRefused.logo_unseen(len(candidates))
        best = in_likeliest_colours(spool[found[0].owner], found[0], logo)
        shape = best.hit.shape
        size = spool.sizes[best.owner]
        rule = Rule("top-left", "pixels", best.hit.top, best.hit.left, size[1], size[0], sizes=(size,))
        opacity = float(np.clip(best.strength, _FAINTEST, 1 / float(shape.alpha.max())))
        first = _known_template(Shape(np.clip(shape.alpha * opacity, 0, 1), shape.colour), rule, _ERROR)
        places = [Placement(one.owner, one.hit.top, one.hit.left, one.size[0] / best.size[0]) for one in found]
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
        first = _known_template(shape, rule, _PAINTED_ERROR)
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
    wider = grown(spool, every, first, list(own.values()), on_progress)
    warnings: list[Caution] = []
    final = first
    if wider is not None:
        owners = wider.owners
        around = (wider.pixels.shape[1] - mark[0]) // 2, (wider.pixels.shape[2] - mark[1]) // 2
        final = _with_opacity(replace(first, rule=wider.rule_of(*around)), spool, owners)
        estimated = template_of(wider, on_progress) if len(owners) >= INFORMATIVE else None
        if estimated is not None and estimated[0].quality.informative >= INFORMATIVE:
            final = min((final, estimated[0]), key=lambda one: _remains(one, spool, owners))
    else:
        final = _with_opacity(final, spool, owners)
    final = replace(final, rule=likeliest(final.rule, (final.alpha.shape[0], final.alpha.shape[1])))
    final = tested(final, spool, owners, on_progress)
    final = replace(final, quality=replace(final.quality, samples=len(owners), without=len(spool) - len(owners)))
    if final.quality.clean < final.quality.tested:
        warnings.append(Caution.not_everywhere(final.quality.tested, final.quality.found, final.quality.clean))
    return Estimate([final], warnings, len(spool), duplicates)


def _with_opacity(template: Template, spool: Spool, owners: NDArray[np.intp]) -> Template:
    """The template with the median strength of its mark in its pictures, and with their spread."""
    sightings = [look(spool[int(index)], template) for index in owners[:_JUDGED]]
    strengths = [one.strength for one in sightings if one is not None]
    factor = float(np.median(strengths)) if strengths else 1.0
    alpha = np.asarray(np.clip(template.alpha * np.float32(factor), 0, 1), np.float32)
    quality = replace(
        template.quality,
        opacity=round(float(np.median(alpha[template.mask > 0])), 4),
        strength_spread=round(float(np.std(strengths)), 4) if len(strengths) >= _TOLD else _UNTOLD_SPREAD,
    )
    return replace(template, alpha=alpha, quality=quality)


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


def _known_template(shape: Shape, rule: Rule, error: float) -> Template:
    """A template of a known shape; its quality says that no regression was made."""
    mask = np.where(shape.alpha > 0.5 * float(shape.alpha.max()), 255, 0).astype(np.uint8)
    quality = Quality(
        samples=1,
        without=0,
        informative=0,
        error=error,
        opacity=round(float(np.median(shape.alpha[mask > 0])), 4),
        z=0,
        margin=0,
        ghost=0,
        strength_spread=0.2,
        jitter_px=0,
    )
    return Template(shape.alpha, shape.colour, mask, rule, quality)

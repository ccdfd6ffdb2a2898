"""From the pictures of a catalogue to the templates of the marks that they share.

``estimate`` is the entry point. It reads each sample once, holds one at a time, and needs no network. It takes the
shared gradients of the pictures (:mod:`model.watermark.outline`), then a regression over the samples for each pixel
(:mod:`model.watermark.matte`). Dekel et al., "On the Effectiveness of Visible Watermarks", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from model.errors import TemplateRefused
from model.watermark import anchored, lacking, scattered, tiled
from model.watermark.beyond import could_show
from model.watermark.caution import Caution
from model.watermark.evidence import groups, shared
from model.watermark.fields import Sum, field_of, strength_map
from model.watermark.ghost import LEVELS, ghost_of
from model.watermark.growth import cut, grown
from model.watermark.lying import Lying, lying_of
from model.watermark.matte import Matte, regress, repeated
from model.watermark.outline import edges, rough_mask
from model.watermark.place import place_of
from model.watermark.placings import likeliest
from model.watermark.remove import remove
from model.watermark.samples import Sample, Spool, chosen
from model.watermark.sighting import look
from model.watermark.template import SIDES, Quality, Template
from model.watermark.windows import Placement, Windows

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]
#: A template and its places in the samples.
Made = tuple[Template, list[Placement]]
#: Called with the stage, the finished and the total steps. An exception that it raises ends the work and propagates.
Progress = Callable[[str, int, int], None]

#: Least number of samples, and least number of samples that inform about a pixel (unless forced).
FEWEST, INFORMATIVE = 5, 8
#: A template is doubtful if its edges stand less than this above chance, or if its ghost is stronger than this.
_DOUBTFUL_Z, _DOUBTFUL_GHOST = 4.0, 0.3
#: Most samples of the self-test, the coding error of its pictures, and the least shares of them in which the mark must
#: be found again and no longer show.
_TESTED, _TEST_NOISE, _LEAST_FOUND, _LEAST_CLEAN = 30, 3.0, 0.8, 0.6
#: Most marks that are searched in one set.
_MOST_MARKS = 4
#: Border of the template around the mark, in px.
_MARGIN = 4
#: Most rounds in which parts that the template lacks are looked for, the least pixels of those, and the context around
#: the template in which they are looked for, in px; half of its extent where that is more.
_COMPLETIONS, _LEAST_LACKING, _LEAST_CONTEXT = 6, 12, 24
#: Most that a mark's opacity changes by its further parts, as a share of it: where its error grows, and where it does
#: not; and most that the error grows.
_SAME_OPACITY, _CERTAIN_OPACITY, _SAME_ERROR = 0.06, 0.12, 1.5
#: Rounds in which the windows are aligned to parts of a pixel.
_ALIGNMENTS = 2
#: Windows that the first of two regressions uses.
_OUTLINED = 50
#: Regressions that look for more of a mark that repeats over the picture, how far around it, in px, and the most of the
#: picture in which they do.
_TILED_ROUNDS, _TILED_PX, _TILED_SHARE = 2, 5, 0.6


@dataclass(frozen=True)
class Estimate:
    """The result of an estimate."""

    templates: list[Template]
    #: Warnings for the reviewer.
    warnings: list[Caution]
    #: Number of samples that were read, and of those left out as duplicates.
    samples: int
    duplicates: int


def estimate(samples: Sequence[Sample], *, force: bool = False, on_progress: Progress = lambda *_: None) -> Estimate:
    """The templates of the marks that ``samples`` share, the commonest first.

    ``force``: go on with a warning where there are too few samples.

    Raises:
        TemplateRefused: ``samples_too_few`` with how many more are needed, ``mark_not_found``.
    """
    if len(samples) < FEWEST:
        raise TemplateRefused.too_few(len(samples), INFORMATIVE)
    with Spool() as spool:
        duplicates = read_into(spool, samples, on_progress)
        if len(spool) < FEWEST:
            raise TemplateRefused.too_few(len(spool), INFORMATIVE)
        templates: list[Template] = []
        warnings: list[Caution] = []
        remaining = np.arange(len(spool))
        while len(templates) < _MOST_MARKS and len(remaining) >= FEWEST:
            mark, lying = _one_mark(spool, remaining, on_progress), None
            if mark is None and not templates:
                mark, lying = _scattered(spool, remaining, on_progress)
            if mark is None or (templates and mark[0].quality.informative < INFORMATIVE):
                break
            template, windows, unseen = mark
            template = tested(template, spool, windows.owners, on_progress)
            if lying is not None and template.quality.found < _LEAST_FOUND * template.quality.tested:
                # Goods that lie alike by chance: no template, nor one by force.
                break
            try:
                warnings += [*_judged(template, lying, force), *unseen]
            except TemplateRefused:
                if not templates:
                    raise
                break
            templates.append(template)
            others = [int(index) for index in np.setdiff1d(remaining, windows.owners)]
            remaining = np.array([index for index in others if look(spool[index], template) is None], np.intp)
        if not templates:
            raise TemplateRefused.nothing(len(spool), INFORMATIVE)
        return Estimate(templates, warnings, len(spool), duplicates)


def read_into(spool: Spool, samples: Sequence[Sample], on_progress: Progress) -> int:
    """Read samples into ``spool`` until it is full; returns the number of duplicates, which it leaves out."""
    duplicates, order = 0, chosen(samples)
    for number, sample in enumerate(order):
        if spool.full:
            break
        on_progress("read", number, min(len(order), spool.most))
        pixels = sample.load()
        if pixels is not None:
            duplicates += not spool.add(sample.name, pixels)
    return duplicates


def _one_mark(
    spool: Spool, remaining: NDArray[np.intp], on_progress: Progress
) -> tuple[Template, Windows, list[Caution]] | None:
    """The template of the mark that most of the remaining samples share, its windows, and where it may go on unseen."""
    windows = tiled.gather(spool, remaining, on_progress)
    made = template_of(windows, on_progress) if windows is not None else None
    if windows is not None and made is not None:
        return made[0], windows, []
    found = _single(spool, remaining, anchored.gather(spool, remaining, on_progress), on_progress)
    if found is None:
        return None
    template, unseen = _bounded(spool, *found[0])
    return template, found[1], unseen


def _scattered(
    spool: Spool, remaining: NDArray[np.intp], on_progress: Progress
) -> tuple[tuple[Template, Windows, list[Caution]] | None, Lying | None]:
    """The template of a mark that lies at another place in each sample, its windows, and where it lies."""
    found = _single(spool, remaining, scattered.gather(spool, remaining, on_progress), on_progress)
    if found is None:
        return None, None
    (template, places), windows = found
    spread = float(np.std([(one.top, one.left) for one in places], axis=0).max())
    template = replace(template, quality=replace(template.quality, jitter_px=round(spread, 3)))
    return (template, windows, []), lying_of(spool, template, places)


def _single(
    spool: Spool, remaining: NDArray[np.intp], windows: Windows | None, on_progress: Progress
) -> tuple[Made, Windows] | None:
    """The template of a mark that lies in a picture once, and its windows, from those of some samples."""
    made = template_of(windows, on_progress) if windows is not None else None
    if windows is None or made is None:
        return None
    wider = grown(spool, remaining, *made, on_progress)
    again = template_of(wider, on_progress) if wider is not None else None
    if wider is not None and again is not None:
        made, windows = again, replace(wider, margin=windows.margin)
    # More of a mark shows once its windows are aligned; what it begins with is too little to tell its size by.
    made, windows = aligned(spool, *_whole(spool, made, windows, on_progress), on_progress)
    whole, wide = _whole(spool, made, windows, on_progress)
    if wide is not windows:
        whole, wide = aligned(spool, whole, wide, on_progress)
    return whole, wide


def _bounded(spool: Spool, template: Template, places: list[Placement]) -> tuple[Template, list[Caution]]:
    """The template with the margins in which the samples could not have shown more of it, and what is said of them."""
    if template.rule.anywhere:
        return template, []
    wide, alpha, colour, context = _around(spool, template, places)
    high, across = template.alpha.shape
    free = np.median([one.free(spool.sizes[one.owner], (high, across)) for one in places], axis=0)
    most = (*context, *context)
    reach = [int(min(px, around)) for px, around in zip(free, most, strict=True)]
    shown = lacking.Shown(wide.pixels, alpha, colour)
    alike = ([shown(index)[1] for index in members] for members in groups(wide.alike))
    few = could_show(alike, alpha, colour, context, reach)
    top, left, bottom, right = (px if side in few else 0 for side, px in zip(SIDES, reach, strict=True))
    said = [Caution.end_unseen(side, count, len(places)) for side, count in few.items()]
    return replace(template, unseen=(top, left, bottom, right)), said


def _around(
    spool: Spool, template: Template, places: list[Placement]
) -> tuple[Windows, Values, Values, tuple[int, int]]:
    """Windows with context, the template's opacity and colour over one, and the context in rows and columns."""
    mark = template.alpha.shape[0], template.alpha.shape[1]
    # Beyond the pictures their borders repeat: a line would go on for ever.
    room = np.median([one.room(spool.sizes[one.owner], mark) for one in places], axis=0)
    down, across = context = _context(mark[0], room[0]), _context(mark[1], room[1])
    alpha = np.pad(template.alpha, ((down, down), (across, across)))
    colour = np.pad(template.colour, ((down, down), (across, across), (0, 0)))
    return cut(spool, places, mark, template.rule, context), alpha, colour, context


def aligned(spool: Spool, made: Made, windows: Windows, on_progress: Progress) -> tuple[Made, Windows]:
    """The template from windows in which its mark lies at one place to a part of a pixel.

    Windows are cut at whole pixels first: a mark that lies between them is blurred in the template.
    """
    template, places = made
    if windows.rule.lattice is not None:
        return made, windows
    mark = template.alpha.shape[0], template.alpha.shape[1]
    for step in range(_ALIGNMENTS):
        found = []
        for number, window in enumerate(cut(spool, places, mark, template.rule, (0, 0)).pixels):
            on_progress("align", step * len(places) + number, _ALIGNMENTS * len(places))
            found.append(place_of(window.astype(np.float32), template.alpha, template.colour))
        if not any(np.any(one.values) for one in found):
            break
        places = [one.beside(place, template.alpha) for one, place in zip(places, found, strict=True)]
        wide = replace(cut(spool, places, mark, template.rule), without=windows.without, margin=windows.margin)
        around, beside = (wide.pixels.shape[1] - mark[0]) // 2, (wide.pixels.shape[2] - mark[1]) // 2
        known = np.pad(template.alpha > 0, ((around, around), (beside, beside)))
        again = template_of(wide, on_progress, _widened(known, 2))
        if again is None:
            break
        template, places, windows = _standing(again, template), again[1], wide
        mark = template.alpha.shape[0], template.alpha.shape[1]
    return (template, places), windows


def _standing(made: Made, first: Template) -> Template:
    """The template, as far above chance as the one that was found first: the rest is where it does not show."""
    return replace(made[0], quality=replace(made[0].quality, z=first.quality.z))


def _whole(spool: Spool, made: Made, windows: Windows, on_progress: Progress) -> tuple[Made, Windows]:
    """The template with the parts that it lacks, and the windows around it."""
    template, places = made
    if windows.rule.anywhere:
        return made, windows
    for _ in range(_COMPLETIONS):
        wide, alpha, colour, _ = _around(spool, template, places)
        wide = replace(wide, without=windows.without, margin=windows.margin)
        known = _widened(alpha > 0, 2)
        shown = lacking.Shown(wide.pixels, alpha, colour)
        found = lacking.parts(shown, groups(wide.alike), alpha, colour)
        if (found & ~known).sum() < _LEAST_LACKING:
            break
        again = template_of(wide, on_progress, _widened(found, 2) | known)
        if again is None or (again[0].alpha > 0).sum() < (template.alpha > 0).sum() + _LEAST_LACKING:
            break
        if not same_mark(template.quality, again[0].quality):
            break
        template, places, windows = _standing(again, template), again[1], wide
    return (template, places), windows


def same_mark(was: Quality, now: Quality) -> bool:
    """Whether a template with further parts still is the same mark, not also goods that lie alike around it."""
    most = _CERTAIN_OPACITY if now.error <= was.error else _SAME_OPACITY
    return abs(now.opacity - was.opacity) <= most * was.opacity and now.error <= _SAME_ERROR * was.error


def _context(side: int, room: float) -> int:
    """How far around a side of the template more of the mark is looked for, in px."""
    return int(min(max(_LEAST_CONTEXT, side // 2), room))


def template_of(windows: Windows, on_progress: Progress, hole: Mask | None = None) -> Made | None:
    """The template from aligned windows, and its places; ``None`` if the windows share no mark.

    ``hole``: where the mark may lie, ``bool [h, w]``; without it, its outline is looked for.
    """
    pixels, lattice = windows.pixels, windows.rule.lattice
    total = Sum(pixels.shape[1:3])
    for number, members in enumerate(groups(windows.alike) if lattice is None else _each(len(pixels))):
        on_progress("outline", number, len(pixels))
        field = reduce(np.add, (field_of(pixels[index]) for index in members))
        # A part of the cell that lies on goods in one place may show in the next.
        total.add(field if lattice is None else lattice.averaged(field), len(members))
    if hole is None:
        edge = edges(total)
        if lattice is None:
            edge = shared(pixels[:_OUTLINED], windows.alike[:_OUTLINED, :_OUTLINED], edge)
        if edge.sum() < 40:
            return None
        hole = rough_mask(pixels, edge, np.ones(len(pixels), np.float32))
        if lattice is not None:
            hole = edge | (lattice.averaged(hole.astype(np.float32)) > 0.5)
        hole = _widened(hole, 2) if lattice is None else _searched(hole)
    # Some windows are enough to find the hole; the regression in it uses all of them.
    some = np.unique(np.linspace(0, len(pixels) - 1, min(len(pixels), _OUTLINED)).astype(np.intp))
    # Parts of letters without an outline come in from those beside them.
    rounds = [some] * (1 if lattice is None else _TILED_ROUNDS) + [np.arange(len(pixels))]
    matte: Matte | None = None
    for step, used in enumerate(rounds):
        on_progress("regress", step, len(rounds))
        if hole.mean() > 0.9 or not hole.any():
            return None
        matte = regress(pixels, hole, used)
        if lattice is not None:
            matte = repeated(matte, lattice)
        meant = _meant(matte)
        hole = _widened(meant, 2) if step == len(rounds) - 2 else _searched(meant)
    assert matte is not None
    on_progress("regress", len(rounds), len(rounds))
    return _made(windows, matte, total)


def _searched(mask: Mask) -> Mask:
    """Where more of a mark that repeats over the picture may lie, if enough of the ground stays free."""
    wide = _widened(mask, _TILED_PX)
    return wide if wide.mean() < _TILED_SHARE else _widened(mask, 2)


def _each(count: int) -> list[NDArray[np.intp]]:
    return [np.array([index], np.intp) for index in range(count)]


def _meant(matte: Matte) -> Mask:
    """Pixels of the mark: opacity above its error, in parts that reach a good share of the mark's opacity."""
    weak = matte.alpha > np.maximum(0.03, 2 * matte.error)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(weak.astype(np.uint8), connectivity=8)
    if count < 2:
        return weak
    level = _plateau(matte.alpha)
    kept = np.zeros(count, np.bool_)
    strong = np.bincount(labels[matte.alpha > 0.4 * level], minlength=count)
    kept[1:] = (strong[1:] >= 4) & (stats[1:, cv2.CC_STAT_AREA] >= 6)
    return np.asarray(kept[labels])


def _plateau(alpha: Values) -> float:
    """The most frequent opacity of the mark."""
    values = alpha[alpha > 0.03]
    return float(np.percentile(values, 75)) if values.size else 0.0


def _made(windows: Windows, matte: Matte, total: Sum) -> Made | None:
    meant = _meant(matte)
    mask = meant & (matte.alpha > 0.5 * _local_plateau(matte.alpha, meant))
    if mask.sum() < 20:
        return None
    alpha = np.where(_widened(meant, 1), matte.alpha, 0).astype(np.float32)
    colour = _extended(matte.colour, meant)
    own = alpha > 0
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    box = (0, 0, *alpha.shape)
    if windows.rule.lattice is None:
        box = (
            max(int(rows[0]) - _MARGIN, 0), max(int(columns[0]) - _MARGIN, 0),
            min(int(rows[-1]) + 1 + _MARGIN, alpha.shape[0]), min(int(columns[-1]) + 1 + _MARGIN, alpha.shape[1]),
        )  # fmt: skip
    view = slice(box[0], box[2]), slice(box[1], box[3])
    rule = likeliest(windows.rule_of(box[0], box[1]), (box[2] - box[0], box[3] - box[1]))
    z = strength_map(total.z())
    edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    quality = Quality(
        samples=len(set(windows.owners.tolist())),
        without=windows.without,
        informative=float(np.median(matte.informative[mask])),
        error=round(float(np.median(matte.error[mask])), 5),
        opacity=round(float(np.median(matte.alpha[mask])), 4),
        z=round(float(np.median(z[edge])), 2),
        margin=round(windows.margin, 2),
        ghost=round(_ghost(windows, alpha, colour, matte.strength), 4),
        strength_spread=round(_spread(matte.strength), 4),
        jitter_px=round(windows.jitter, 3),
    )
    template = Template(
        np.ascontiguousarray(alpha[view]),
        np.ascontiguousarray(colour[view]),
        np.ascontiguousarray(mask[view].astype(np.uint8) * 255),
        rule,
        quality,
    )
    return template, [one.inner(box[0], box[1]) for one in windows.places]


def _local_plateau(alpha: Values, meant: Mask) -> Values:
    """The highest opacity within a few px; the mark's edge lies at half of it."""
    peak = cv2.dilate(np.where(meant, alpha, 0).astype(np.float32), np.ones((9, 9), np.uint8))
    return np.asarray(np.clip(peak, 0.04, 1.2 * _plateau(alpha[meant])), np.float32)


def _extended(colour: Values, known: Mask) -> Values:
    """The mark's colours extended a little beyond its edge, so that scaling mixes no black in."""
    weight = known.astype(np.float32)
    blurred = cv2.blur(colour * weight[..., None], (9, 9)) / np.maximum(cv2.blur(weight, (9, 9)), 1e-3)[..., None]
    return np.asarray(np.where(known[..., None], colour, np.clip(blurred, 0, 255)), np.float32)


def _widened(mask: Mask, px: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def _ghost(windows: Windows, alpha: Values, colour: Values, strength: Values) -> float:
    """The median ghost score of some cleaned samples.

    A remainder that is too faint to be seen counts less: smooth pictures agree with the faintest remainder.
    """
    scores = []
    for index in np.linspace(0, len(windows.pixels) - 1, min(12, len(windows.pixels))).astype(int):
        strong = np.clip(alpha * strength[index], 0, 0.98)[..., None]
        window = windows.pixels[index].astype(np.float32)
        clean = np.clip((window - strong * colour) / (1 - strong), 0, 255)
        left = ghost_of(np.asarray(clean, np.float32), alpha, colour)
        scores.append(abs(left.score) * min(abs(left.levels) / LEVELS, 1))
    return float(np.median(scores))


def _spread(values: Values) -> float:
    """The standard deviation, by the median: a few samples that hardly show the mark do not decide."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def tested(template: Template, spool: Spool, owners: NDArray[np.intp], on_progress: Progress) -> Template:
    """The template with the figures of its self-test: it is looked for in its own samples, and taken off them."""
    every = np.unique(owners)
    most = _TESTED if template.rule.lattice is None else _TESTED // 2
    some = every[np.unique(np.linspace(0, len(every) - 1, min(len(every), most)).astype(np.intp))]
    found = clean = 0
    for number, index in enumerate(some):
        on_progress("test", number, len(some))
        removal = remove(spool[int(index)], template, noise=_TEST_NOISE)
        found += removal is not None
        clean += removal is not None and not removal.residual
    return replace(template, quality=replace(template.quality, tested=len(some), found=found, clean=clean))


def _judged(template: Template, lying: Lying | None, force: bool) -> list[Caution]:
    """Warnings about a template; ``lying``: where its mark lies, if that is another place in each sample.

    Raises:
        TemplateRefused: there are too few samples that inform, the self-test fails, or the mark may belong to the
            goods, and ``force`` is not set.
    """
    warnings = []
    quality = template.quality
    if lying is not None:
        of_goods = TemplateRefused.of_goods(lying.pictures, lying.over_ground, lying.over_goods, quality.opacity)
        if not lying.laid and not force:
            raise of_goods
        warnings.append(Caution.forced(of_goods) if not lying.laid else Caution.scattered(lying.pictures))
    known = quality.informative
    if known < INFORMATIVE:
        refusal = TemplateRefused.uninformed(known, quality.samples, INFORMATIVE)
        if not force:
            raise refusal
        warnings.append(Caution.forced(refusal))
    if quality.found < _LEAST_FOUND * quality.tested or quality.clean < _LEAST_CLEAN * quality.tested:
        unproven = TemplateRefused.unproven(quality.tested, quality.found, quality.clean)
        if not force:
            raise unproven
        warnings.append(Caution.forced(unproven))
    if quality.z < _DOUBTFUL_Z or quality.ghost > _DOUBTFUL_GHOST:
        warnings.append(Caution.doubtful())
    return warnings

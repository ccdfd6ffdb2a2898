"""From the pictures of a catalogue to the templates of the marks that they share.

``estimate`` is the entry point. It reads each sample once, holds one at a time, and needs no network. It finds who
carries a mark and where, makes the template (:mod:`model.watermark.making`), looks for more carriers and for parts
that it lacks, and tests it on its own samples. Dekel et al., "On the Effectiveness of Visible Watermarks", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.errors import TemplateRefused
from model.watermark import anchored, lacking, scattered, tiled
from model.watermark.beyond import could_show
from model.watermark.caution import Caution
from model.watermark.evidence import groups
from model.watermark.growth import cut, grown
from model.watermark.lying import Lying, lying_of
from model.watermark.making import Made, template_of, widened
from model.watermark.place import place_of
from model.watermark.remove import remove
from model.watermark.samples import Sample, Spool, chosen
from model.watermark.sighting import look
from model.watermark.template import SIDES, Quality, Template
from model.watermark.windows import Placement, Progress, Windows

Values = NDArray[np.float32]

#: Least number of samples, and least number of samples that inform about a pixel (unless forced).
FEWEST, INFORMATIVE = 5, 8
#: A template is doubtful if its edges stand less than this above chance, or if its ghost is stronger than this.
_DOUBTFUL_Z, _DOUBTFUL_GHOST = 4.0, 0.3
#: Most samples of the self-test, the coding error of its pictures, and the least shares of them in which the mark must
#: be found again and no longer show.
_TESTED, _TEST_NOISE, _LEAST_FOUND, _LEAST_CLEAN = 30, 3.0, 0.8, 0.6
#: Most marks that are searched in one set.
_MOST_MARKS = 4
#: Most rounds in which parts that the template lacks are looked for, the least pixels of those, and the context around
#: the template in which they are looked for, in px; half of its extent where that is more.
_COMPLETIONS, _LEAST_LACKING, _LEAST_CONTEXT = 6, 12, 24
#: Most that a mark's opacity changes by its further parts, as a share of it: where its error grows, and where it does
#: not; and most that the error grows.
_SAME_OPACITY, _CERTAIN_OPACITY, _SAME_ERROR = 0.06, 0.12, 1.5
#: Rounds in which the windows are aligned to parts of a pixel.
_ALIGNMENTS = 2


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
        again = template_of(wide, on_progress, widened(known, 2))
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
        known = widened(alpha > 0, 2)
        shown = lacking.Shown(wide.pixels, alpha, colour)
        found = lacking.parts(shown, groups(wide.alike), alpha, colour)
        if (found & ~known).sum() < _LEAST_LACKING:
            break
        again = template_of(wide, on_progress, widened(found, 2) | known)
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

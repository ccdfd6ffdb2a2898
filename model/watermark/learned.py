"""The mark under one painted mask, learned from the pictures that it was painted for.

A mask for a whole catalogue mostly lies over the same mark in each picture. One picture seldom tells the opacity of
each pixel; all of them do. Where a picture shows that mark under its paint, it is taken off by what was learned; other
pictures are repaired as if nothing were known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.cells import extent
from model.repair.ground import Ground
from model.repair.hole import dilate
from model.repair.recovery import Recovery
from model.repair.task import Task, recovered
from model.repair.texture import textured
from model.watermark.estimate import INFORMATIVE, aligned
from model.watermark.growth import cut
from model.watermark.making import template_of
from model.watermark.remove import Method, PreparedMark, finish, prepare
from model.watermark.samples import Spool
from model.watermark.template import Rule, Template
from model.watermark.windows import Placement

Mask = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
#: A picture, ``uint8 [H, W, 3]``, and its paint, ``uint8 [H, W]`` (over half: painted).
Painted = tuple[Pixels, Mask]
#: Left, top, width and height.
Extent = tuple[int, int, int, int]

#: Least pictures from which a mark is learned; more than the second number hardly better it.
FEWEST, ENOUGH = 12, 40
#: Most pixels of the box around the paint, and what is kept around it, in px.
_LARGEST, _AROUND = 400_000, 64
#: Context around the paint in a window, in px.
_CONTEXT = 24
#: Opacity from which on a mark hides the picture, which is then filled as without it.
_OPAQUE = 0.85
#: Quantile of the opacities of a mark's pixels that stands for its body.
_BODY = 0.9
#: Least share of the pictures in which the mark has to be found again, and to show no more; least share of the mark
#: that has to lie under the paint, or this near to it, in px.
_LEAST_CLEAN, _LEAST_INSIDE, _BESIDE = 0.8, 0.95, 4
#: Opacity from which a pixel belongs to the mark. Paint beside the mark is more of it where it differs from the fill
#: towards the mark's colour, this many levels away at least, by this share of the mark's opacity, over so many pixels.
_MARK, _APART, _LIKE_MARK, _LEAST_LACKING = 0.02, 40.0, 0.5, 12
#: Most of the paint that may be so; else the picture is repaired without what was learned.
_MOST_LACKING = 0.2
#: Error of the coding of pictures in the self-test, in levels.
_TEST_NOISE = 3.0


def sample_of(pixels: Pixels, painted: Mask) -> Painted | None:
    """What :func:`learn` needs of a picture: the surroundings of its paint.

    ``None`` without paint, or where it spreads over more than a mark is learned from.
    """
    left, top, wide, tall = _extent(painted)
    if not 0 < wide * tall <= _LARGEST:
        return None
    rows, columns = (
        slice(max(start - _AROUND, 0), start + side + _AROUND) for start, side in ((top, tall), (left, wide))
    )
    return np.ascontiguousarray(pixels[rows, columns]), np.ascontiguousarray(painted[rows, columns])


def learn(samples: Sequence[Painted]) -> Template | None:
    """The template of the mark under the paint; ``None`` where the samples do not surely share a translucent one.

    Those count whose paint has the most frequent size. The template's place is counted from the paint's upper left
    corner (:func:`found`).
    """
    boxes = [_extent(painted) for _, painted in samples]
    sizes = Counter(box[2:] for box in boxes).most_common(1)
    if not sizes or sizes[0][1] < FEWEST:
        return None
    wide, tall = sizes[0][0]
    with Spool() as spool:
        own: list[Painted] = []
        places: list[Placement] = []
        for (pixels, painted), box in zip(samples, boxes, strict=True):
            if box[2:] == (wide, tall) and spool.add(str(len(own)), pixels):
                places.append(Placement(len(own), box[1], box[0], 1.0))
                own.append((pixels, painted))
        if len(own) < FEWEST:
            return None
        height, width = spool.sizes[0]
        rule = Rule("top-left", "pixels", places[0].top, places[0].left, width, height)
        # Where each picture has its paint is known, and no scatter of the mark.
        windows = replace(cut(spool, places, (tall, wide), rule, (_CONTEXT, _CONTEXT)), jitter=0.0)
        # The paint says where the mark may lie: outlines that few pictures show are not needed.
        hole = np.pad(own[0][1] > 127, _AROUND)
        top, left = int(places[0].top) + _AROUND - _CONTEXT, int(places[0].left) + _AROUND - _CONTEXT
        made = template_of(windows, _quietly, hole[top : top + tall + 2 * _CONTEXT, left : left + wide + 2 * _CONTEXT])
        if made is None or made[0].quality.informative < INFORMATIVE:
            return None
        (template, lies), _ = aligned(spool, made, windows, _quietly)
        if _level(template) > _OPAQUE:
            return None
        down, across = lies[0].top - places[0].top, lies[0].left - places[0].left
        template = replace(template, rule=replace(rule, down=down, across=across))
    clean = 0
    for pixels, painted in own:
        prepared = found(template, pixels, painted, noise=_TEST_NOISE)
        clean += prepared is not None and not finish(prepared, None).residual
    quality = replace(template.quality, tested=len(own), found=clean, clean=clean)
    return replace(template, quality=quality) if clean >= _LEAST_CLEAN * len(own) else None


def found(template: Template, pixels: Pixels, painted: Mask, *, noise: float) -> PreparedMark | None:
    """The learned mark in a picture; ``None`` where it does not show it under its paint."""
    left, top, *_ = _extent(painted)
    height, width = pixels.shape[:2]
    rule = replace(
        template.rule,
        down=template.rule.down + top,
        across=template.rule.across + left,
        reference_width=width,
        reference_height=height,
    )
    prepared = prepare(pixels, replace(template, rule=rule), noise=noise)
    if prepared is None:
        return None
    return prepared if _share_inside(prepared, dilate(_flags(painted > 127), _BESIDE)) > _LEAST_INSIDE else None


def recovered_by(template: Template | None, task: Task, filled: Pixels) -> Recovery:
    """:func:`model.repair.task.recovered`, by the learned mark where the picture shows it under its paint."""
    recovery = None if template is None or task.method != "auto" else _recovery(template, task, filled)
    return recovered(task, filled) if recovery is None else textured(recovery, task.hole, task.texture, task.soft)


def _recovery(template: Template, task: Task, filled: Pixels) -> Recovery | None:
    """``None`` where the picture does not show the mark, or would still show it."""
    if task.painted is None or task.soft is not None:
        return None
    prepared = found(template, task.picture.pixels, task.painted, noise=task.noise)
    if prepared is None or _share_inside(prepared, task.hole) < _LEAST_INSIDE:
        return None
    removal = finish(prepared, filled)
    if removal.residual or removal.method in (Method.INPAINTED, Method.UNREMOVED):
        return None
    # Only the surroundings of the hole: pictures may be large.
    left, top, wide, tall = extent(task.hole)
    rows = slice(max(top - _CONTEXT, 0), min(top + tall + _CONTEXT, task.height))
    columns = slice(max(left - _CONTEXT, 0), min(left + wide + _CONTEXT, task.width))
    given, guess = (whole[rows, columns] for whole in (task.picture.pixels, filled))
    hole, paint = np.ascontiguousarray(task.hole[rows, columns]), task.painted[rows, columns] > 127
    alpha = _alpha_in(prepared, rows, columns)
    more = _lacking(template, given, guess, paint & (dilate(_flags(alpha > _MARK), 2) == 0))
    if more.sum() > _MOST_LACKING * paint.sum():
        return None
    plain = Ground(given.astype(np.float32), guess.astype(np.float32), hole, hole, task.noise).plain
    inside = (hole > 0) & ~more & ~plain
    taken = inside & (alpha < _OPAQUE)
    pixels, taken_in = filled.copy(), np.zeros_like(task.hole)
    pixels[rows, columns][inside] = removal.pixels[rows, columns][inside]
    taken_in[rows, columns] = _flags(taken)
    share, opacities = float(taken[paint].mean()), (_level(template) * removal.strength,)
    learned_from = template.quality.samples
    return Recovery(pixels, share, taken=taken_in, opacities=opacities, learned_from=learned_from)


def _alpha_in(prepared: PreparedMark, rows: slice, columns: slice) -> NDArray[np.float32]:
    """The mark's opacity over a window of the picture: ``float32 [h, w]``."""
    down, across = prepared.recovery.view
    alpha = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
    high, low = max(down.start, rows.start), min(down.stop, rows.stop)
    near, far = max(across.start, columns.start), min(across.stop, columns.stop)
    part = prepared.recovery.alpha[high - down.start : low - down.start, near - across.start : far - across.start]
    alpha[high - rows.start : low - rows.start, near - columns.start : far - columns.start] = part
    return alpha


def _lacking(template: Template, given: Pixels, guess: Pixels, beside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Paint beside the learned mark that differs from the fill as more of the mark would: ``bool [h, w]``.

    What most pictures could not show is not in the template.
    """
    own = template.mask > 0
    towards = np.median(template.colour[own], axis=0).astype(np.float32) - guess
    apart = given.astype(np.float32) - guess
    square = np.square(towards).sum(axis=2)
    share = cv2.blur((apart * towards).sum(axis=2) / np.maximum(square, 1), (3, 3))
    like = beside & (share > _LIKE_MARK * _level(template)) & (square > _APART**2)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(_flags(like), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= _LEAST_LACKING
    large[0] = False
    return np.asarray((dilate(_flags(large[labels]), 2) > 0) & beside)


def _level(template: Template) -> float:
    """The opacity of the mark's body: thin letters have hardly any, and much rim."""
    return float(np.quantile(template.alpha[template.mask > 0], _BODY))


def _share_inside(prepared: PreparedMark, region: Mask) -> float:
    """The share of the mark that lies in ``region`` (``uint8 [H, W]``, not 0)."""
    alpha = prepared.recovery.alpha
    return float(alpha[region[prepared.recovery.view] > 0].sum() / max(float(alpha.sum()), 1e-6))


def _flags(flags: NDArray[np.bool_]) -> Mask:
    return np.where(flags, np.uint8(255), np.uint8(0))


def _extent(painted: Mask) -> Extent:
    return extent(_flags(painted > 127))


def _quietly(stage: str, done: int, total: int) -> None:
    """Learning takes seconds: nobody watches its progress."""

"""Cleans a marked file into one of the same kind: every page and frame, without a change outside the marks.

A file without a found mark is returned bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.engine.plan import make_plan
from model.imaging import Limits
from model.imaging.coding import decode
from model.imaging.metadata.provenance import Label
from model.imaging.picture import Document, Page
from model.repair.cutouts import Cutout
from model.repair.hole import Mask
from model.repair.noise import coding_noise
from model.repair.records import MarksRecord
from model.repair.task import Repaired, Task, is_opaque, write
from model.watermark.remove import Fill, Removal, finish, prepare
from model.watermark.template import Template
from model.watermark.transparency import clear

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Cleaned:
    """The outcome for a file."""

    #: The source's own bytes where no mark was found.
    data: bytes
    #: One for each mark found on each page.
    removals: tuple[Removal, ...]
    #: For the image's record.
    record: MarksRecord
    #: The decoded task, and the pixels of its parts without the marks; empty if no mark was found.
    task: Task | None = None
    pixels: tuple[Pixels, ...] = ()

    @property
    def skipped(self) -> bool:
        """Whether no mark was found: nothing changed."""
        return not self.removals

    @property
    def residual(self) -> bool:
        """Whether a mark is still visible."""
        return any(removal.residual for removal in self.removals)


def clean(
    source: bytes,
    templates: Sequence[Template],
    *,
    limits: Limits,
    fill: Fill | None = None,
    output: str | None = None,
    label: Label | None = None,
    decoded: Callable[[bytes, Limits], Document] = decode,
    written: Callable[..., Repaired] = write,
) -> Cleaned:
    """``source`` without the marks of ``templates``.

    ``fill``: the network, called only for pictures whose marks are dense or do not un-blend well. ``decoded`` and
    ``written`` stand for :func:`model.imaging.coding.decode` and :func:`model.repair.task.write`.

    Raises:
        ImageRejected: the picture cannot be worked on.
    """
    document = decoded(source, limits)
    noise = coding_noise(document)
    tasks, results, removals = [], [], []
    for number, page in enumerate(document.pages):
        for view in page.views():
            cleaned = _view_cleaned(view.pixels, page, templates, noise, fill)
            plan = make_plan(cleaned.changed)
            tasks.append(Task(view, cleaned.changed, plan, 0, 0, page=number, cutout=cleaned.cutout))
            results.append(cleaned.pixels)
            removals += cleaned.removals
    if not removals:
        return Cleaned(source, (), {"marks": 0})
    if not any(removal.changed.any() for removal in removals):
        return Cleaned(source, tuple(removals), {"format": document.probe.format, **_record(removals)})
    whole = replace(tasks[0], following=tuple(tasks[1:]), document=document)
    repaired = written(whole, results, output=output, label=label)
    return Cleaned(repaired.data, tuple(removals), {**repaired.record, **_record(removals)}, whole, tuple(results))


@dataclass(frozen=True)
class _CleanedView:
    """A view without the marks."""

    pixels: Pixels
    #: ``uint8 [H, W]``: 255 where pixels may differ.
    changed: Mask
    #: One for each mark.
    removals: list[Removal]
    #: The page's alpha, where a mark was subtracted from it.
    cutout: Cutout | None = None


def _view_cleaned(
    pixels: Pixels, page: Page, templates: Sequence[Template], noise: float, fill: Fill | None
) -> _CleanedView:
    changed, done, cutout = np.zeros(pixels.shape[:2], np.uint8), [], None
    alpha = None if is_opaque(page) else page.samples[..., -1]
    for template in templates:
        cleared = None if alpha is None else clear(page, pixels, alpha, template, noise=noise, fill=fill)
        if cleared is not None:
            pixels, alpha, removal = cleared.pixels, cleared.alpha, cleared.removal
            changed, cutout = np.maximum(changed, cleared.changed), Cutout.of_alpha(alpha)
            done.append(removal)
            continue
        prepared = prepare(pixels, template, noise=noise)
        if prepared is None:
            continue
        wanted = prepared.wants_fill or page.colour == "cmyk"
        removal = finish(prepared, fill(pixels, prepared.hole) if fill is not None and wanted else None)
        pixels, changed = removal.pixels, np.maximum(changed, removal.changed)
        done.append(removal)
    return _CleanedView(pixels, changed, done, cutout)


def _record(removals: Sequence[Removal]) -> MarksRecord:
    return {
        "marks": len(removals),
        "methods": sorted({removal.method.value for removal in removals}),
        "ghost": round(max((abs(removal.ghost) for removal in removals), default=0.0), 4),
        "strength": [round(removal.strength, 3) for removal in removals],
        "shift": [removal.shift for removal in removals],
        "residual_mark": any(removal.residual for removal in removals),
    }

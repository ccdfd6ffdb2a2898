"""Finds text marks in a file and plans its repair, as if the file had come with a mask.

Pages of a document are searched one by one. Of an animation only a few frames are searched: a mark does not move, so
the marks of all searched frames are repaired in every frame.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.engine.costs import Costs
from model.imaging import Limits
from model.imaging.coding import decode
from model.imaging.picture import Document, Page
from model.repair.hole import Mask
from model.repair.marking import marking_of
from model.repair.recovery import Method
from model.repair.task import Task, planned
from model.text.doubt import Doubt, doubts_of
from model.text.reading import Line, TextReader
from model.text.strokes import strokes_of
from model.text.wanted import Wanted

Pixels = NDArray[np.uint8]
#: Most searched frames of an animation.
_FRAMES = 8


@dataclass(frozen=True)
class TextMarks:
    """The marks found in a file. ``task`` is ``None`` where no line is the mark."""

    task: Task | None
    #: Lines of the mark, and the number of all lines, over all searched pages.
    marks: tuple[Line, ...]
    seen: int
    #: Doubts about a repair that fills the whole mask.
    doubts: tuple[Doubt, ...] = ()


def find(
    source: bytes,
    wanted: Wanted,
    reader: TextReader,
    *,
    limits: Limits,
    dilation_px: int | None = None,
    feather_px: int | None = None,
    method: Method = "auto",
    texture: float | None = None,
    costs: Costs | None = None,
    decoded: Callable[[bytes, Limits], Document] = decode,
    step: Callable[[], AbstractContextManager[None]] = nullcontext,
    on_page: Callable[[], None] = lambda: None,
) -> TextMarks:
    """Decode ``source``, find the lines of text that are ``wanted``, and plan their repair.

    ``decoded`` stands for :func:`model.imaging.coding.decode`. ``step`` is entered for each searched page; ``on_page``
    is called before each, and may raise.

    Raises:
        ImageRejected: the picture cannot be worked on.
    """
    document = decoded(source, limits)
    marks: list[Line] = []
    masks: list[Mask] = []
    doubts: set[Doubt] = set()
    seen = 0
    for page in _looked_at(document):
        on_page()
        with step():
            pixels = _as_seen(page)
            lines = reader.find(pixels)
            placed = wanted.placed(lines, width=page.width, height=page.height)
            chosen = wanted.saying(reader.read(pixels, placed))
            strokes = strokes_of(pixels, chosen)
            masks.append(strokes.mask)
            doubts.update(doubts_of(pixels, chosen, strokes))
        seen += len(lines)
        marks += chosen
    if not any(mask.any() for mask in masks):
        return TextMarks(None, (), seen)
    painted = [np.maximum.reduce(masks)] if _animated(document) else masks
    marked = [marking_of(mask, dilation_px, feather_px, costs) for mask in painted]
    by_page = {id(page): marked[min(number, len(marked) - 1)] for number, page in enumerate(document.pages)}
    task = planned(document, lambda page: by_page[id(page)], method=method, texture=texture, costs=costs)
    return TextMarks(task, tuple(marks), seen, tuple(sorted(doubts)))


def _animated(document: Document) -> bool:
    """Whether the pages are frames of one size."""
    return len(document.pages) > 1 and document.probe.format != "TIFF"


def _looked_at(document: Document) -> list[Page]:
    pages = list(document.pages)
    if not _animated(document) or len(pages) <= _FRAMES:
        return pages
    return [pages[round(place)] for place in np.linspace(0, len(pages) - 1, _FRAMES)]


def _as_seen(page: Page) -> Pixels:
    """``uint8 [H, W, 3]``; an approximation of the colours for a CMYK page."""
    first, *black = (view.pixels for view in page.views())
    for other in black:
        first = (first.astype(np.uint16) * other // 255).astype(np.uint8)
    return first

"""A picture with a known mark: un-blended by its templates, filled by the network where that is better.

A picture without the mark is ``skipped`` with its source as the result. A picture whose mark still shows fails, or is
flagged, as its job says.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cleanplate.base.image_records import ImageRecord
from model.engine.plan import make_plan
from model.formats import READ
from model.imaging import Limits
from model.imaging.coding import decode
from model.imaging.metadata.provenance import Label
from model.imaging.picture import Picture
from model.repair.hole import Mask
from model.repair.preview import preview
from model.repair.task import Task, write
from model.watermark.files import clean
from model.watermark.template import Template
from storage.records import LeasedImage
from workers.device.coders.pool import Coding
from workers.device.coders.work import method_of
from workers.device.images.image_context import ImageContext
from workers.device.images.outcomes import ResultFile
from workers.device.networks import ffc_lambda_of
from workers.errors import ResidualMark, TemplateGone

if TYPE_CHECKING:
    from model.engine.inpainter import LaMaInpainter  # brings torch

Pixels = NDArray[np.uint8]
#: Templates in the cache.
_CACHED = 4


class TemplateCache:
    """Templates by their files' keys, read once. ``templates_of`` may be called from any thread."""

    def __init__(self, get: Callable[[str], bytes]) -> None:
        self._get = get
        self._lock = threading.Lock()
        self._read: OrderedDict[str, Template] = OrderedDict()

    def templates_of(self, image: LeasedImage) -> list[Template]:
        """The templates of an image, in their order.

        Raises:
            TemplateGone: one was deleted.
            StorageError: the blob store does not hand the file over.
        """
        return [self._template(used.id, used.file_key) for used in image.templates]

    def _template(self, template_id: str, key: str) -> Template:
        if not key:
            raise TemplateGone(template_id)
        with self._lock:
            if key not in self._read:
                self._read[key] = Template.from_bytes(self._get(key))
            self._read.move_to_end(key)
            while len(self._read) > _CACHED:
                self._read.popitem(last=False)
            return self._read[key]


class NetworkFill:
    """The network as the fill of an un-blended picture: reports progress, and can be stopped between two tiles."""

    def __init__(self, inpainter: LaMaInpainter, context: ImageContext, on_tile: Callable[[int, int], None]) -> None:
        self._inpainter = inpainter
        self._context = context
        self._on_tile = on_tile

    def __call__(self, pixels: Pixels, hole: Mask) -> Pixels:
        self._context.network = self._inpainter
        task = Task(Picture(pixels), hole, make_plan(hole, self._inpainter.costs), 0, 0)
        before = self._context.tiles
        total = before + task.tiles_total

        def on_tile(done: int) -> None:
            self._on_tile(before + done, total)

        with self._context.timed("network"):
            options = self._context.image.options
            filled = self._inpainter.run(
                task, on_tile, on_note=self._context.notes.add, ffc_lambda=ffc_lambda_of(options)
            )
        self._context.tiles = total
        return filled


def remove_marks(
    context: ImageContext,
    source: bytes,
    templates: list[Template],
    fill: NetworkFill,
    *,
    limits: Limits,
    coding: Coding,
) -> ResultFile:
    """Remove the templates' marks from the picture.

    Raises:
        ImageRejected: the source is no picture that can be worked on.
        ResidualMark: a mark still shows, and the job does not want such a result.
    """
    options = context.image.options
    facts = context.known_facts
    label = Label(context.image.job_id, method_of("", unblended=True), datetime.now(UTC)) if options.label else None
    cleaned = clean(
        source,
        templates,
        limits=limits,
        fill=fill,
        output=options.output,
        label=label,
        decoded=lambda data, limits: coding.run(decode, context.nbytes, data, limits),
        written=lambda task, pixels, **how: coding.run(write, context.nbytes, task, pixels, **how),
    )
    if cleaned.residual and options.residual_mark == "fail":
        raise ResidualMark(max(abs(removal.ghost) for removal in cleaned.removals))
    result_format = READ[facts.format if cleaned.skipped else cleaned.record["format"]]
    used_templates = [used.id for used in context.image.templates]
    return ResultFile(
        data=cleaned.data,
        content_type=result_format.content_type,
        extension=result_format.ending,
        width=facts.width,
        height=facts.height,
        record=ImageRecord(
            **cleaned.record,
            method=method_of(context.network_words, unblended=True),
            templates=used_templates,
            template=used_templates[0],
        ),
        preview=None
        if cleaned.task is None
        else coding.run(preview, context.nbytes, cleaned.task, list(cleaned.pixels)),
        changed=not cleaned.skipped,
    )

"""A picture with a known mark: un-blended by its templates, filled by the network where that is better.

What becomes of it is said here once: no mark is ``skipped`` with the source itself as the result, a mark that still
shows fails or is flagged as its job says.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.engine.plan import make_plan
from model.formats import READ
from model.imaging import Limits, Probe, probe
from model.imaging.picture import Picture
from model.masks import Mask
from model.preview import Preview, preview
from model.repair import Task
from model.watermark.files import Cleaned, clean
from model.watermark.template import Template
from storage.records import ImageState, LeasedImage, Outcome
from workers.device.images.image_context import ImageContext, label_of, sha256
from workers.errors import ResidualMark, TemplateGone

if TYPE_CHECKING:
    from model.engine.inpainter import LaMaInpainter  # brings torch

Pixels = NDArray[np.uint8]
#: Templates that are kept.
_KEPT = 4


class Templates:
    """Templates by their files' keys, read once. ``of`` may be called from any thread."""

    def __init__(self, get: Callable[[str], bytes]) -> None:
        self._get = get
        self._lock = threading.Lock()
        self._read: OrderedDict[str, Template] = OrderedDict()

    def of(self, image: LeasedImage) -> list[Template]:
        """Those of an image, in their order.

        Raises:
            TemplateGone: one was deleted.
            StorageError: as the blob store does.
        """
        return [self._one(used.id, used.file_key) for used in image.templates]

    def _one(self, template_id: str, key: str) -> Template:
        if not key:
            raise TemplateGone(template_id)
        with self._lock:
            if key not in self._read:
                self._read[key] = Template.from_bytes(self._get(key))
            self._read.move_to_end(key)
            while len(self._read) > _KEPT:
                self._read.popitem(last=False)
            return self._read[key]


class Filling:
    """The network as a fill, which says how far it is and is stopped between two tiles."""

    def __init__(self, inpainter: LaMaInpainter, context: ImageContext, on_tile: Callable[[int, int], None]) -> None:
        self._inpainter = inpainter
        self._passage = context
        self._on_tile = on_tile

    def __call__(self, pixels: Pixels, hole: Mask) -> Pixels:
        self._passage.network = self._inpainter
        task = Task(Picture(pixels), hole, make_plan(hole, self._inpainter.costs), 0, 0)
        before = self._passage.tiles
        total = before + task.tiles_total

        def on_tile(done: int) -> None:
            self._on_tile(before + done, total)

        with self._passage.timed("network"):
            filled = self._inpainter.run(task, on_tile, on_note=self._passage.notes.add)
        self._passage.tiles = total
        return filled


@dataclass(frozen=True)
class Unblended:
    """A finished file, with the form of its source."""

    cleaned: Cleaned
    source: Probe
    #: Where something has changed.
    small: Preview | None

    @property
    def data(self) -> bytes:
        return self.cleaned.data

    @property
    def content_type(self) -> str:
        return READ[self._format].content_type

    @property
    def extension(self) -> str:
        """With its dot."""
        return READ[self._format].ending

    @property
    def _format(self) -> str:
        return self.source.format if self.cleaned.skipped else str(self.cleaned.record["format"])


def unblended(
    context: ImageContext, source: bytes, templates: list[Template], fill: Filling, limits: Limits
) -> Unblended:
    """The picture without the marks. Raises ImageRejected, ResidualMark."""
    options = context.image.options
    label = label_of(context) if options.label else None
    cleaned = clean(source, templates, limits=limits, fill=fill, output=options.output, label=label)
    if cleaned.residual and options.residual_mark == "fail":
        raise ResidualMark(max(abs(removal.ghost) for removal in cleaned.removals))
    small = preview(cleaned.task, cleaned.pixels) if cleaned.task is not None else None
    return Unblended(cleaned, probe(source, limits), small)


def ended(context: ImageContext, result: Unblended, key: str, worker: str) -> Outcome:
    """The outcome of a picture whose result lies under ``key``."""
    about = {
        **result.cleaned.record,
        "method": context.method,
        "templates": [used.id for used in context.image.templates],
        "template": context.image.templates[0].id,
        "worker": worker,
        "device_notes": sorted(context.notes),
        "sha256": {**context.sha256, "result": sha256(result.data)},
        "seconds": {stage: round(seconds, 4) for stage, seconds in context.seconds.items()},
    }
    if context.network is not None:
        about |= {"device": context.network.device, "precision": context.network.precision}
    if result.small is not None:
        about["preview"] = {"width": result.small.width, "height": result.small.height}
    return Outcome(
        image_id=context.image.id,
        state=ImageState.SKIPPED if result.cleaned.skipped else ImageState.SUCCEEDED,
        result_key=key,
        content_type=result.content_type,
        width=result.source.width,
        height=result.source.height,
        tiles_done=context.tiles,
        record=about,
    )

"""What a coder may be asked for: all work of a device's process that reads or writes a picture's file.

Imports no torch, and nothing of the project but ``model``: a coder knows no ledger, no store and no secret.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.imaging import Limits, probe, probe_mask
from model.imaging.coding import decode
from model.imaging.mask_files import MAX_MARKED_SHARE, decode_mask, pixel_mask
from model.imaging.metadata.provenance import Label
from model.imaging.placing import Placement
from model.repair.marking import Markings
from model.repair.preview import Preview, preview
from model.repair.records import RecoveryRecord
from model.repair.recovery import recovery_record
from model.repair.task import Repaired, Task, composite, is_opaque, read, write
from model.watermark.learned import Painted, learn, recovered_by, sample_of
from model.watermark.template import Template

#: Masks that many pictures share, decoded and planned once in each process.
_markings = Markings()


@dataclass(frozen=True)
class Finished:
    """A picture's file after its repair."""

    repaired: Repaired
    preview: Preview
    #: What was recovered of the picture below the mark; empty where all was filled.
    recovery: RecoveryRecord
    #: The steps of the repair, in words for the image's owner.
    method: str


@dataclass(frozen=True)
class Wishes:
    """How a result is written: see :func:`model.repair.task.write`."""

    output: str | None = None
    #: The network that filled the hole, in words.
    network: str = ""
    #: The job that a label of origin names; empty: the file gets none.
    labelled_job: str = field(default="")
    #: The mark that the job's pictures share under its mask, where they told one.
    learned: Template | None = field(default=None)


def read_sharing(source: bytes, mask: bytes, **options: Any) -> Task:
    """:func:`model.repair.task.read`, with the masks of the pictures before."""
    return read(source, mask, markings=_markings, **options)


def read_sample(
    source: bytes,
    mask: bytes,
    *,
    limits: Limits,
    mask_inverted: bool,
    mask_threshold: int | None,
    max_marked_share: float | None,
    placement: Placement | None,
) -> Painted | None:
    """A picture's part for :func:`model.watermark.learned.learn`; ``None`` where it cannot tell anything.

    Raises:
        ImageRejected, MaskRejected: the picture cannot be worked on, or the mask does not fit it.
    """
    page = decode(source, limits).pages[0]
    views = page.views()
    if len(views) > 1 or not is_opaque(page):
        return None
    painted = decode_mask(
        mask,
        limits,
        width=page.width,
        height=page.height,
        inverted=mask_inverted,
        threshold=mask_threshold,
        max_marked_share=MAX_MARKED_SHARE if max_marked_share is None else max_marked_share,
        placement=placement,
    )
    return sample_of(views[0].pixels, painted)


def finish(task: Task, fills: list[NDArray[np.uint8]], wishes: Wishes) -> Finished:
    """Lay the network's ``fills`` (``uint8 [H, W, 3]``, one for each part) into the picture, recover, write, preview.

    Raises as :func:`model.repair.task.write`.
    """
    recoveries = [
        recovered_by(wishes.learned, part, composite(part, fill)) for part, fill in zip(task.parts, fills, strict=True)
    ]
    pixels = [recovery.pixels for recovery in recoveries]
    method = method_of(wishes.network, unblended=any(recovery.every_opacity for recovery in recoveries))
    label = Label(wishes.labelled_job, method, datetime.now(UTC)) if wishes.labelled_job else None
    repaired = write(task, pixels, output=wishes.output, label=label)
    return Finished(repaired, preview(task, pixels), recovery_record(recoveries), method)


def method_of(network: str, *, unblended: bool) -> str:
    """The steps of a repair, in words for the image's owner; ``network`` is empty where none took part."""
    return ", ".join(step for step in ("un-blending" if unblended else "", network) if step)


def rehearse() -> None:
    """Do the work on a small picture, so that what libraries load at their first use is there."""
    Image.init()
    pixels, mask = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    pixels[::3], mask[24:40, 24:40] = 200, 255
    files = [io.BytesIO(), io.BytesIO()]
    Image.fromarray(pixels).save(files[0], "JPEG")
    Image.fromarray(mask).save(files[1], "PNG")
    source, painted = (file.getvalue() for file in files)
    task = read_sharing(source, painted, limits=Limits(1 << 20, 1 << 20))
    finish(task, [255 - part.picture.pixels for part in task.parts], Wishes())


#: By name.
WORK: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        probe,
        probe_mask,
        pixel_mask,
        decode_mask,
        decode,
        read_sample,
        learn,
        read_sharing,
        finish,
        write,
        preview,
    )
}

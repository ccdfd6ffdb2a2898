"""One picture from bytes to bytes in three steps that different threads may take: ``read``, the network, ``write``.

``read`` and ``write`` are pure CPU work and import no torch; between them
:class:`model.engine.inpainter.LaMaInpainter` runs on each of a task's ``parts``: the frames of an animation, the
pages of a document, the two views of a CMYK page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.engine.costs import Costs
from model.engine.plan import Plan, make_plan
from model.errors import MaskRejected
from model.formats import OUTPUTS, READ
from model.imaging import Limits
from model.imaging.coding import decode, encode
from model.imaging.converting import convert
from model.imaging.formats.sizing import LEAST_DB
from model.imaging.mask_files import MAX_MARKED_SHARE, check_fit, decode_mask
from model.imaging.metadata.provenance import COMPOSITE, Label, labelled
from model.imaging.metadata.reading import has_c2pa, xmp_of
from model.imaging.picture import Document, Edit, Page, Picture, Written
from model.imaging.placing import Placement
from model.imaging.side_pictures import left_out, sentence, without_promises
from model.repair import cutouts
from model.repair.cutouts import Cutout
from model.repair.hole import Mask, lay
from model.repair.marking import Marking, Markings, marking_of
from model.repair.noise import coding_noise
from model.repair.reach import fitted_hole
from model.repair.records import RepairRecord
from model.repair.recovery import UNKNOWN_NOISE, Method, Recovery, recover
from model.repair.seam import keep_flat
from model.repair.texture import DEFAULT_TEXTURE, textured

Pixels = NDArray[np.uint8]
#: Growth of a file that is coded again from which on its record says why.
_TOLD_GROWTH = 1.1


@dataclass(frozen=True)
class Task:
    """A picture that is ready for the network: the first of its ``parts``."""

    picture: Picture
    #: ``uint8 [H, W]``: the widened mask, which the network fills. Nothing outside it changes.
    hole: Mask
    plan: Plan
    dilation_px: int
    feather_px: int
    #: Where the mask was painted softly: the strength with which the fill is laid in.
    soft: Mask | None = None
    #: The mask as painted, and the way in which it is repaired. Without ``painted`` everything is filled.
    painted: Mask | None = None
    method: Method = "fill"
    #: How much of the picture's own texture is copied into the fill, 0 to 1.
    texture: float = 0.0
    #: Error of the picture's coding, in levels.
    noise: float = UNKNOWN_NOISE
    #: The number of its page in the file.
    page: int = 0
    #: The repair of the page's alpha, at the first of its parts; where it has a hole, the last part fills that.
    cutout: Cutout | None = None
    #: Further frames, pages or views, each with its own plan.
    following: tuple[Task, ...] = ()
    #: The file it came from; ``None`` for pictures that never were files.
    document: Document | None = None

    @property
    def parts(self) -> tuple[Task, ...]:
        """All parts for the network, in order."""
        return (replace(self, following=()), *self.following)

    @property
    def height(self) -> int:
        return int(self.hole.shape[0])

    @property
    def width(self) -> int:
        return int(self.hole.shape[1])

    @property
    def tiles_total(self) -> int:
        """Of all parts."""
        return self.plan.tiles_total + sum(part.plan.tiles_total for part in self.following)

    @property
    def nbytes(self) -> int:
        """Memory it holds, in bytes."""
        held = self.picture.pixels.nbytes + self.hole.nbytes + sum(part.nbytes for part in self.following)
        if self.document is not None:
            held += len(self.document.data) + sum(page.samples.nbytes for page in self.document.pages)
        return held


@dataclass(frozen=True)
class Repaired:
    """A finished file."""

    data: bytes
    content_type: str
    #: With its dot: ``.jpg``.
    extension: str
    #: Facts of the repair, for the image's record.
    record: RepairRecord
    #: Seconds that reading the file back took.
    read_back_s: float = 0.0


def read(
    source: bytes,
    mask: bytes,
    *,
    limits: Limits,
    dilation_px: int | None = None,
    feather_px: int | None = None,
    mask_inverted: bool = False,
    mask_threshold: int | None = None,
    max_marked_share: float | None = None,
    placement: Placement | None = None,
    method: Method = "auto",
    texture: float | None = None,
    costs: Costs | None = None,
    markings: Markings | None = None,
) -> Task:
    """Decode a file and its mask and plan the work. ``dilation_px`` ``None``: by what the picture shows of the mark.

    ``placement``: how a mask that was drawn on a picture of another shape is laid on this one.
    ``mask_threshold`` and ``max_marked_share`` (``None``: 0.9): see :func:`model.imaging.mask_files.decode_mask`.

    ``method``: see :func:`model.repair.recovery.recover`. ``texture`` (``None``: 1): how much of the picture's own
    texture is copied into the fill. ``costs``: of the network and device that will do it; the
    plan is the cheapest by them. ``markings``: those of pictures before, for one that has the same mask.

    Raises:
        ImageRejected: the picture cannot be worked on.
        MaskRejected: the mask does not fit it.
    """
    document = decode(source, limits)
    first = document.pages[0]

    share = MAX_MARKED_SHARE if max_marked_share is None else max_marked_share
    markings = Markings() if markings is None else markings

    def marking_for(width: int, height: int) -> Marking:
        def make() -> Marking:
            painted = decode_mask(
                mask,
                limits,
                width=width,
                height=height,
                inverted=mask_inverted,
                threshold=mask_threshold,
                max_marked_share=share,
                placement=placement,
            )
            return marking_of(painted, dilation_px, feather_px, costs)

        read_by = (mask, mask_inverted, mask_threshold, share, placement, limits)
        return markings.get((width, height, *read_by, dilation_px, feather_px, costs), make)

    known = {first.samples.shape[:2]: marking_for(first.width, first.height)}

    def marking_on(page: Page) -> Marking:
        size = page.samples.shape[:2]
        if size not in known:
            if placement is not None:
                known[size] = marking_for(page.width, page.height)
            else:
                check_fit((first.width, first.height), width=page.width, height=page.height)
                drawn = Image.fromarray(known[first.samples.shape[:2]].painted)
                scaled = drawn.resize((page.width, page.height), Image.Resampling.BILINEAR)
                if page.width < first.width:
                    # A copy that is for looking through: strokes thinner than its pixels show in them all the same.
                    scaled = scaled.point(lambda value: 255 if value else 0)
                known[size] = marking_of(np.array(scaled, np.uint8), dilation_px, feather_px, costs)
        return known[size]

    task = planned(document, marking_on, method=method, texture=texture, costs=costs)
    if not all(part.hole.any() for part in task.parts):
        raise MaskRejected("mask_empty", "The mask is too fine for a page of the image: send it in its size.")
    return task


def planned(
    document: Document,
    marking_on: Callable[[Page], Marking],
    *,
    method: Method = "auto",
    texture: float | None = None,
    costs: Costs | None = None,
) -> Task:
    """The work on a decoded file; ``marking_on`` gives the marking of each page, whose hole may be empty for some."""
    tasks: list[Task] = []
    noise = coding_noise(document)
    for number, page in enumerate(document.pages):
        marking = marking_on(page)
        hole, soft, reach, feather = marking.hole, marking.soft, marking.dilation_px, marking.feather_px
        views = cutouts.views(page, hole) if page.alpha else page.views()
        # The two views of a CMYK page, and colours under transparency, are no picture in which a mark was blended.
        blended = len(views) == 1 and is_opaque(page)
        chosen: Method = method if blended else "fill"
        copied = (DEFAULT_TEXTURE if texture is None else texture) if blended else 0.0
        plan = marking.plan
        if blended and marking.is_fitted:
            hole, reach = fitted_hole(views[0].pixels, marking.painted)
            hole.flags.writeable = False
            feather = 0
            if (hole > marking.hole).any():
                plan = make_plan(hole, costs)
        parts = [
            Task(view, hole, plan, reach, feather, soft, marking.painted, chosen, copied, noise, page=number)
            for view in views
        ]
        if page.alpha:
            cutout = cutouts.cutout_of(page, marking.painted, hole)
            parts[0] = replace(parts[0], cutout=cutout)
            if cutout.hole.any():
                crossed = make_plan(cutout.hole, costs)
                parts.append(Task(cutout.view, cutout.hole, crossed, reach, feather, soft, page=number))
        tasks += parts
    return replace(tasks[0], following=tuple(tasks[1:]), document=document)


def is_opaque(page: Page) -> bool:
    """Whether every pixel of the page is opaque."""
    return not page.alpha or bool((page.samples[..., -1] == np.iinfo(page.samples.dtype).max).all())


def fill_parts(
    task: Task, run: Callable[[Task, Callable[[int], None]], Pixels], on_tile: Callable[[int], None]
) -> list[Pixels]:
    """``run`` (an inpainter's) on each part of ``task``; ``on_tile`` is called with the finished tiles of all."""
    results: list[Pixels] = []
    done = 0
    for part in task.parts:
        before = done
        results.append(run(part, lambda count, before=before: on_tile(before + count)))  # type: ignore[misc]
        done += part.plan.tiles_total
    return results


def composite(task: Task, fill: Pixels) -> Pixels:
    """``fill`` (``uint8 [H, W, 3]``) laid into the picture under the feathered hole; outside it nothing changes."""
    return lay(task.picture.pixels, fill, task.hole, task.feather_px, task.soft)


def recovered(task: Task, filled: Pixels) -> Recovery:
    """``filled``, the composite of a task's first part, with what the picture has for it.

    Pixels are recovered from below the mark where they can be, and the others get the picture's texture.
    """
    if task.painted is None:
        return Recovery(filled, 0.0)
    found = recover(task.picture.pixels, filled, task.painted, task.hole, method=task.method, noise=task.noise)
    return textured(found, task.hole, task.texture, task.soft)


def write(
    task: Task, pixels: Pixels | Sequence[Pixels], *, output: str | None = None, label: Label | None = None
) -> Repaired:
    """The results (``uint8 [H, W, 3]``, one for each of the task's parts) as a file of the source's kind.

    ``output``: another format (``jpeg``, ``png``, ``webp``, ``avif``, ``tiff``). ``label``: the label of
    origin to write into the file.

    Raises:
        ImageRejected: the picture cannot be had in the format that ``output`` names.
        ResultDiffers: the file, read back, is not what was to be written.
    """
    document = task.document
    if document is None:
        raise ValueError("a task without a file cannot be written to one")
    edits = _edits(task, document, [pixels] if isinstance(pixels, np.ndarray) else list(pixels))
    source_format = document.probe.format
    target = OUTPUTS[output].name if output else source_format
    xmp = labelled(xmp_of(document.data, source_format), label) if label else None
    side_pictures = left_out(document.data, source_format)
    if target == source_format:
        written = encode(document, edits, xmp)
    else:
        own = xmp if xmp is not None else xmp_of(document.data, source_format)
        xmp = without_promises(own, side_pictures) if own is not None and side_pictures else xmp
        written = replace(convert(document, edits, target, xmp), left_out=side_pictures)
    record: RepairRecord = {
        "format": target,
        "written": written.how,
        "regions": len(task.plan.regions),
        "tiles": task.tiles_total,
        "dilation_px": task.dilation_px,
        "feather_px": task.feather_px,
        "masked_share": round(float(np.count_nonzero(task.hole)) / task.hole.size, 6),
        "c2pa": has_c2pa(document.data, source_format),
    }
    if written.left_out:
        record["left_out"] = list(written.left_out)
    if written.similarity_db is not None and math.isfinite(written.similarity_db):
        record["outside_db"] = round(written.similarity_db, 1)
    if written.how == "recoded":
        record["size_ratio"] = round(len(written.data) / len(document.data), 3)
    grown = _growth(document, written)
    reasons = [reason for reason in (document.mended, written.reason, grown, sentence(side_pictures)) if reason]
    if any((edit.samples[..., -1] != page.samples[..., -1]).any() for page, edit in _pages_with_alpha(document, edits)):
        record["alpha"] = "repaired"
    elif _kept_alpha(task, document):
        record["alpha"] = "kept"
        reasons.append("Transparency under the mark is kept as it was.")
    if label and COMPOSITE.encode() not in (xmp_of(written.data, target) or b""):
        reasons.append("The label finds no place in the file.")
    if reasons:
        record["reason"] = " ".join(reasons)
    if document.probe.frames > 1:
        record["frames"] = document.probe.frames
    return Repaired(written.data, READ[target].content_type, READ[target].ending, record, written.read_back_s)


def _edits(task: Task, document: Document, results: list[Pixels]) -> list[Edit]:
    """The results as the file's own samples, page by page."""
    edits: list[Edit] = []
    parts = list(zip(task.parts, results, strict=True))
    for number, page in enumerate(document.pages):
        own = [(part, result) for part, result in parts if part.page == number]
        first, hole = own[0][0], own[0][0].hole
        samples = page.repaired([result for _, result in own], hole)
        if samples.dtype == np.uint16:
            # 8 bits of the network do not name a flat background's 16.
            samples = keep_flat(page.samples, samples, hole)
        if first.cutout is not None:
            alpha = first.cutout.filled(own[-1][1] if first.cutout.hole.any() else None)
            samples = cutouts.with_alpha(page, samples, alpha)
        edits.append(Edit(samples, hole))
    return edits


def _growth(document: Document, written: Written) -> str:
    """What the bound on the loss costs, in words; empty where the file hardly grows."""
    ratio = len(written.data) / len(document.data)
    if written.how != "recoded" or ratio <= _TOLD_GROWTH:
        return ""
    return f"It is {ratio:.1f} times as large as its source, to keep {LEAST_DB:.0f} dB to it outside the mask."


def _pages_with_alpha(document: Document, edits: list[Edit]) -> list[tuple[Page, Edit]]:
    return [(page, edit) for page, edit in zip(document.pages, edits, strict=True) if page.alpha]


def _kept_alpha(task: Task, document: Document) -> bool:
    """Whether a page is transparent under a mark that was un-blended, which leaves alpha as it is."""
    firsts = {part.page: part for part in reversed(task.parts)}
    return any(
        page.alpha
        and firsts[number].cutout is None
        and bool((page.samples[..., -1] < np.iinfo(page.samples.dtype).max)[firsts[number].hole > 0].any())
        for number, page in enumerate(document.pages)
    )

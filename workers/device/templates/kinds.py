"""The ways to a template: a mask's file, a logo with alpha, pictures that share a mark, known or not."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cleanplate.base.masks import LogoPlace
from cleanplate.base.templates import MarkPlace, TemplateQuality, TemplateWarning
from model.errors import ModelError
from model.imaging import Limits, probe, probe_mask
from model.imaging.coding import decode
from model.imaging.mask_files import decode_mask, pixel_mask
from model.imaging.memory import bounded
from model.watermark.estimate import estimate
from model.watermark.frames import ANCHORS
from model.watermark.known import from_logo, from_mark
from model.watermark.remove import remove
from model.watermark.samples import Sample, chosen
from model.watermark.template import Quality, Rule, Template
from storage.blobs.base import Blobs
from storage.errors import BlobNotFound
from storage.records import EstimateSpec, LeasedTemplate, LogoSpec, MadeTemplate, MaskSpec, SampleSource
from workers.device.activity import Activity
from workers.device.coders.pool import Coding
from workers.device.images.fetching import Fetcher
from workers.device.templates.confidence import confidence
from workers.errors import CoderLost, SourceError, TemplateUnmade

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]

#: Pictures shown before and after, pictures tried for them, and the longest side of all previews in px.
_EXAMPLES, _CANDIDATES, _SIDE = 6, 24, 640
#: Longest side of a logo, in px.
_LONGEST_LOGO = 8192
#: Error of the opacity of a given logo, and the coding error of a picture that is only shown.
_GIVEN_ERROR, _SHOWN_NOISE = 0.01, 3.0
#: Memory of a mask's decoding.
_BYTES_A_PIXEL = 18


@dataclass(frozen=True)
class TemplateContext:
    """The needs of making a template. An error that ``on_progress`` raises ends the work."""

    fetcher: Fetcher
    blobs: Blobs
    limits: Limits
    activity: Activity
    coding: Coding
    on_progress: Callable[[str, int, int], None]


def make_from_mask(template: LeasedTemplate, spec: MaskSpec, context: TemplateContext) -> MadeTemplate:
    """Make a template of a mask's file, which is kept unchanged. Raises MaskRejected."""
    data = _fetch(template.sources[0], context)
    facts = context.coding.run(probe_mask, len(data), data, context.limits)
    previews = {}
    if facts.content_type != "application/json" and facts.size is not None:
        memory = len(data) + _BYTES_A_PIXEL * math.prod(facts.size)
        previews["mask"] = Image.fromarray(context.coding.run(pixel_mask, memory, data, context.limits))
    key = f"{_folder(template.tenant_id, template.id)}mask"
    context.blobs.put(key, data, content_type=facts.content_type)
    shown = _store_previews(template.tenant_id, template.id, previews, context)
    return MadeTemplate(
        id=template.id,
        place=spec.place,
        samples=0,
        quality=None,
        confidence=1.0,
        warnings=[],
        file_key=key,
        previews=shown,
    )


def make_from_logo(template: LeasedTemplate, spec: LogoSpec, context: TemplateContext) -> MadeTemplate:
    """Make a template of a picture with alpha, placed as its owner says.

    Raises:
        ImageRejected: the file is no picture.
        TemplateUnmade: the picture has no alpha, or marks nothing.
    """
    own, colour = _logo(template.sources[0], context)
    alpha = np.asarray(own * np.float32(spec.place.opacity), np.float32)
    mask = np.where(alpha > 0.5 * alpha.max(), 255, 0).astype(np.uint8)
    made = Template(alpha, colour, mask, _rule_of(spec.place, *alpha.shape), _quality_of_given(alpha, mask))
    return _store(template, template.id, _Made(made), context)


def make_from_pictures(template: LeasedTemplate, spec: EstimateSpec, context: TemplateContext) -> list[MadeTemplate]:
    """Find the marks that pictures share, the most frequent first: the template itself, then ``<id>-2`` and so on.

    Where the spec shows the mark, as a logo or painted over in a picture, that one is looked for.

    Raises:
        TemplateRefused: too few pictures, or no mark.
        ImageRejected, MaskRejected, TemplateUnmade: the logo, or the painted picture or its mask, cannot be used.
        StorageError, SourceError: pictures cannot be fetched at present.
    """
    unreadable: dict[str, str] = {}

    def load(source: SampleSource) -> Pixels | None:
        try:
            return _fetch_pixels(source, context)
        except BlobNotFound:
            unreadable[source.name] = "The file is gone."
        except (ModelError, SourceError, CoderLost) as error:
            if isinstance(error, SourceError) and error.transient:
                raise
            unreadable[source.name] = str(error)
        return None

    shows = {source.source_key for source in template.known}
    samples = [
        Sample(source.name, lambda source=source: load(source))  # type: ignore[misc]
        for source in template.sources
        if not source.source_key or source.source_key not in shows
    ]
    if spec.logo_upload_id is not None:
        estimated = from_logo(*_logo(template.known[0], context), samples, on_progress=context.on_progress)
    elif spec.painted is not None:
        picture, mask = _painted(template.known, context)
        estimated = from_mark(picture, mask, samples, on_progress=context.on_progress)
        samples.insert(0, Sample(template.known[0].name, lambda: picture))
    else:
        estimated = estimate(samples, force=spec.force, on_progress=context.on_progress)
    warnings = [TemplateWarning(code=one.code, params=one.params, detail=str(one)) for one in estimated.warnings]
    if unreadable:
        warnings.append(unreadable_warning(unreadable))
    shown = _before_and_after(samples, estimated.templates, context)
    made = [_Made(one, warnings, pictures) for one, pictures in zip(estimated.templates, shown, strict=True)]
    ids = [template.id, *(f"{template.id}-{number}" for number in range(2, len(made) + 1))]
    return [_store(template, template_id, one, context) for template_id, one in zip(ids, made, strict=True)]


def unreadable_warning(reasons: dict[str, str]) -> TemplateWarning:
    """The warning about pictures that could not be read, with the reasons of the first."""
    first = list(reasons.items())[:3]
    sentences = " ".join(f"{name}: {reason}" for name, reason in first)
    return TemplateWarning(
        code="samples_unreadable",
        params={"count": len(reasons), "names": ", ".join(name for name, _ in first)},
        detail=f"Pictures that could not be read: {len(reasons)}. {sentences}",
    )


def _logo(source: SampleSource, context: TemplateContext) -> tuple[Values, Values]:
    """Opacity (``float32 [h, w]``, 0 to 1) and colour (``float32 [h, w, 3]``, 0 to 255) of a logo's file.

    Raises:
        ImageRejected: the file is no picture.
        TemplateUnmade: ``logo_too_large``, ``logo_without_alpha``, ``logo_empty``.
    """
    data = _fetch(source, context)
    facts = context.coding.run(probe, len(data), data, context.limits)
    if max(facts.width, facts.height) > _LONGEST_LOGO:
        raise TemplateUnmade("logo_too_large", f"A logo has {_LONGEST_LOGO} px on a side at most.")
    page = context.coding.run(decode, len(data) + facts.memory, data, context.limits).pages[0]
    with bounded(len(data) + facts.memory):
        if not page.alpha:
            raise TemplateUnmade("logo_without_alpha", "The logo has no alpha: save it as PNG with transparency.")
        # Sixteen bits are reduced to their upper eight.
        alpha = page.samples[..., -1].astype(np.float32) / np.float32(np.iinfo(page.samples.dtype).max)
        colour = page.views()[0].pixels.astype(np.float32)
    if (alpha > 0.02).sum() < 4:
        raise TemplateUnmade("logo_empty", "The logo's alpha marks nothing.")
    return alpha, colour


def _painted(known: list[SampleSource], context: TemplateContext) -> tuple[Pixels, Pixels]:
    """A picture as a person sees it, and the mask that paints its mark over (``uint8 [H, W]``, 255: mark).

    Raises:
        ImageRejected, MaskRejected: a file cannot be read, or they do not fit each other.
    """
    picture, mask = _fetch_pixels(known[0], context), _fetch(known[1], context)
    height, width = picture.shape[:2]
    memory = len(mask) + _BYTES_A_PIXEL * width * height
    return picture, context.coding.run(decode_mask, memory, mask, context.limits, width=width, height=height)


def _rule_of(place: LogoPlace, height: int, width: int) -> Rule:
    vertical, _, horizontal = place.anchor.rpartition("_")
    if place.anchor in {"top", "bottom"}:
        vertical, horizontal = place.anchor, "centre"
    elif place.anchor in {"left", "right", "center"}:
        vertical, horizontal = "middle", "centre" if place.anchor == "center" else place.anchor
    anchor = f"{vertical}-{horizontal}"
    down, across = (
        margin if share == 0 else -(margin + size) if share == 1 else margin - size / 2
        for share, margin, size in zip(ANCHORS[anchor], (place.margin_y, place.margin_x), (height, width), strict=True)
    )
    scale: Any = "width" if place.scale == "width" else "pixels"
    return Rule(anchor, scale, down, across, place.reference_width or width)


def _quality_of_given(alpha: NDArray[np.float32], mask: Pixels) -> Quality:
    """The quality of a template that was not estimated."""
    return Quality(
        samples=0,
        without=0,
        informative=0,
        error=_GIVEN_ERROR,
        opacity=round(float(np.median(alpha[mask > 0])), 4),
        z=0,
        margin=0,
        ghost=0,
        strength_spread=0,
        jitter_px=0,
    )


@dataclass(frozen=True)
class _Made:
    template: Template
    warnings: list[TemplateWarning] = field(default_factory=list)
    #: Pictures with the mark and without it.
    shown: dict[str, Image.Image] = field(default_factory=dict)


def _store(template: LeasedTemplate, template_id: str, one: _Made, context: TemplateContext) -> MadeTemplate:
    made = one.template
    key = f"{_folder(template.tenant_id, template_id)}mark.template"
    context.blobs.put(key, made.to_bytes(), content_type="application/zip")
    share = made.alpha[..., None] / max(float(made.alpha.max()), 1e-3)
    previews = {
        "mask": Image.fromarray(made.mask),
        "opacity": Image.fromarray(np.rint(made.alpha * 255).astype(np.uint8)),
        "colour": Image.fromarray((made.colour * share + 128 * (1 - share)).astype(np.uint8)),
        **one.shown,
    }
    estimated = made.quality.samples > 0
    height, width = made.alpha.shape
    return MadeTemplate(
        id=template_id,
        place=MarkPlace(**asdict(made.rule), width=width, height=height),
        samples=made.quality.samples,
        quality=TemplateQuality(**asdict(made.quality)) if estimated else None,
        confidence=confidence(made.quality) if estimated else 1.0,
        warnings=one.warnings,
        file_key=key,
        previews=_store_previews(template.tenant_id, template_id, previews, context),
    )


def _before_and_after(
    samples: list[Sample], templates: list[Template], context: TemplateContext
) -> list[dict[str, Image.Image]]:
    """For each template, some pictures with its mark and without it, as un-blending alone leaves them."""
    shown: list[dict[str, Image.Image]] = [{} for _ in templates]
    looked_at = chosen(samples)[:_CANDIDATES]
    for number, sample in enumerate(looked_at):
        context.on_progress("preview", number, len(looked_at))
        if all(len(pictures) == 2 * _EXAMPLES for pictures in shown):
            break
        pixels = sample.load()
        for template, pictures in zip(templates, shown, strict=True):
            if pixels is None or len(pictures) == 2 * _EXAMPLES:
                continue
            removal = remove(pixels, template, noise=_SHOWN_NOISE)
            if removal is not None:
                at = len(pictures) // 2 + 1
                pictures[f"before-{at}"] = Image.fromarray(pixels)
                pictures[f"after-{at}"] = Image.fromarray(removal.pixels)
                for name in (f"before-{at}", f"after-{at}"):
                    pictures[name].thumbnail((_SIDE, _SIDE))
    return shown


def _store_previews(
    tenant_id: str, template_id: str, previews: dict[str, Image.Image], context: TemplateContext
) -> dict[str, str]:
    keys = {}
    for name, picture in previews.items():
        picture.thumbnail((_SIDE, _SIDE))
        file = io.BytesIO()
        picture.save(file, "PNG")
        keys[name] = f"{_folder(tenant_id, template_id)}previews/{name}.png"
        context.blobs.put(keys[name], file.getvalue(), content_type="image/png")
    return keys


def _fetch_pixels(source: SampleSource, context: TemplateContext) -> Pixels:
    """Fetch a picture; returns its first page as a person sees it."""
    data = _fetch(source, context)
    memory = context.coding.run(probe, len(data), data, context.limits).memory
    return context.coding.run(decode, len(data) + memory, data, context.limits).pages[0].views()[0].pixels


def _fetch(source: SampleSource, context: TemplateContext) -> bytes:
    with context.activity.step():
        return context.fetcher.source(source).data


def _folder(tenant_id: str, template_id: str) -> str:
    return f"t/{tenant_id}/templates/{template_id}/"

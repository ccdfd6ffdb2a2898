"""The three ways to a template: a mask's file, a logo with alpha, pictures that share a mark."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cleanplate.base.masks import LogoPlace
from model.errors import ModelError
from model.imaging import Limits, probe, probe_mask
from model.imaging.coding import decode
from model.imaging.mask_files import pixel_mask
from model.imaging.memory import bounded
from model.watermark.estimate import estimate
from model.watermark.frames import ANCHORS
from model.watermark.remove import remove
from model.watermark.samples import Sample, chosen
from model.watermark.template import Quality, Rule, Template
from storage.blobs.base import Blobs
from storage.errors import BlobNotFound
from storage.records import EstimateSpec, LeasedTemplate, LogoSpec, MadeTemplate, MaskSpec, SampleSource
from workers.device.activity import Activity
from workers.device.images.fetching import Fetcher
from workers.device.templates.confidence import confidence
from workers.errors import SourceError, TemplateUnmade

Pixels = NDArray[np.uint8]

#: Pictures shown before and after; how many are looked at for them; their longest side in px, and a template's.
_SHOWN, _LOOKED_AT, _SIDE = 6, 24, 640
#: A logo with more px on a side is none.
_LONGEST_LOGO = 8192
#: Error of the opacity of a logo that was given, and the coding error of a picture that is only shown.
_GIVEN_ERROR, _SHOWN_NOISE = 0.01, 3.0


@dataclass(frozen=True)
class Watch:
    """What making a template needs, and who hears how far it is (what that raises ends the work)."""

    fetcher: Fetcher
    blobs: Blobs
    limits: Limits
    activity: Activity
    on_progress: Callable[[str, int, int], None]


def from_mask(template: LeasedTemplate, spec: MaskSpec, watch: Watch) -> MadeTemplate:
    """A mask's file, kept as it is. Raises MaskRejected."""
    data = _fetched(template.sources[0], watch)
    found = probe_mask(data, watch.limits)
    previews = {}
    if found.content_type != "application/json":
        previews["mask"] = Image.fromarray(pixel_mask(data, watch.limits))
    key = f"{_folder(template.tenant_id, template.id)}mask"
    watch.blobs.put(key, data, content_type=found.content_type)
    shown = _stored_previews(template.tenant_id, template.id, previews, watch)
    return MadeTemplate(
        id=template.id,
        place=spec.place.document(),
        samples=0,
        quality=None,
        confidence=1.0,
        warnings=[],
        file_key=key,
        previews=shown,
    )


def from_logo(template: LeasedTemplate, spec: LogoSpec, watch: Watch) -> MadeTemplate:
    """A picture with alpha, laid as its owner says.

    Raises:
        ImageRejected: it is no picture.
        TemplateUnmade: it has no alpha, or marks nothing.
    """
    data = _fetched(template.sources[0], watch)
    found = probe(data, watch.limits)
    if max(found.width, found.height) > _LONGEST_LOGO:
        raise TemplateUnmade("logo_too_large", f"A logo has {_LONGEST_LOGO} px on a side at most.")
    with bounded(len(data) + found.memory):
        page = decode(data, watch.limits).pages[0]
        if not page.alpha:
            raise TemplateUnmade("logo_without_alpha", "The logo has no alpha: save it as PNG with transparency.")
        # Sixteen bits are shown by their upper eight.
        last = page.samples[..., -1].astype(np.float32) / np.iinfo(page.samples.dtype).max
        colour = page.views()[0].pixels.astype(np.float32)
    alpha = np.asarray(last * spec.place.opacity, np.float32)
    if (alpha > 0.02).sum() < 4:
        raise TemplateUnmade("logo_empty", "The logo's alpha marks nothing.")
    mask = np.where(alpha > 0.5 * alpha.max(), 255, 0).astype(np.uint8)
    made = Template(alpha, colour, mask, _rule_of(spec.place, *alpha.shape), _quality_of_given(alpha, mask))
    return _stored(template, template.id, _Made(made), watch)


def from_pictures(template: LeasedTemplate, spec: EstimateSpec, watch: Watch) -> list[MadeTemplate]:
    """The marks that pictures share, the commonest first: the template itself, then ``<id>-2`` and so on.

    Raises:
        TemplateRefused: too few pictures, or no mark.
        StorageError, SourceError: pictures cannot be fetched for now.
    """
    unreadable: list[str] = []

    def load(source: SampleSource) -> Pixels | None:
        try:
            return _seen(source, watch)
        except (ModelError, BlobNotFound) as error:
            unreadable.append(f"{source.name}: {error.code}")
        except SourceError as error:
            if error.transient:
                raise
            unreadable.append(f"{source.name}: {error.code}")
        return None

    samples = [Sample(source.name, lambda source=source: load(source)) for source in template.sources]  # type: ignore[misc]
    found = estimate(samples, force=spec.force, on_progress=watch.on_progress)
    warnings = list(found.warnings)
    if unreadable:
        warnings.append(f"{len(unreadable)} pictures could not be read: {', '.join(unreadable[:3])}.")
    shown = _before_and_after(samples, found.templates, watch)
    made = [_Made(one, warnings, pictures) for one, pictures in zip(found.templates, shown, strict=True)]
    ids = [template.id, *(f"{template.id}-{number}" for number in range(2, len(made) + 1))]
    return [_stored(template, template_id, one, watch) for template_id, one in zip(ids, made, strict=True)]


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
    """Of a template that was not estimated."""
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
    warnings: list[str] = field(default_factory=list)
    #: Pictures with the mark and without it.
    shown: dict[str, Image.Image] = field(default_factory=dict)


def _stored(template: LeasedTemplate, template_id: str, one: _Made, watch: Watch) -> MadeTemplate:
    made = one.template
    key = f"{_folder(template.tenant_id, template_id)}mark.template"
    watch.blobs.put(key, made.to_bytes(), content_type="application/zip")
    share = made.alpha[..., None] / max(float(made.alpha.max()), 1e-3)
    previews = {
        "mask": Image.fromarray(made.mask),
        "opacity": Image.fromarray(np.rint(made.alpha * 255).astype(np.uint8)),
        "colour": Image.fromarray((made.colour * share + 128 * (1 - share)).astype(np.uint8)),
        **one.shown,
    }
    estimated = made.quality.samples > 0
    height, width = made.alpha.shape
    place = {name: value for name, value in asdict(made.rule).items() if name != "sizes"}
    return MadeTemplate(
        id=template_id,
        place=json.loads(json.dumps({**place, "width": width, "height": height})),
        samples=made.quality.samples,
        quality=asdict(made.quality) if estimated else None,
        confidence=confidence(made.quality) if estimated else 1.0,
        warnings=one.warnings,
        file_key=key,
        previews=_stored_previews(template.tenant_id, template_id, previews, watch),
    )


def _before_and_after(samples: list[Sample], templates: list[Template], watch: Watch) -> list[dict[str, Image.Image]]:
    """For each template, some pictures with its mark and without it (as un-blending alone leaves them)."""
    shown: list[dict[str, Image.Image]] = [{} for _ in templates]
    looked_at = chosen(samples)[:_LOOKED_AT]
    for number, sample in enumerate(looked_at):
        watch.on_progress("preview", number, len(looked_at))
        if all(len(pictures) == 2 * _SHOWN for pictures in shown):
            break
        pixels = sample.load()
        for template, pictures in zip(templates, shown, strict=True):
            if pixels is None or len(pictures) == 2 * _SHOWN:
                continue
            removal = remove(pixels, template, noise=_SHOWN_NOISE)
            if removal is not None:
                at = len(pictures) // 2 + 1
                pictures[f"before-{at}"] = Image.fromarray(pixels)
                pictures[f"after-{at}"] = Image.fromarray(removal.pixels)
                for name in (f"before-{at}", f"after-{at}"):
                    pictures[name].thumbnail((_SIDE, _SIDE))
    return shown


def _stored_previews(
    tenant_id: str, template_id: str, previews: dict[str, Image.Image], watch: Watch
) -> dict[str, str]:
    keys = {}
    for name, picture in previews.items():
        picture.thumbnail((_SIDE, _SIDE))
        file = io.BytesIO()
        picture.save(file, "PNG")
        keys[name] = f"{_folder(tenant_id, template_id)}previews/{name}.png"
        watch.blobs.put(keys[name], file.getvalue(), content_type="image/png")
    return keys


def _seen(source: SampleSource, watch: Watch) -> Pixels:
    """A picture's first page as a person sees it."""
    data = _fetched(source, watch)
    memory = probe(data, watch.limits).memory
    with watch.activity.step(), bounded(len(data) + memory):
        pixels = decode(data, watch.limits).pages[0].views()[0].pixels
    return pixels


def _fetched(source: SampleSource, watch: Watch) -> bytes:
    with watch.activity.step():
        return watch.fetcher.source(source)


def _folder(tenant_id: str, template_id: str) -> str:
    return f"t/{tenant_id}/templates/{template_id}/"

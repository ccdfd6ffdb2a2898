"""The steps of a picture through a worker: fetched and decoded ahead, filled on the device, encoded and stored behind.

Each hands on to the next by the line (line.py), and returns; what it raises ends its picture and nothing else. Where a
mark is known by its template, or text is looked for, the step that does so stands in the place of decoding.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from cleanplate.base.masks import BoxesMask, TextMask
from model.imaging import Limits, probe
from model.imaging.memory import bounded
from model.preview import Preview, preview
from model.repair import Repaired, fill_parts, read, write
from model.text.files import find as find_text
from model.text.wanted import Wanted, wanted
from model.watermark.template import Template
from storage.blobs.keys import preview_key, result_key
from workers.device.images.fetching import boxes_file, placement_of
from workers.device.images.image_context import ImageContext, label_of, sha256, success
from workers.device.images.shard_executor import ShardExecutor
from workers.device.images.shared_files import SharedFiles
from workers.device.images.text_marks import AsItCame, about, skipped
from workers.device.images.unblending import Filling, Templates, Unblended, ended, unblended
from workers.device.lease import Lease
from workers.device.resources import Resources


class Steps:
    """Those of one shard; :meth:`fetch` is the first."""

    def __init__(self, resources: Resources, lease: Lease, executor: ShardExecutor) -> None:
        settings = resources.settings
        self._resources = resources
        self._lease = lease
        self._executor = executor
        self._limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        self._masks = SharedFiles(resources.fetcher.blob)
        self._templates = Templates(resources.fetcher.blob)

    def fetch(self, context: ImageContext) -> None:
        """The files, from wherever they are; what they will take in memory decides when they are decoded."""
        self._executor.begin()
        image = context.image
        with self._resources.activity.step(), context.timed("fetch"):
            source = self._resources.fetcher.source(image)
            if image.templates:
                following = functools.partial(self._unblend, context, source, self._templates.of(image))
            elif isinstance(image.mask, TextMask):
                text = wanted(image.mask.texts or (), image.mask.areas or ())
                following = functools.partial(self._find_text, context, source, text)
            else:
                mask = boxes_file(image.mask) if isinstance(image.mask, BoxesMask) else self._masks.get(image.mask_key)
                following = functools.partial(self._decode, context, source, mask)
        self._executor.to_decode(context, following, len(source) + probe(source, self._limits).memory)

    def _decode(self, context: ImageContext, source: bytes, mask: bytes) -> None:
        options = context.image.options
        networks = self._resources.networks
        activity = self._resources.activity
        with activity.step(), context.timed("decode"), bounded(context.nbytes), networks.use(options) as inpainter:
            context.task = read(
                source,
                mask,
                limits=self._limits,
                dilation_px=options.dilation_px,
                feather_px=options.feather_px,
                mask_inverted=options.mask_inverted,
                placement=placement_of(context.image),
                costs=inpainter.costs,
            )
            context.sha256 = {"source": sha256(source), "mask": sha256(mask)}
        self._executor.to_fill(context, functools.partial(self._fill, context))

    def _find_text(self, context: ImageContext, source: bytes, text: Wanted) -> None:
        """Decoding, with a mask that is found in the picture; without a mark it goes out as it came."""
        options = context.image.options
        resources = self._resources
        with context.timed("decode"), bounded(context.nbytes), resources.networks.use(options) as inpainter:
            found = find_text(
                source,
                text,
                resources.text_reader,
                limits=self._limits,
                dilation_px=options.dilation_px,
                feather_px=options.feather_px,
                costs=inpainter.costs,
                step=resources.activity.step,
                on_page=functools.partial(self._executor.go_on, context.image.id),
            )
        context.about = about(found)
        context.sha256 = {"source": sha256(source)}
        context.task = found.task
        if found.task is None:
            self._executor.to_store(context, functools.partial(self._hand_back, context, source))
        else:
            self._executor.to_fill(context, functools.partial(self._fill, context))

    def _unblend(self, context: ImageContext, source: bytes, templates: list[Template]) -> None:
        """Decoding, un-blending and encoding in one step; the network is asked in it where it is needed."""
        self._executor.begin()
        image = context.image
        activity, networks = self._resources.activity, self._resources.networks
        options = image.options
        context.sha256 = {"source": sha256(source)}
        with activity.step(), context.timed("unblend"), bounded(context.nbytes), networks.use(options) as inpainter:
            fill = Filling(inpainter, context, functools.partial(self._on_tile, image.id))
            result = unblended(context, source, templates, fill, self._limits)
        self._executor.to_store(context, functools.partial(self._store_unblended, context, result))

    def _fill(self, context: ImageContext) -> None:
        image, task = context.image, context.planned
        self._executor.begin()
        self._lease.progress(image.id, 0, task.tiles_total)
        options = image.options
        with (
            self._executor.with_engine(image),
            context.timed("network"),
            self._resources.networks.use(options) as inpainter,
        ):
            context.network = inpainter
            run = functools.partial(inpainter.run, on_note=context.notes.add)
            pixels = fill_parts(task, run, lambda done: self._on_tile(image.id, done, task.tiles_total))
        self._executor.to_store(context, functools.partial(self._store, context, pixels))

    def _on_tile(self, image_id: str, done: int, total: int) -> None:
        self._lease.progress(image_id, done, total)
        self._executor.go_on(image_id)

    def _store(self, context: ImageContext, pixels: list[NDArray[np.uint8]]) -> None:
        image = context.image
        options = image.options
        label = label_of(context) if options.label else None
        activity = self._resources.activity
        with activity.step(), context.timed("encode"), bounded(context.nbytes):
            repaired = write(context.planned, pixels, output=options.output, label=label)
            small = preview(context.planned, pixels)
        key = self._put(context, repaired, small)
        self._executor.end(image, success(context, repaired, small, key, self._resources.worker))

    def _store_unblended(self, context: ImageContext, result: Unblended) -> None:
        key = self._put(context, result, result.small)
        self._executor.end(context.image, ended(context, result, key, self._resources.worker))

    def _hand_back(self, context: ImageContext, source: bytes) -> None:
        """The source itself is the result, bit for bit."""
        facts = probe(source, self._limits)
        key = self._put(context, AsItCame(source, facts.content_type, facts.extension), None)
        self._executor.end(context.image, skipped(context, source, key, self._limits, self._resources.worker))

    def _put(self, context: ImageContext, result: Repaired | Unblended | AsItCame, small: Preview | None) -> str:
        """Stores a result and its small picture; the result's key."""
        image = context.image
        self._lease.check(image.id)
        names = (image.tenant_id, image.job_id, image.id)
        key, blobs = result_key(*names, result.extension), self._resources.blobs
        with self._resources.activity.step(), context.timed("store"):
            if small is not None:
                blobs.put(preview_key(*names), small.data, content_type=small.content_type)
            blobs.put(key, result.data, content_type=result.content_type)
        return key

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
from workers.device.images.lease import Lease
from workers.device.images.line import Line
from workers.device.images.passage import Passage, label_of, sha256, success
from workers.device.images.shared_files import SharedFiles
from workers.device.images.text_marks import AsItCame, about, skipped
from workers.device.images.unblending import Filling, Templates, Unblended, ended, unblended
from workers.device.resources import Resources


class Steps:
    """Those of one shard; :meth:`fetch` is the first."""

    def __init__(self, resources: Resources, lease: Lease, line: Line) -> None:
        settings = resources.settings
        self._resources = resources
        self._lease = lease
        self._line = line
        self._limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        self._masks = SharedFiles(resources.fetcher.blob)
        self._templates = Templates(resources.fetcher.blob)

    def fetch(self, passage: Passage) -> None:
        """The files, from wherever they are; what they will take in memory decides when they are decoded."""
        self._line.begin()
        image = passage.image
        with self._resources.activity.step(), passage.timed("fetch"):
            source = self._resources.fetcher.source(image)
            if image.templates:
                following = functools.partial(self._unblend, passage, source, self._templates.of(image))
            elif isinstance(image.mask, TextMask):
                text = wanted(image.mask.texts or (), image.mask.areas or ())
                following = functools.partial(self._find_text, passage, source, text)
            else:
                mask = boxes_file(image.mask) if isinstance(image.mask, BoxesMask) else self._masks.get(image.mask_key)
                following = functools.partial(self._decode, passage, source, mask)
        self._line.to_decode(passage, following, len(source) + probe(source, self._limits).memory)

    def _decode(self, passage: Passage, source: bytes, mask: bytes) -> None:
        options = passage.image.options
        networks = self._resources.networks
        activity = self._resources.activity
        with activity.step(), passage.timed("decode"), bounded(passage.nbytes), networks.use(options) as inpainter:
            passage.task = read(
                source,
                mask,
                limits=self._limits,
                dilation_px=options.dilation_px,
                feather_px=options.feather_px,
                mask_inverted=options.mask_inverted,
                placement=placement_of(passage.image),
                costs=inpainter.costs,
            )
            passage.sha256 = {"source": sha256(source), "mask": sha256(mask)}
        self._line.to_fill(passage, functools.partial(self._fill, passage))

    def _find_text(self, passage: Passage, source: bytes, text: Wanted) -> None:
        """Decoding, with a mask that is found in the picture; without a mark it goes out as it came."""
        options = passage.image.options
        resources = self._resources
        with passage.timed("decode"), bounded(passage.nbytes), resources.networks.use(options) as inpainter:
            found = find_text(
                source,
                text,
                resources.text_reader,
                limits=self._limits,
                dilation_px=options.dilation_px,
                feather_px=options.feather_px,
                costs=inpainter.costs,
                step=resources.activity.step,
                on_page=functools.partial(self._line.go_on, passage.image.id),
            )
        passage.about = about(found)
        passage.sha256 = {"source": sha256(source)}
        passage.task = found.task
        if found.task is None:
            self._line.to_store(passage, functools.partial(self._hand_back, passage, source))
        else:
            self._line.to_fill(passage, functools.partial(self._fill, passage))

    def _unblend(self, passage: Passage, source: bytes, templates: list[Template]) -> None:
        """Decoding, un-blending and encoding in one step; the network is asked in it where it is needed."""
        self._line.begin()
        image = passage.image
        activity, networks = self._resources.activity, self._resources.networks
        options = image.options
        passage.sha256 = {"source": sha256(source)}
        with activity.step(), passage.timed("unblend"), bounded(passage.nbytes), networks.use(options) as inpainter:
            fill = Filling(inpainter, passage, functools.partial(self._on_tile, image.id))
            result = unblended(passage, source, templates, fill, self._limits)
        self._line.to_store(passage, functools.partial(self._store_unblended, passage, result))

    def _fill(self, passage: Passage) -> None:
        image, task = passage.image, passage.planned
        self._line.begin()
        self._lease.progress(image.id, 0, task.tiles_total)
        options = image.options
        with (
            self._line.with_engine(image),
            passage.timed("network"),
            self._resources.networks.use(options) as inpainter,
        ):
            passage.network = inpainter
            run = functools.partial(inpainter.run, on_note=passage.notes.add)
            pixels = fill_parts(task, run, lambda done: self._on_tile(image.id, done, task.tiles_total))
        self._line.to_store(passage, functools.partial(self._store, passage, pixels))

    def _on_tile(self, image_id: str, done: int, total: int) -> None:
        self._lease.progress(image_id, done, total)
        self._line.go_on(image_id)

    def _store(self, passage: Passage, pixels: list[NDArray[np.uint8]]) -> None:
        image = passage.image
        options = image.options
        label = label_of(passage) if options.label else None
        activity = self._resources.activity
        with activity.step(), passage.timed("encode"), bounded(passage.nbytes):
            repaired = write(passage.planned, pixels, output=options.output, label=label)
            small = preview(passage.planned, pixels)
        key = self._put(passage, repaired, small)
        self._line.end(image, success(passage, repaired, small, key, self._resources.worker))

    def _store_unblended(self, passage: Passage, result: Unblended) -> None:
        key = self._put(passage, result, result.small)
        self._line.end(passage.image, ended(passage, result, key, self._resources.worker))

    def _hand_back(self, passage: Passage, source: bytes) -> None:
        """The source itself is the result, bit for bit."""
        facts = probe(source, self._limits)
        key = self._put(passage, AsItCame(source, facts.content_type, facts.extension), None)
        self._line.end(passage.image, skipped(passage, source, key, self._limits, self._resources.worker))

    def _put(self, passage: Passage, result: Repaired | Unblended | AsItCame, small: Preview | None) -> str:
        """Stores a result and its small picture; the result's key."""
        image = passage.image
        self._lease.check(image.id)
        names = (image.tenant_id, image.job_id, image.id)
        key, blobs = result_key(*names, result.extension), self._resources.blobs
        with self._resources.activity.step(), passage.timed("store"):
            if small is not None:
                blobs.put(preview_key(*names), small.data, content_type=small.content_type)
            blobs.put(key, result.data, content_type=result.content_type)
        return key

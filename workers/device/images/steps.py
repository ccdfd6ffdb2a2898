"""The steps of a picture through a worker: fetched and decoded ahead, filled on the device, encoded and stored behind.

Each step hands the picture to the next by the shard executor, and returns; an error ends its picture and no other.
For a mask of templates or of text, a separate step replaces decoding.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from cleanplate.base.image_records import FileHashes, ImageRecord
from cleanplate.base.masks import BoxesMask, TextMask
from model.imaging import Limits, probe
from model.imaging.apart import try_decode
from model.imaging.coding import decode
from model.imaging.memory import bounded
from model.repair.task import fill_parts
from model.text.doubt import standing
from model.text.files import find as find_text
from model.text.wanted import Wanted, wanted
from model.watermark.template import Template
from storage.blobs.keys import preview_key, result_key
from storage.records import LeasedImage
from workers.device.coders.work import Wishes, finish, read_sharing
from workers.device.images.delivery import deliver
from workers.device.images.fetching import boxes_file, reading_of
from workers.device.images.found_mask import marks_result, mask_result
from workers.device.images.image_context import ImageContext
from workers.device.images.outcomes import ResultFile, result_extension, sha256, success
from workers.device.images.shard_executor import ShardExecutor
from workers.device.images.shared_files import SharedFiles
from workers.device.images.text_marks import source_as_result, text_record
from workers.device.images.unblending import NetworkFill, TemplateCache, remove_marks
from workers.device.lease import Lease
from workers.device.networks import ffc_lambda_of
from workers.device.resources import Resources


class Steps:
    """The steps of one shard; :meth:`fetch` is the first."""

    def __init__(self, resources: Resources, lease: Lease[tuple[int, int]], executor: ShardExecutor) -> None:
        settings = resources.settings
        self._resources = resources
        self._coding = resources.coding
        self._lease = lease
        self._executor = executor
        self._limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        self._masks = SharedFiles(resources.fetcher.blob)
        self._templates = TemplateCache(resources.fetcher.blob)

    def fetch(self, context: ImageContext) -> None:
        """Fetch the files. Decoding waits until the memory that it will take is free."""
        self._executor.check_not_stopping()
        image = context.image
        with self._resources.activity.step(), context.timed("fetch"):
            fetched = self._resources.fetcher.source(image)
            source, context.source_version = fetched.data, fetched.version
            if image.attempt > 1 and not self._coding.coders:
                # The attempt before may have ended in a decoder that hangs or crashes: this process stays out of it.
                try_decode(source, self._limits)
            if image.templates:
                templates = self._templates.templates_of(image)
                how = self._find_marks if image.options.result == "mask" else self._unblend
                next_step = functools.partial(how, context, source, templates)
            elif isinstance(image.mask, TextMask):
                text = wanted(image.mask.texts or (), image.mask.areas or ())
                next_step = functools.partial(self._find_text, context, source, text)
            else:
                next_step = functools.partial(self._decode, context, source, self._mask_of(image))
        context.facts = self._coding.run(probe, len(source), source, self._limits)
        self._executor.submit_decode(context, next_step, len(source) + context.facts.memory)

    def _mask_of(self, image: LeasedImage) -> bytes:
        return boxes_file(image.mask) if isinstance(image.mask, BoxesMask) else self._masks.get(image.mask_key)

    def _decode(self, context: ImageContext, source: bytes, mask: bytes) -> None:
        options = context.image.options
        with context.timed("decode"), self._resources.networks.use(options) as inpainter:
            context.task = self._coding.run(
                read_sharing,
                context.nbytes,
                source,
                mask,
                limits=self._limits,
                dilation_px=options.dilation_px,
                feather_px=options.feather_px,
                **reading_of(context.image),
                method=options.method,
                texture=options.texture,
                costs=inpainter.costs,
            )
            inpainter.warm(context.task)
            context.sha256 = FileHashes(source=sha256(source), mask=sha256(mask))
        self._submit_task(context)

    def _find_text(self, context: ImageContext, source: bytes, text: Wanted) -> None:
        """Decode, and find the mask in the picture; a picture without the mark keeps its source as the result."""
        options = context.image.options
        resources = self._resources
        with context.timed("decode"), bounded(context.nbytes), resources.networks.use(options) as inpainter:
            text_marks = find_text(
                source,
                text,
                resources.text_reader,
                limits=self._limits,
                dilation_px=options.dilation_px,
                feather_px=options.feather_px,
                method=options.method,
                texture=options.texture,
                costs=inpainter.costs,
                decoded=lambda data, limits: self._coding.run(decode, context.nbytes, data, limits),
                step=resources.activity.step,
                on_page=functools.partial(self._executor.check_may_go_on, context.image.id),
            )
        context.text_record = text_record(text_marks)
        context.text_doubts = text_marks.doubts
        context.sha256 = FileHashes(source=sha256(source))
        context.task = text_marks.task
        if text_marks.task is None:
            result = source_as_result(source, context.known_facts)
            self._executor.submit_store(context, functools.partial(self._store, context, result))
        else:
            self._submit_task(context)

    def _submit_task(self, context: ImageContext) -> None:
        """Fill the task's hole, or end with its mask where the job asks for that."""
        painted = context.decoded_task.painted
        if context.image.options.result == "mask" and painted is not None:
            result = mask_result(painted, ImageRecord())
            self._executor.submit_store(context, functools.partial(self._store, context, result))
        else:
            self._executor.submit_fill(context, functools.partial(self._fill, context))

    def _find_marks(self, context: ImageContext, source: bytes, templates: list[Template]) -> None:
        """Decode, and find the templates' marks, which become the result as a mask."""
        self._executor.check_not_stopping()
        context.sha256 = FileHashes(source=sha256(source))
        ids = [used.id for used in context.image.templates]
        with context.timed("decode"):
            document = self._coding.run(decode, context.nbytes, source, self._limits)
            with self._resources.activity.step(), bounded(context.nbytes):
                result = marks_result(source, document, templates, ids)
        self._executor.submit_store(context, functools.partial(self._store, context, result))

    def _unblend(self, context: ImageContext, source: bytes, templates: list[Template]) -> None:
        """Decode, un-blend and encode in one step; the network fills the pixels that un-blending cannot recover."""
        self._executor.check_not_stopping()
        image = context.image
        context.sha256 = FileHashes(source=sha256(source))
        with (
            context.timed("unblend"),
            bounded(context.nbytes),
            self._resources.networks.use(image.options) as inpainter,
        ):
            fill = NetworkFill(inpainter, context, functools.partial(self._on_tile, image.id))
            result = remove_marks(context, source, templates, fill, limits=self._limits, coding=self._coding)
        self._executor.submit_store(context, functools.partial(self._store, context, result))

    def _fill(self, context: ImageContext) -> None:
        image, task = context.image, context.decoded_task
        self._executor.check_not_stopping()
        self._lease.note_progress(image.id, (0, task.tiles_total))
        options = image.options
        with (
            self._executor.on_device(image),
            context.timed("network"),
            self._resources.networks.use(options) as inpainter,
        ):
            context.network = inpainter
            run = functools.partial(inpainter.fill, on_note=context.notes.add, ffc_lambda=ffc_lambda_of(options))
            fills = fill_parts(task, run, lambda done: self._on_tile(image.id, done, task.tiles_total))
        context.tiles = task.tiles_total
        self._executor.submit_encode(context, functools.partial(self._encode, context, fills))

    def _on_tile(self, image_id: str, done: int, total: int) -> None:
        self._lease.note_progress(image_id, (done, total))
        self._executor.check_may_go_on(image_id)

    def _encode(self, context: ImageContext, fills: list[NDArray[np.uint8]]) -> None:
        """Lay the fills in and write the file."""
        image, task = context.image, context.decoded_task
        learned = None
        if self._resources.learned.may_tell(image):
            with context.timed("learn"):
                learned = self._resources.learned.under(image, functools.partial(self._mask_of, image))
        labelled_job = image.job_id if image.options.label else ""
        wishes = Wishes(image.options.output, context.network_words, labelled_job, learned)
        with context.timed("encode"):
            finished = self._coding.run(finish, context.nbytes, task, fills, wishes)
        repaired = finished.repaired
        context.seconds["encode"] -= repaired.read_back_s
        context.seconds["read_back"] = repaired.read_back_s
        doubts = standing(context.text_doubts, finished.recovery.get("recovered", 0.0))
        result = ResultFile(
            data=repaired.data,
            content_type=repaired.content_type,
            extension=repaired.extension,
            width=task.width,
            height=task.height,
            record=ImageRecord(
                method=finished.method, doubts=[*doubts] or None, **repaired.record, **finished.recovery
            ),
            preview=finished.preview,
        )
        # The decoded picture is not needed any more, however long the blob store takes.
        context.task = None
        self._executor.submit_store(context, functools.partial(self._store, context, result))

    def _store(self, context: ImageContext, result: ResultFile) -> None:
        """Store a result and its preview, and end the image with them."""
        image = context.image
        self._lease.check(image.id)
        names = (image.tenant_id, image.job_id, image.id)
        key, blobs = result_key(*names, result_extension(context, result)), self._resources.blobs
        with self._resources.activity.step(), context.timed("store"):
            if result.preview is not None:
                blobs.put(preview_key(*names), result.preview.data, content_type=result.preview.content_type)
            blobs.put(key, result.data, content_type=result.content_type)
            written = deliver(context, result, self._resources.fetcher.buckets, self._resources.settings)
        self._executor.end(image, success(context, result, key, self._resources.worker, destination_url=written))

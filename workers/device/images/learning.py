"""The mark under a job's mask, learned from some of the job's pictures.

It is a file of the job: the first process that needs it makes it, all others read it. What it is made of follows from
the job alone, but for pictures that are slow to come, so that two processes at once make the same.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import structlog

from cleanplate.base.masks import TextMask
from model.errors import ModelError
from model.imaging import Limits, probe
from model.shared import Shared
from model.watermark.learned import ENOUGH, FEWEST, Painted, learn
from model.watermark.template import Template
from storage.blobs.base import Blobs
from storage.blobs.keys import learned_key
from storage.database import Database
from storage.errors import BlobNotFound
from storage.ledger.images.spread import sources_under_the_jobs_mask
from storage.records import LeasedImage, SampleSource
from workers.device.coders.pool import Coding
from workers.device.coders.work import read_sample
from workers.device.drain import Drain
from workers.device.images.fetching import Fetcher, reading_of
from workers.errors import CoderLost, SourceError

log = structlog.get_logger(__name__)

#: What was learned under so many masks is kept in memory.
_CACHED = 8
#: Pictures that are fetched at once; seconds after which what is there has to do, and in which the next has to come.
_FETCHERS, _PATIENCE_S, _LATE_S = 2, 60.0, 10.0
#: Bytes of memory that learning takes, for the samples of the largest mask.
_MEMORY = 1 << 30


@dataclass(frozen=True)
class LearnedMarks:
    """What the jobs' pictures told of their marks. Threads may share it."""

    database: Database
    blobs: Blobs
    fetcher: Fetcher
    coding: Coding
    drain: Drain
    limits: Limits
    _known: Shared[str, Template | None] = field(default_factory=lambda: Shared(_CACHED))

    @staticmethod
    def may_tell(image: LeasedImage) -> bool:
        """Whether the pictures of its job may tell the mark under the image's mask."""
        options = image.options
        return (
            not image.has_own_mask
            and image.job_total >= FEWEST
            and options.method == "auto"
            and options.result == "picture"
            and not isinstance(image.mask, TextMask)
        )

    def under(self, image: LeasedImage, mask: Callable[[], bytes]) -> Template | None:
        """The mark under the mask of the job of an image that :meth:`may_tell`; ``None`` where nothing is learned.

        ``mask``: fetches its file. Pictures that ask at once wait for the first of them.

        Raises:
            StorageError: the ledger or the store does not answer.
        """
        options = image.options
        read_by = (image.mask_document, image.mask_key, image.placement.model_dump(mode="json"))
        how = (options.mask_inverted, options.mask_threshold, options.max_marked_share)
        digest = hashlib.sha256(json.dumps((read_by, how), sort_keys=True, default=str).encode()).hexdigest()[:32]
        key = learned_key(image.tenant_id, image.job_id, digest)
        return self._known.get(key, functools.partial(self._read_or_learn, key, image, mask))

    def _read_or_learn(self, key: str, image: LeasedImage, mask: Callable[[], bytes]) -> Template | None:
        try:
            data = self.blobs.get(key)
        except BlobNotFound:
            return self._learn(key, image, mask())
        return Template.from_bytes(data) if data else None

    def _learn(self, key: str, image: LeasedImage, mask: bytes) -> Template | None:
        began = time.monotonic()
        samples, are_all = self._samples(image, mask)
        if self.drain.begun:
            return None
        template = None
        try:
            if len(samples) >= FEWEST:
                template = self.coding.run(learn, _MEMORY, samples)
        except (ModelError, CoderLost) as error:
            # Each picture is repaired for itself all the same.
            log.warning("mark.not_learned", job=image.job_id, reason=str(error))
        if template is not None or are_all:
            self.blobs.put(key, b"" if template is None else template.to_bytes(), content_type="application/zip")
        seconds = round(time.monotonic() - began, 3)
        log.info("mark.learned", job=image.job_id, samples=len(samples), found=template is not None, seconds=seconds)
        return template

    def _samples(self, image: LeasedImage, mask: bytes) -> tuple[list[Painted], bool]:
        """Parts of the job's pictures, and whether all came.

        One that is slow to come is left out: the others do not wait for it.
        """
        until = time.monotonic() + _PATIENCE_S
        pool = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="learn")
        try:
            sources = sources_under_the_jobs_mask(self.database, image.job_id, ENOUGH)
            futures = [pool.submit(self._sample, source, image, mask) for source in sources]
            pending = set(futures)
            while pending and time.monotonic() < until:
                done, pending = wait(pending, timeout=_LATE_S, return_when=FIRST_COMPLETED)
                if not done:
                    break
            arrived = [future.result() for future in futures if future not in pending]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return [sample for sample in arrived if sample is not None], not pending

    def _sample(self, source: SampleSource, image: LeasedImage, mask: bytes) -> Painted | None:
        """A picture's part; ``None`` where it cannot be had: its own repair says why."""
        if self.drain.begun:
            return None
        try:
            data = self.fetcher.source(source).data
            memory = self.coding.run(probe, len(data), data, self.limits).memory
            return self.coding.run(
                read_sample,
                len(data) + memory,
                data,
                mask,
                limits=self.limits,
                **reading_of(image),
            )
        except (ModelError, SourceError, CoderLost, BlobNotFound) as error:
            log.info("mark.sample_left_out", job=image.job_id, name=source.name, reason=str(error))
            return None

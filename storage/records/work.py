"""Records of dispatcher and workers: published shards, leased images, outcomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from cleanplate.base.destinations import Destination
from cleanplate.base.image_records import ImageRecord
from cleanplate.base.masks import JobMask, Placement
from cleanplate.base.options import JobOptions
from storage.json_columns import Document, read_image_options, read_job_mask, read_job_options
from storage.records.states import ImageState, Priority
from storage.records.templates import UsedTemplate


class ImageOfJob(NamedTuple):
    """An image that changed, for logs and metrics."""

    job_id: str
    image_id: str


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Images of one job to be published as one message."""

    job_id: str
    image_ids: list[str]
    #: The job's own.
    priority: Priority = Priority.BULK
    #: Its queue; a bulk shard whose turn has come goes into the interactive one.
    queue: Priority = Priority.BULK


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The shards that the dispatcher must publish now."""

    shards: list[Shard]
    #: Number of images that were published before and are not leased yet.
    under_way: int


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Images of one priority that have not ended, over all tenants; paused ones do not count as queued."""

    queued: int
    running: int
    #: Seconds since the submission of the oldest job with a queued image; 0: there is none.
    oldest_s: float


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Number of images that have not ended, by priority."""

    waiting: dict[Priority, Waiting]
    #: Number of paused images.
    paused: int
    #: Number of worker processes that hold a lease.
    busy_workers: int

    @property
    def queued(self) -> int:
        return sum(waiting.queued for waiting in self.waiting.values())

    @property
    def running(self) -> int:
        return sum(waiting.running for waiting in self.waiting.values())


@dataclass(frozen=True, kw_only=True)
class LeasedImage:
    """An image that a worker holds, with all that its repair needs."""

    id: str
    job_id: str
    tenant_id: str
    name: str
    path: str | None = None
    custom_id: str | None = None
    #: Where its result is written beside the service's store.
    destination: Destination | None = None
    #: Blank where the picture comes from ``source_url``.
    source_key: str
    source_url: str | None
    #: The image's own mask, else the job's, as the ledger holds it.
    mask_document: Document | None
    has_own_mask: bool = False
    #: Number of images of its job.
    job_total: int = 1
    #: The file of the mask, or of the template of a mask that ``mask`` names. Blank where there is none.
    mask_key: str
    #: Placement of the file or the boxes on the picture.
    placement: Placement
    #: Marks to be un-blended; empty: the mask's pixels are inpainted.
    templates: tuple[UsedTemplate, ...] = ()
    #: The options of the job, and of the image itself, as the ledger holds them.
    job_options: Document
    own_options: Document | None = None
    attempt: int
    #: Codes of the attempts before that failed or were lost.
    earlier_codes: tuple[str, ...] = ()
    #: W3C ``traceparent`` of the job's submission, where that was traced.
    trace: str | None = None

    @cached_property
    def mask(self) -> JobMask:
        """The image's own mask, else the job's.

        Raises:
            ValueError: the ledger's document is no mask. It is read here, so that it fails this image alone.
        """
        mask = read_job_mask(self.mask_document, self.mask_key)
        if mask is None:
            raise ValueError("neither the image nor its job has a mask")
        return mask

    @cached_property
    def options(self) -> JobOptions:
        """The job's options, with the image's own over them. Raises ValueError: as for :attr:`mask`."""
        return read_job_options(self.job_options).with_image(read_image_options(self.own_options))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of an image, or the reason for a retry (``retry``), as the holder of its lease reports it."""

    image_id: str
    #: SUCCEEDED, SKIPPED or FAILED.
    state: ImageState
    result_key: str | None = None
    #: Size and CRC-32 of the result's file.
    result_bytes: int | None = None
    result_crc32: int | None = None
    #: Where the result is written beside the service's store.
    destination_url: str | None = None
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    tiles_done: int = 0
    error_code: str | None = None
    error_detail: str | None = None
    #: With FAILED: a transient cause. The image goes back to the queue unless its attempts are used up.
    retry: bool = False
    record: ImageRecord = field(default_factory=ImageRecord)

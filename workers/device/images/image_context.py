"""One picture between two steps of the pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cleanplate.base.image_records import FileHashes, ImageRecord
from cleanplate.telemetry import tracing
from model.imaging import Probe
from model.repair.task import Task
from model.text.doubt import Doubt
from storage.records import LeasedImage

if TYPE_CHECKING:
    from model.engine.inpainter import LaMaInpainter


@dataclass
class ImageContext:
    """The state of an image between two steps. One thread has it at a time."""

    image: LeasedImage
    #: The facts of the source's header.
    facts: Probe | None = None
    #: The decoded picture and its plan.
    task: Task | None = None
    #: The network that fills the hole. It may be closed by the time the picture ends.
    network: LaMaInpainter | None = None
    #: Bytes taken from the budget, to be given back.
    nbytes: int = 0
    #: Seconds by stage. ``network`` is the time with the engine, which works on several pictures at once.
    seconds: dict[str, float] = field(default_factory=dict)
    #: SHA-256 of the files, for the audit log.
    sha256: FileHashes = field(default_factory=FileHashes)
    #: The version of a source in S3.
    source_version: str | None = None
    #: Tiles that the network has filled.
    tiles: int = 0
    #: The part of the image's record about its text mark.
    text_record: ImageRecord = field(default_factory=ImageRecord)
    #: Doubts about a text mark that is filled.
    text_doubts: tuple[Doubt, ...] = ()
    #: Deviations of the engine on this device, for the record.
    notes: set[str] = field(default_factory=set)
    #: The span of the whole image; those of the stages are its children.
    span: tracing.Span = field(init=False)

    def __post_init__(self) -> None:
        image = self.image
        self.span = tracing.begin("image", image.trace, image=image.id, job=image.job_id, attempt=image.attempt)

    @property
    def decoded_task(self) -> Task:
        """The task of a picture that is decoded."""
        if self.task is None:
            raise RuntimeError(f"{self.image.id} is not decoded yet")
        return self.task

    @property
    def known_facts(self) -> Probe:
        """The facts of a picture that is fetched."""
        if self.facts is None:
            raise RuntimeError(f"{self.image.id} is not fetched yet")
        return self.facts

    @property
    def network_words(self) -> str:
        """The network that took part, in words for the image's owner."""
        return "" if self.network is None else f"FFC inpainting ({self.network.architecture})"

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of the block to those of ``stage``."""
        started_at = time.monotonic()
        with tracing.span(f"image.{stage}", self.span.context):
            yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - started_at

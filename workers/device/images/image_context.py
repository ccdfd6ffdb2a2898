"""One picture between two steps of the pipeline, and the outcome that it ends with."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cleanplate.telemetry import tracing
from model.preview import Preview
from model.provenance import Label
from model.repair import Repaired, Task
from storage.records import ImageState, LeasedImage, Outcome

if TYPE_CHECKING:
    from model.engine.inpainter import LaMaInpainter


@dataclass
class ImageContext:
    """What the steps have made of an image so far. One thread has it at a time."""

    image: LeasedImage
    #: Once it is decoded.
    task: Task | None = None
    #: What fills its hole, once it is on its way there. By its end it may be closed.
    network: LaMaInpainter | None = None
    #: Of the budget, to be given back.
    nbytes: int = 0
    #: By stage. ``network`` is the time with the engine, which works on several pictures at once.
    seconds: dict[str, float] = field(default_factory=dict)
    #: SHA-256 of the files, for the audit log.
    sha256: dict[str, str] = field(default_factory=dict)
    #: Passes of the network so far, where it is asked as the work goes on.
    tiles: int = 0
    #: What its record says of how its mark was found.
    about: dict[str, Any] = field(default_factory=dict)
    #: What the engine had to do differently on the device.
    notes: set[str] = field(default_factory=set)
    #: Its way as a whole; the stages are within it.
    span: tracing.Span = field(init=False)

    def __post_init__(self) -> None:
        image = self.image
        self.span = tracing.begin("image", image.trace, image=image.id, job=image.job_id, attempt=image.attempt)

    @property
    def planned(self) -> Task:
        """The task of a picture that is decoded."""
        if self.task is None:
            raise RuntimeError(f"{self.image.id} is not decoded yet")
        return self.task

    @property
    def method(self) -> str:
        """How its result came about, in words for its owner."""
        if not self.image.templates:
            return f"FFC inpainting ({self.filled_by.architecture})"
        filled = f", FFC inpainting ({self.network.architecture})" if self.network is not None else ""
        return f"un-blending{filled}"

    @property
    def filled_by(self) -> LaMaInpainter:
        """The network of a picture that has been with the engine."""
        if self.network is None:
            raise RuntimeError(f"{self.image.id} is not filled yet")
        return self.network

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note the seconds of the block under ``stage``."""
        begun = time.monotonic()
        with tracing.span(f"image.{stage}", self.span.context):
            yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - begun


def success(context: ImageContext, repaired: Repaired, small: Preview, key: str, worker: str) -> Outcome:
    """The outcome of a picture whose result lies under ``key``."""
    task = context.planned
    return Outcome(
        image_id=context.image.id,
        state=ImageState.SUCCEEDED,
        result_key=key,
        content_type=repaired.content_type,
        width=task.width,
        height=task.height,
        tiles_done=task.tiles_total,
        record={
            "method": context.method,
            **repaired.record,
            **context.about,
            "worker": worker,
            "device": context.filled_by.device,
            "precision": context.filled_by.precision,
            "device_notes": sorted(context.notes),
            "sha256": {**context.sha256, "result": sha256(repaired.data)},
            "preview": {"width": small.width, "height": small.height},
            "seconds": {stage: round(seconds, 4) for stage, seconds in context.seconds.items()},
        },
    )


def label_of(context: ImageContext) -> Label:
    """What a result says about its making, where its job asks for that."""
    return Label(context.image.job_id, context.method, datetime.now(UTC))


def sha256(file: bytes) -> str:
    """Hexadecimal."""
    return hashlib.sha256(file).hexdigest()

"""The resources of one device's process: the ledger, the blob store, the network on its device.

They are opened once, after the fork: neither connections nor CUDA survive a fork.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from celery import Celery

from cleanplate.base.reports import DeviceReport
from cleanplate.base.settings import Settings
from cleanplate.base.weights import find
from cleanplate.telemetry import tracing
from model.imaging import Limits
from storage.blobs import open_blobs
from storage.blobs.base import Blobs
from storage.database import Database
from workers.device.activity import Activity
from workers.device.coders.pool import Coding, coding_for
from workers.device.drain import Drain
from workers.device.images.fetching import Fetcher
from workers.device.images.learning import LearnedMarks
from workers.device.images.stages import Stages
from workers.device.messages import Messages
from workers.device.networks import Networks
from workers.shared.heartbeats import FILE_VARIABLE, HeartbeatFile, resident_bytes

if TYPE_CHECKING:
    from model.engine.inpainter import LaMaInpainter
    from model.text.reading import TextReader

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Everything that a shard needs."""

    settings: Settings
    database: Database
    blobs: Blobs
    inpainter: LaMaInpainter
    #: Name of this process in leases and attempts: host, process id and device.
    worker: str
    drain: Drain
    activity: Activity = field(default_factory=Activity)
    #: The process's own way to the queue.
    messages: Messages = field(default_factory=Messages)
    #: Loads its networks at the first picture that asks for it.
    text_reader: TextReader = field(default_factory=lambda: _text_reader(0))

    @functools.cached_property
    def fetcher(self) -> Fetcher:
        """Fetches the files of images."""
        return Fetcher(self.settings, self.blobs)

    @functools.cached_property
    def coding(self) -> Coding:
        """Reads and writes the files of pictures."""
        return coding_for(max(self.settings.coders, 0), self.activity, self.settings.stuck_s)

    @functools.cached_property
    def learned(self) -> LearnedMarks:
        """The marks that jobs' pictures share under their masks."""
        limits = Limits(max_bytes=self.settings.max_image_bytes, max_pixels=self.settings.max_image_pixels)
        return LearnedMarks(self.database, self.blobs, self.fetcher, self.coding, self.drain, limits)

    @functools.cached_property
    def stages(self) -> Stages:
        """The threads of the pipeline."""
        return Stages(self.inpainter.pictures_at_once, self.coding.coders)

    @functools.cached_property
    def networks(self) -> Networks:
        """The process's own network, and those that jobs ask for instead."""
        return Networks(self.settings, self.inpainter)


_held: Resources | None = None


def open_for_process(settings: Settings, drain: Drain, app: Celery | None = None) -> None:
    """Load the network and connect; :func:`own_resources` returns them from then on.

    ``app``: whose queues the process may take further messages from.
    """
    global _held  # noqa: PLW0603 - one per process, as Celery's child is
    # Before the network is loaded: loading may hang as well.
    if path := os.environ.get(FILE_VARIABLE):
        HeartbeatFile(Path(path), _make_report).start()
    from model.engine.inpainter import LaMaInpainter

    started_at = time.monotonic()
    tracing.configure(settings, "worker")
    inpainter = LaMaInpainter(find(settings) or "", settings.device, threads=settings.torch_threads)
    worker = f"{socket.gethostname()}:{os.getpid()}:{inpainter.device}"
    _held = Resources(
        settings=settings,
        database=Database.connect(settings.sqlalchemy_url),
        blobs=open_blobs(settings),
        inpainter=inpainter,
        worker=worker,
        drain=drain,
        messages=Messages(app),
        text_reader=_text_reader(settings.torch_threads),
    )
    log.info("worker.ready", worker=worker, seconds=round(time.monotonic() - started_at, 3))


def _text_reader(threads: int) -> TextReader:
    # Imported here: OpenCV does not belong into the parent of forked children.
    from model.text.reading import TextReader

    return TextReader(threads)


def close_for_process() -> None:
    """Close the resources, if they are open."""
    global _held  # noqa: PLW0603
    if _held is not None:
        _held.messages.close()
        _held.stages.close()
        _held.coding.close()
        _held.networks.close()
        _held.inpainter.close()
        _held.database.close()
        tracing.close()
        _held = None


def _make_report(device: str) -> DeviceReport:
    """The report of this process, for its heartbeat."""
    report = DeviceReport(
        device=device,
        host=socket.gethostname(),
        pid=os.getpid(),
        resident_bytes=resident_bytes(),
        told_at=time.time(),
    )
    resources = _held
    if resources is None:
        return report
    load, activity = resources.inpainter.engine.load, resources.activity
    return replace(
        report,
        state="working",
        images=activity.images,
        images_per_second=round(activity.images_per_second, 3),
        tiles=load.tiles,
        idle_s=round(load.idle_s, 3),
        hanging_s=round(max(load.stalled_s, resources.networks.stalled_s, activity.longest_step_s), 3),
    )


def request_new_process(reason: str) -> None:
    """Stop Celery's process and with it this child: the supervisor starts both anew."""
    log.error("worker.restarts", reason=reason)
    os.kill(os.getppid(), signal.SIGTERM)


def own_resources() -> Resources:
    """The process's resources.

    Raises:
        RuntimeError: this process is no worker's child.
    """
    if _held is None:
        raise RuntimeError("inpaint_shard runs in a worker's child process only: start one with `cleanplate worker`")
    return _held

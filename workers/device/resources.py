"""What one worker process holds while it lives: the ledger, the blob store, the network on its device.

Opened after the fork, once: connections do not survive a fork, and CUDA does not either.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from cleanplate.base.settings import Settings
from cleanplate.base.weights import find
from cleanplate.telemetry import tracing
from storage.blobs import open_blobs
from storage.blobs.base import Blobs
from storage.database import Database
from workers.device.activity import Activity
from workers.device.drain import Drain
from workers.device.images.fetching import Fetcher
from workers.device.networks import Networks
from workers.shared.heartbeats import VARIABLE, Beat, Pulse, resident_bytes

if TYPE_CHECKING:
    from model.engine.inpainter import LaMaInpainter
    from model.text.reading import TextReader

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """All that a shard needs."""

    settings: Settings
    database: Database
    blobs: Blobs
    inpainter: LaMaInpainter
    #: Names this process in leases and attempts: host, process id and device.
    worker: str
    drain: Drain
    activity: Activity = field(default_factory=Activity)
    #: Loads its networks at the first picture that asks for it.
    text_reader: TextReader = field(default_factory=lambda: _text_reader(0))

    @functools.cached_property
    def fetcher(self) -> Fetcher:
        """Where images' files come from."""
        return Fetcher(self.settings, self.blobs)

    @functools.cached_property
    def networks(self) -> Networks:
        """The inpainter, and those that jobs ask for instead."""
        return Networks(self.settings, self.inpainter)


_held: Resources | None = None


def open_for_process(settings: Settings, drain: Drain) -> None:
    """Load the network and connect; ``held`` answers from then on."""
    global _held  # noqa: PLW0603 - one per process, as Celery's child is
    # From the first moment: loading may hang as well.
    if path := os.environ.get(VARIABLE):
        Pulse(Path(path), _beat).start()
    from model.engine.inpainter import LaMaInpainter

    begun = time.monotonic()
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
        text_reader=_text_reader(settings.torch_threads),
    )
    log.info("worker.ready", worker=worker, seconds=round(time.monotonic() - begun, 3))


def _text_reader(threads: int) -> TextReader:
    # Not above: OpenCV does not belong into the parent of forked children.
    from model.text.reading import TextReader

    return TextReader(threads)


def close_for_process() -> None:
    """Close what was opened; nothing where nothing was."""
    global _held  # noqa: PLW0603
    if _held is not None:
        _held.networks.close()
        _held.inpainter.close()
        _held.database.close()
        tracing.close()
        _held = None


def _beat() -> Beat:
    """What there is to tell of this process."""
    held = _held
    if held is None:
        return Beat(pid=os.getpid(), resident_bytes=resident_bytes())
    load = held.inpainter.engine.load
    return Beat(
        pid=os.getpid(),
        ready=True,
        images=held.activity.images,
        images_per_second=round(held.activity.images_per_second, 3),
        tiles=load.tiles,
        idle_s=round(load.idle_s, 3),
        hanging_s=round(max(load.stalled_s, held.networks.stalled_s, held.activity.longest_step_s), 3),
        resident_bytes=resident_bytes(),
    )


def ask_for_a_new_process(reason: str) -> None:
    """Have Celery's process stop, this child with it: the supervisor begins both anew."""
    log.error("worker.gives_up", reason=reason)
    os.kill(os.getppid(), signal.SIGTERM)


def held() -> Resources:
    """The process's resources.

    Raises:
        RuntimeError: this process is no worker's child.
    """
    if _held is None:
        raise RuntimeError("inpaint_shard runs in a worker's child process only: start one with `cleanplate worker`")
    return _held

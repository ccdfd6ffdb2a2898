"""Every Prometheus metric of every process, and the port that shows them.

Where one service runs as several processes (the API's, a worker machine's), each writes its numbers into files of one
folder, which :func:`gather` must name before this module is imported by any of them; the parent shows their sum.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cleanplate.base.settings import Settings

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

#: Where prometheus_client looks for the folder, when it is imported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
#: What is added to ``CLEANPLATE_METRICS_PORT``, so that all services fit on one machine.
API, DISPATCHER, WORKER = 0, 1, 2


@contextmanager
def gather(settings: Settings) -> Iterator[str]:
    """A folder for the numbers of a parent and its children while the block runs; empty where no port is set."""
    if not settings.metrics_port:
        yield ""
        return
    folder = tempfile.mkdtemp(prefix="cleanplate-metrics-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def shown(settings: Settings, service: int, folder: str = "") -> Iterator[None]:
    """Serves the metrics at ``/metrics`` while the block runs: this process's, or all that wrote into ``folder``."""
    if not settings.metrics_port:
        yield
        return
    server = show(settings, service, folder)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def show(settings: Settings, service: int, folder: str = "") -> WSGIServer:
    """Begins to serve, in a thread; see :func:`shown`. Raises OSError where the port is taken."""
    from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = REGISTRY
    if folder:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    server, _thread = start_http_server(settings.metrics_port + service, settings.metrics_host, registry)
    return server


def process_ended(pid: int, folder: str) -> None:
    """Forgets the gauges of a process that is gone; what it counted stays counted."""
    from prometheus_client.multiprocess import mark_process_dead

    if folder:
        mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


def environment(folder: str) -> dict[str, str]:
    """What a child's environment must hold to write into ``folder``."""
    return {FOLDER: folder} if folder else {}


def write_into(folder: str) -> None:
    """As :func:`environment`, for this process and those forked from it. Before any metric is imported."""
    os.environ.update(environment(folder))

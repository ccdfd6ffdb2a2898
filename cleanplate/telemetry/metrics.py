"""The port that serves a process's Prometheus metrics, and the folder that sums those of several processes.

The processes of one program (the API's, a worker machine's) write their values into files of one folder. The parent
makes the folder with :func:`gather` before any of them imports ``meters``, and serves the sums.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from cleanplate.base.settings import Settings

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

#: prometheus_client reads the folder from this variable, when it is imported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
#: Offsets to ``CLEANPLATE_METRICS_PORT``, so that all programs fit on one machine.
API, DISPATCHER, WORKER = 0, 1, 2
PROGRAMS = 3
_PORTS_TRIED, _LAST_PORT = 20, 65535

log = structlog.get_logger(__name__)


@contextmanager
def gather(settings: Settings) -> Iterator[str]:
    """A folder for the values of a parent and its children while the block runs; empty where no port is set."""
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
    """Serve ``/metrics`` while the block runs: this process's values, or the sums of ``folder``."""
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
    """Start to serve, in a thread; see :func:`shown`.

    Where the port is taken, another one is, three further: that of the same program in a second service.

    Raises:
        OSError: the ports cannot be used.
    """
    from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = REGISTRY
    if folder:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    wanted = settings.metrics_port + service
    for port in range(wanted, min(wanted + _PORTS_TRIED * PROGRAMS, _LAST_PORT), PROGRAMS):
        try:
            server, _thread = start_http_server(port, settings.metrics_host, registry)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        if port != wanted:
            log.warning("metrics.port_taken", port=wanted, served_at=port)
        return server
    raise OSError(errno.EADDRINUSE, f"No port for metrics is free from {wanted} on")


def process_ended(pid: int, folder: str) -> None:
    """Drop the gauges of a dead process; its counters stay in the sums."""
    from prometheus_client.multiprocess import mark_process_dead

    if folder:
        mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


def environment(folder: str) -> dict[str, str]:
    """The variables with which a child writes into ``folder``."""
    return {FOLDER: folder} if folder else {}


def write_into(folder: str) -> None:
    """Set :func:`environment` for this process and its forks; call it before ``meters`` is imported."""
    os.environ.update(environment(folder))

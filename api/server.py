"""The API's server, run inside this process. On SIGTERM it answers open requests, then stops.

gunicorn's arbiter keeps the processes; in each, waitress' loop reads and writes the connections, so that slow clients
hold no thread.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from waitress import wasyncore

from api import bodies
from api.concurrency import HEALTH
from api.connections import Lanes, Server
from api.under_path import path_below
from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs, metrics, tracing

if TYPE_CHECKING:
    from apiflask import APIFlask

    from api.stores import Stores

#: Seconds for open requests to be answered after SIGTERM.
GRACE_S = 30
#: Seconds between two looks at slow clients, and at open requests while the process stops.
_TEND_S = 1.0
_STOP_S = 0.1
#: Threads in which requests wait for a place, see ``api.concurrency``.
_WAITING_THREADS = 64
_MOST_CONNECTIONS = 4096
#: Files that a process needs beside its connections.
_OTHER_FILES = 256
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the workers' heartbeat, an empty file


class _Log(Logger):
    """Sends gunicorn's log lines through the process's own logging, which redacts them."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.NOTSET)


class _Server(BaseApplication):
    def __init__(self, settings: Settings, metrics_folder: str) -> None:
        self.settings = settings
        self.metrics_folder = metrics_folder
        #: The application's stores, once a worker has loaded it.
        self.stores: Stores | None = None
        self.flask: APIFlask
        super().__init__()

    def load_config(self) -> None:
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        options = {
            "bind": f"{host}:{self.settings.port}",
            "worker_class": _Worker,
            "workers": self.settings.api_workers,
            "timeout": 120,
            "graceful_timeout": GRACE_S,
            "worker_tmp_dir": str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None,
            "logger_class": _Log,
            "control_socket_disable": True,
            "proc_name": "cleanplate-api",
            "child_exit": self._child_ended,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def _child_ended(self, _arbiter: Arbiter, worker: Any) -> None:
        metrics.process_ended(worker.pid, self.metrics_folder)

    def load(self) -> Any:
        from api.app import create_app

        tracing.configure(self.settings, "api")
        self.flask = create_app(self.settings)
        self.stores = self.flask.extensions["cleanplate"]
        return self.flask


class _Worker(Worker):
    """A process of the API: one loop for all sockets (``connections``), and threads for whole requests (``lanes``)."""

    app: _Server
    sockets: list[Any]  # gunicorn's own, each with a ``sock``
    _listeners: tuple[Server, ...] = ()

    def run(self) -> None:
        settings = self.app.settings
        stores = self.app.stores
        assert stores is not None
        application: APIFlask = self.app.flask
        below = path_below(settings.public_url)
        lanes = Lanes(
            threads=settings.api_threads + settings.api_streams + settings.api_downloads + _WAITING_THREADS,
            health={*HEALTH, *(f"{below}{path}" for path in HEALTH)},
        )
        sockets: dict[int, Any] = {}
        self._listeners = tuple(
            Server(
                self.wsgi,
                listener.sock,
                sockets=sockets,
                lanes=lanes,
                most=_most_connections(),
                public_url=settings.public_url.rstrip("/"),
                keeps_forwarded=settings.proxies > 0,
                longest_body=lambda environ: bodies.longest_body(application, environ),
            )
            for listener in self.sockets
        )
        tended_at = 0.0
        while self.alive and self.ppid == os.getppid():
            self.notify()
            wasyncore.poll2(_TEND_S, sockets)
            if time.monotonic() >= tended_at + _TEND_S:
                tended_at = time.monotonic()
                for server in self._listeners:
                    server.tend()
        self._finish(sockets)

    def _finish(self, sockets: dict[int, Any]) -> None:
        """Answer the requests that have begun to arrive; event streams end at once."""
        if self.app.stores is not None:
            self.app.stores.watcher.stop()
        until = time.monotonic() + GRACE_S
        for server in self._listeners:
            server.stop_listening()
        while sum(server.close_idle() for server in self._listeners) and time.monotonic() < until:
            self.notify()
            wasyncore.poll2(_STOP_S, sockets)

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        for server in self._listeners:
            server.pull_trigger()


def _most_connections() -> int:
    """The number of connections that this process may hold open; raises its limit of files as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(_MOST_CONNECTIONS * 2, hard) if hard != resource.RLIM_INFINITY else _MOST_CONNECTIONS * 2
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    # A large body and a large answer take a file each.
    return max(16, min(_MOST_CONNECTIONS, (soft - _OTHER_FILES) // 2))


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Call it from the main thread."""
    logs.configure(settings)
    server = os.getpid()
    with metrics.gather(settings) as folder:
        # Before a worker is forked and imports the metrics.
        metrics.write_into(folder)
        with metrics.shown(settings, metrics.API, folder):
            return _serve(_Server(settings, folder), server)


def _serve(application: _Server, server: int) -> int:
    try:
        Arbiter(application).run()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if os.getpid() != server:
            # A forked worker has ended: it must not run the caller's code after serving.
            tracing.close()
            logging.shutdown()
            sys.stdout.flush()
            os._exit(status)
        return status
    return 0

"""The API's server: gunicorn with threads, run inside this process. On SIGTERM it answers open requests, then stops."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs, metrics, tracing

if TYPE_CHECKING:
    from api.stores import Stores

#: Seconds for open requests to be answered after SIGTERM.
GRACE_S = 30
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
        super().__init__()

    def load_config(self) -> None:
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        threads = self.settings.api_threads + self.settings.api_streams
        options = {
            "bind": f"{host}:{self.settings.port}",
            "worker_class": _Worker,
            "workers": self.settings.api_workers,
            "threads": threads,
            # Idle connections beside them cost nothing.
            "worker_connections": threads + 1000,
            "timeout": 120,
            "graceful_timeout": GRACE_S,
            "keepalive": 15,
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
        app = create_app(self.settings)
        self.stores = app.extensions["cleanplate"]
        return app


class _Worker(ThreadWorker):
    """Ends the event streams when it is asked to stop: they outlast the grace period."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._end_streams()
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        self._end_streams()
        super().handle_quit(sig, frame)

    def _end_streams(self) -> None:
        if isinstance(self.app, _Server) and self.app.stores is not None:
            self.app.stores.watcher.stop()


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

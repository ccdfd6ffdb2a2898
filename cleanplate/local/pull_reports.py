"""Tells others how far a pull is, and stops the pull when somebody asks for it."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from cleanplate.base.pulls import Pull, Stage, stop_path, write_pull
from cleanplate.errors import CleanplateError, FolderUnusable
from model.errors import ModelError

#: Seconds between two reports, and between two looks for a request to stop.
EVERY_S = 0.4


class PullReport:
    """Reports a pull while the block runs, and how it ended. A request to stop becomes SIGTERM of this process."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._pull = Pull()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="pull-report", daemon=True)

    def note(self, arrived: int, total: int | None) -> None:
        """Note the bytes that have arrived."""
        stage = Stage.CHECKING if arrived == total else Stage.FETCHING
        self._pull = replace(self._pull, stage=stage, arrived=arrived, total=total)

    def __enter__(self) -> PullReport:
        stop_path(self._state).unlink(missing_ok=True)
        self._write()
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        stop_path(self._state).unlink(missing_ok=True)
        if error is None:
            self._state.unlink(missing_ok=True)
            return
        if isinstance(error, CleanplateError | ModelError):
            self._pull = replace(self._pull, stage=Stage.FAILED, code=error.code, detail=str(error))
        elif isinstance(error, Exception):
            self._pull = replace(self._pull, stage=Stage.FAILED, code="internal_error", detail=str(error))
        else:
            self._pull = replace(self._pull, stage=Stage.STOPPED)
        self._write()

    def _tell(self) -> None:
        while not self._ended.wait(EVERY_S):
            if stop_path(self._state).exists():
                os.kill(os.getpid(), signal.SIGTERM)
                return
            self._write()

    def _write(self) -> None:
        with suppress(FolderUnusable, OSError):  # the pull itself says that nothing can be written
            write_pull(self._state, self._pull)

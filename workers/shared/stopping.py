"""SIGTERM and SIGINT as an event that a program's own loop can wait for."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """While its ``with`` block runs, the two signals wake ``wait`` and do not end the process. Main thread only.

    A pipe and not an Event: setting an Event in a signal handler can deadlock with the wait that it interrupts.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignal:
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._writable, False)
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._readable)
        os.close(self._writable)

    def _note(self, number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # full of earlier signals
            os.write(self._writable, b"!")

    def wait(self, seconds: float) -> bool:
        """Wait for at most ``seconds``; whether a signal has ever come."""
        # Nothing reads the pipe, so that a signal stays visible.
        return bool(select.select([self._readable], [], [], seconds)[0])

"""Logging belongs to the whole process: a block or a test that sets it up leaves everything as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs


@contextmanager
def unchanged_logging() -> Iterator[None]:
    """Everything as before at the end: a handler that stays would write to a stream that is closed by then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()


@contextmanager
def restored_logging(settings: Settings) -> Iterator[None]:
    """``logs.configure``, and everything as before at the end."""
    with unchanged_logging():
        logs.configure(settings)
        yield

"""Logging set up for the length of a block, because it belongs to the whole process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs


@contextmanager
def restored_logging(settings: Settings) -> Iterator[None]:
    """``logs.configure``, and everything as before at the end."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(settings)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()

"""Structured logs of every process: one event per line on standard error, JSON or for people.

Events of libraries take the same way. ``redact`` is the last step of every line: no key, password, signed link or
query string reaches a log, whichever code wrote it.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from cleanplate.base.settings import Settings

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"secret|token|passw|authorization|credential|signature|signing|cookie|api_?key", re.IGNORECASE
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # The password of a URL.
    (re.compile(r"(?<=://)[^\s/@\"']+@"), f"{REDACTED}@"),
    # A link to the local blob store works for everybody who has it.
    (re.compile(r"/blobs/[^\s\"'<>]+"), f"/blobs/{REDACTED}"),
    # The query string carries the signature of a presigned link.
    (re.compile(r"(?<=[\w/])\?[^\s\"'<>]*=[^\s\"'<>]*"), f"?{REDACTED}"),
    # API keys and webhook secrets, anywhere in a text.
    (re.compile(r"\b(?:cp|whsec)_[A-Za-z0-9+/_=-]{20,}"), REDACTED),
    (re.compile(r"(?i)\bbearer +\S+"), f"Bearer {REDACTED}"),
)


def redact_text(text: str) -> str:
    """``text`` without keys, passwords, signed links and query strings."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: REDACTED if _names_a_secret(key) else _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_text(str(value))


def _names_a_secret(key: Any) -> bool:
    return isinstance(key, str) and _SECRET_NAME.search(key) is not None


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Remove secrets from an event: the last processor before the renderer."""
    return {
        key: value if key.startswith("_") else REDACTED if _names_a_secret(key) else _clean(value)
        for key, value in event.items()
    }


def configure(settings: Settings) -> None:
    """Configure structlog and the standard library's logging for the process. A second call replaces the first."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for previous in root.handlers[:]:
        if isinstance(previous.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(previous)
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    # Their info lines report each connection, credential lookup and schema check.
    for chatty in ("alembic", "botocore", "boto3", "urllib3", "httpx", "httpcore", "s3transfer"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Bound at each use, so that a second configuration also applies to existing loggers.
        cache_logger_on_first_use=False,
    )

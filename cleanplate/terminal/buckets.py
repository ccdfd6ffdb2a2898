"""Buckets as arguments of the command line: which arguments name one, and what a job leaves out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cleanplate.client.answers import LeftOutKey, SkippedLine

#: Keys told one by one.
_SHOWN = 5


def is_bucket(source: str) -> bool:
    """Whether the argument is an address in S3."""
    return source.startswith("s3://")


def name_of(source: str) -> str:
    """A name for the job of this folder, manifest or bucket."""
    return source[:200] if is_bucket(source) else Path(source).resolve().name[:200]


def destination_of(to: str) -> str:
    """The destination of a job: the address with its places, or the pictures' paths under it."""
    return to if "{" in to else f"{to.rstrip('/')}/{{path}}"


def left_out_lines(keys: Iterable[SkippedLine | LeftOutKey], count: int) -> Iterator[str]:
    """The first keys that are left out, a line each, and the number of the others; ``count`` is that of all."""
    shown = 0
    for shown, key in enumerate(keys, 1):
        yield f"Left out: {key.detail}"
        if shown == _SHOWN:
            break
    if count > shown:
        yield f"Left out: {count - shown} more"

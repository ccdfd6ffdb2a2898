"""Makes file names that clients send safe to store, to show and to return in a header."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from cleanplate.base.names import stem_and_extension
from storage import records

MAX_BYTES = 255
MAX_PATH_BYTES = 1024
# Marks that reverse the writing direction: they can make ``gpj.exe`` look like a picture.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean_filename(name: str) -> str:
    """The base name in NFC, without control characters, at most 255 bytes of UTF-8 (the extension is kept).

    A colon becomes ``_``: to a client on Windows ``C:x.jpg`` is a file of another drive, ``x.jpg:y`` a hidden stream.

    Raises:
        ValueError: nothing is left of it.
    """
    base = re.split(r"[/\\]", name)[-1]
    kept = "".join(c for c in base if unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp"})
    kept = unicodedata.normalize("NFC", _DIRECTION.sub("", kept)).replace(":", "_").strip()
    if not kept.strip("."):
        raise ValueError(f"{name[:40]!r} is not the name of a file")
    return _capped(kept)


def clean_path(path: str) -> str:
    """A relative path of such names, separated by slashes, at most 1024 bytes.

    Raises:
        ValueError: it leaves its folder, is too long, or nothing is left of a part.
    """
    parts = [part for part in re.split(r"[/\\]", path) if part not in {"", "."}]
    if ".." in parts:
        raise ValueError(f"{path[:40]!r} leaves its folder")
    if not parts:
        raise ValueError(f"{path[:40]!r} is not the path of a file")
    cleaned = "/".join(clean_filename(part) for part in parts)
    if len(cleaned.encode()) > MAX_PATH_BYTES:
        raise ValueError(f"the path is longer than {MAX_PATH_BYTES} bytes")
    return cleaned


def _capped(name: str) -> str:
    if len(name.encode()) <= MAX_BYTES:
        return name
    stem, extension = stem_and_extension(name)
    tail = extension.encode()
    if len(tail) > 16:
        stem, tail = name, b""
    return stem.encode()[: MAX_BYTES - len(tail)].decode(errors="ignore").rstrip() + tail.decode()


def download_name(image: records.Image | records.Result) -> str:
    """The picture's name, with the ending of its result: of its format, or the picture's own where the job keeps it."""
    current = image.current if isinstance(image, records.Image) else image
    stem, extension = stem_and_extension(image.name if image.path is None else image.path.rpartition("/")[2])
    return stem + (PurePosixPath(current.result_key or "").suffix or extension)

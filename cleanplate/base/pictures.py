"""Which files of a folder are taken for pictures, by their names; whether they are, is decided by their bytes."""

from __future__ import annotations

#: Ends of names, in lower case.
PICTURES = frozenset({
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".png", ".tif",
    ".tiff", ".webp",
})  # fmt: skip

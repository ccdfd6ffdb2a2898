"""Whether this machine can find text marks: a light check that imports nothing."""

from __future__ import annotations

from importlib.util import find_spec

#: Packages of the extra ``text``.
PACKAGES = ("rapidocr", "onnxruntime", "rapidfuzz")


def missing() -> list[str]:
    """Packages of the extra ``text`` that are not installed here."""
    return [name for name in PACKAGES if find_spec(name) is None]

"""The extras of the installed package: which of them are complete on this machine. Nothing is imported to find out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires

PACKAGE = "cleanplate"
#: ``name[extra,extra] versions; markers``, as a wheel's metadata holds it (PEP 508).
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[(?P<extras>[\w,.-]+)\])?[^;]*;(?P<markers>.*)")


def missing_extras(extras: Iterable[str]) -> list[str]:
    """Those of the ``extras`` with a distribution that is not installed."""
    return [extra for extra in extras if not all(_is_installed(name) for name in _distributions(extra))]


def _distributions(extra: str) -> Iterator[str]:
    """The distributions that an extra requires itself, without theirs."""
    try:
        requirements = requires(PACKAGE) or []
    except PackageNotFoundError:
        return  # A source tree on sys.path: it has no metadata, and an import says what is missing.
    for match in filter(None, map(_REQUIREMENT.fullmatch, requirements)):
        if not re.search(rf"""extra == ["']{extra}["']""", match["markers"]):
            continue
        if match["name"] == PACKAGE:
            for inner in match["extras"].split(","):
                yield from _distributions(inner)
        else:
            yield match["name"]


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True

"""The home folder of the embedded service, and the files in it that lead to that service."""

from __future__ import annotations

import os
from pathlib import Path


def default_home() -> Path:
    """The home folder of a user who names none."""
    return Path.home() / ".cleanplate"


def stated_home() -> Path:
    """The home folder that ``CLEANPLATE_HOME`` names, or the default one."""
    return Path(os.environ.get("CLEANPLATE_HOME", default_home())).expanduser()


def key_path(home: Path) -> Path:
    """The file with the API key of the embedded service."""
    return home / "api-key"


def address_path(home: Path) -> Path:
    """The file with the address of the embedded service while it runs."""
    return home / "address"


def link_path(home: Path) -> Path:
    """The file with the newest link that signs a browser in, as a page that leads there."""
    return home / "login-link.html"

"""The home folder of the embedded service, and the two files in it that commands read to reach that service."""

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

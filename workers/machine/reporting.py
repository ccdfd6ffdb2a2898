"""What a machine's workers are doing, as their supervisor writes it down; ``cleanplate.base.reports`` reads it."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from cleanplate.base.reports import DeviceReport
from cleanplate.base.settings import Settings
from workers.shared.heartbeats import put

#: Seconds between two reports.
REPORT_S = 2.0


def own_folder(settings: Settings) -> Path:
    """A folder for the reports of this supervisor; those of dead ones on this machine are removed."""
    above = settings.home / "workers"
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    host = socket.gethostname()
    for folder in above.glob(f"{host}-*"):
        if not _lives(folder.name.rpartition("-")[2]):
            shutil.rmtree(folder, ignore_errors=True)
    folder = above / f"{host}-{os.getpid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_reports(folder: Path, reports: Iterable[DeviceReport]) -> None:
    """Replace what this supervisor has said before."""
    put(folder / "status.json", json.dumps([asdict(report) for report in reports]))


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

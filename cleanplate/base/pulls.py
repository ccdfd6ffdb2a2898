"""How far a pull of published weights is: a file beside the weights, written by the pull and read by the page.

A pull that is killed writes no end. Its file is stale after ``STALE_S``, and the pull counts as stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from cleanplate.base.files import replacing
from cleanplate.base.settings import Settings
from cleanplate.base.weights import folder

#: Age in seconds from which the state of a running pull is stale. The first state comes before Python has started.
STALE_S = 20.0


class Stage(StrEnum):
    """The stages of a pull."""

    #: The program of the pull begins, or waits for the server's first answer.
    STARTING = "starting"
    FETCHING = "fetching"
    #: All bytes are here: their digest is compared, then they are converted.
    CHECKING = "checking"
    #: A person stopped it, or its process died. The bytes that arrived are kept.
    STOPPED = "stopped"
    #: It ended with the error ``code``.
    FAILED = "failed"

    @property
    def runs(self) -> bool:
        return self in {Stage.STARTING, Stage.FETCHING, Stage.CHECKING}


@dataclass(frozen=True, kw_only=True)
class Pull:
    """One pull. Sizes in bytes; ``None``: the server has not stated it."""

    stage: Stage = Stage.STARTING
    arrived: int = 0
    total: int | None = None
    #: Code of the error that ended it, and its sentence; empty without one.
    code: str = ""
    detail: str = ""
    #: Unix time of this state.
    told_at: float = 0.0


def state_path(settings: Settings, name: str) -> Path:
    """The file with the state of the pull of these weights."""
    return folder(settings) / f".{name}.pull.json"


def stop_path(state: Path) -> Path:
    """The file whose presence asks the pull with this state to stop."""
    return state.with_suffix(".stop")


def read_pull(state: Path) -> Pull | None:
    """The pull with this state; ``None``: there is none, or it ended well."""
    try:
        fields = json.loads(state.read_text())
        pull = Pull(**{**fields, "stage": Stage(fields["stage"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    stale = pull.stage.runs and time.time() - pull.told_at > STALE_S
    return replace(pull, stage=Stage.STOPPED) if stale else pull


def write_pull(state: Path, pull: Pull) -> None:
    """Write the state as of now.

    Raises:
        FolderUnusable: the folder cannot be written.
    """
    with replacing(state) as file:
        file.write(json.dumps(asdict(replace(pull, told_at=time.time()))).encode())

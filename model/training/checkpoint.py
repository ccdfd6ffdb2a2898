"""One file that holds a run: written whole or not at all, read without executing its content."""

from __future__ import annotations

import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from model.errors import CheckpointRejected, CheckpointUnwritten


def write_checkpoint(state: dict[str, Any], path: Path, *, step: int) -> None:
    """Replace ``path`` atomically by ``state``, which is on the disk before the old file goes.

    Raises:
        CheckpointUnwritten: the disk is full or refuses the write; the old file stays.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError for a full disk
        raise CheckpointUnwritten(step, path, _reason(error)) from None
    finally:
        partial.unlink(missing_ok=True)


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The state in ``path``.

    Raises:
        CheckpointRejected: the file is not a checkpoint, or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError, ValueError) as error:
        raise CheckpointRejected(
            f"{path} cannot be read ({_reason(error)}). Move it away to begin anew, or put a good copy in its place."
        ) from None
    return state


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]

"""Which devices this machine offers to the network, found without touching CUDA: a parent that did could not fork."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pynvml

from cleanplate.settings import Settings
from workers.errors import NoDevice


@dataclass(frozen=True)
class Device:
    """What one worker process is pinned to."""

    #: For the process's name: ``cuda0``, ``cpu``.
    name: str
    #: Variables of its environment.
    environment: dict[str, str]


def devices(settings: Settings) -> list[Device]:
    """One per CUDA device, or the CPU, as ``settings.device`` asks.

    Raises:
        NoDevice: CUDA was asked for and there is none.
    """
    if settings.device != "cpu":
        visible = _visible(os.environ.get("CUDA_VISIBLE_DEVICES"), _uuids())
        if visible:
            return [
                Device(f"cuda{index}", {"CUDA_VISIBLE_DEVICES": identifier}) for index, identifier in enumerate(visible)
            ]
        if settings.device == "cuda":
            raise NoDevice
    # Threads that wait for work must not spin: the machine has other things to do.
    return [Device("cpu", {"CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "PASSIVE"})]


def _visible(chosen: str | None, present: list[str]) -> list[str]:
    """Narrow what is ``present`` by an inherited ``CUDA_VISIBLE_DEVICES``, whose entries are handed on as they are."""
    if chosen is None or not present:
        return present
    return [entry.strip() for entry in chosen.split(",") if entry.strip() not in {"", "-1"}]


def _uuids() -> list[str]:
    """Identifiers of all NVIDIA devices, which mean the same in every process whatever order CUDA counts in."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount()))
        return [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()

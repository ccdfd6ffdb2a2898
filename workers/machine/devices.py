"""The devices of this machine and their state, by NVML: a parent that touched CUDA cannot fork.

A GPU that is cut into MIG slices counts as its slices.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pynvml

from cleanplate.base.settings import Settings
from workers.errors import NoDevice, UnknownDevice


@dataclass(frozen=True)
class Device:
    """A device to which one process is pinned."""

    #: ``cuda0``, ``cpu``; the process bears this name.
    name: str
    #: Variables of the process's environment.
    environment: dict[str, str] = field(default_factory=dict)
    #: NVML's name for it, which means the same in every process; ``None`` for the CPU.
    uuid: str | None = None


@dataclass(frozen=True)
class Reading:
    """The state of a device. ``None``: NVML does not report it."""

    memory_used: int | None = None
    memory_total: int | None = None
    temperature_c: int | None = None


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver."""

    #: ``580.95.05``
    version: str
    #: The newest CUDA that it runs, as major and minor version.
    cuda: tuple[int, int]


# Waiting threads must not spin: the machine has other work.
_CPU = Device("cpu", {"CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "PASSIVE"})


def devices(settings: Settings, chosen: str | None = None) -> list[Device]:
    """All CUDA devices, or the CPU, as ``settings.device`` asks.

    ``chosen``: some of the devices, by their numbers on this machine or their UUIDs, with commas.

    Raises:
        NoDevice: the settings ask for CUDA, and there is no device.
        UnknownDevice: a chosen device is not on this machine.
    """
    if settings.device != "cpu":
        cuda_devices = _numbered(_visible(os.environ.get("CUDA_VISIBLE_DEVICES"), _uuids()))
        if cuda_devices:
            return _chosen(cuda_devices, chosen) if chosen is not None else cuda_devices
        if settings.device == "cuda" or chosen is not None:
            raise NoDevice
    return [_CPU]


def _numbered(uuids: list[str]) -> list[Device]:
    return [Device(f"cuda{index}", {"CUDA_VISIBLE_DEVICES": uuid}, uuid) for index, uuid in enumerate(uuids)]


def _chosen(present: list[Device], chosen: str) -> list[Device]:
    by_name = {str(index): device for index, device in enumerate(present)} | {
        str(device.uuid): device for device in present
    }
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    unknown = [name for name in names if name not in by_name]
    if unknown or not names:
        raise UnknownDevice(unknown, [f"{index} ({device.uuid})" for index, device in enumerate(present)])
    return list({by_name[name].name: by_name[name] for name in names}.values())


def _visible(inherited: str | None, present: list[str]) -> list[str]:
    """The ``present`` devices that an inherited ``CUDA_VISIBLE_DEVICES`` names, by NVML's numbers or by UUIDs.

    Names that NVML does not know are passed on.
    """
    if inherited is None or not present:
        return present
    entries = [entry.strip() for entry in inherited.split(",")]
    kept = [entry for entry in entries if entry not in {"", "-1"}]
    return [present[int(entry)] if entry.isdecimal() and int(entry) < len(present) else entry for entry in kept]


def read_device(device: Device) -> Reading:
    """Memory and temperature of a device; of a MIG slice, the temperature of the GPU around it."""
    if device.uuid is None:
        return Reading()
    with _nvml() as available:
        handle = _or_none(lambda: pynvml.nvmlDeviceGetHandleByUUID(device.uuid)) if available else None
        if handle is None:
            return Reading()
        memory = _or_none(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
        whole = _or_none(lambda: pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)) or handle
        temperature = _or_none(lambda: pynvml.nvmlDeviceGetTemperature(whole, pynvml.NVML_TEMPERATURE_GPU))
    return Reading(memory and int(memory.used), memory and int(memory.total), temperature)


def driver() -> Driver | None:
    """NVIDIA's driver of this machine; ``None`` where there is none."""
    with _nvml() as available:
        if not available:
            return None
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        return Driver(str(pynvml.nvmlSystemGetDriverVersion()), (cuda // 1000, cuda % 1000 // 10))


def _uuids() -> list[str]:
    """UUIDs of all NVIDIA devices; slices stand in place of the GPU that is cut into them."""
    with _nvml() as available:
        if not available:
            return []
        gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetUUID(handle)) for gpu in gpus for handle in _slices(gpu)]


def _slices(gpu: Any) -> list[Any]:
    """The MIG slices of a GPU; the GPU itself where it is not cut."""
    mode = _or_none(lambda: pynvml.nvmlDeviceGetMigMode(gpu))
    if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return [gpu]
    count = pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
    handles = (_or_none(lambda: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)) for index in range(count))  # noqa: B023
    return [handle for handle in handles if handle is not None]


@contextmanager
def _nvml() -> Iterator[bool]:
    """Open NVML during the block; False where this machine has none."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        pynvml.nvmlShutdown()


def _or_none(ask: Callable[[], Any]) -> Any:
    """NVML's answer; ``None`` where this device does not support the question."""
    try:
        return ask()
    except pynvml.NVMLError:
        return None

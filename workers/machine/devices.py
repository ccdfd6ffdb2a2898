"""The devices of this machine and their state, by NVML: a parent that touched CUDA cannot fork.

A GPU that is cut into MIG slices counts as its slices.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pynvml
import structlog

from cleanplate.base.settings import Settings
from workers.errors import DevicesSilent, NoDevice, UnknownDevice

log = structlog.get_logger(__name__)


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


#: Values of ``CUDA_VISIBLE_DEVICES`` that hide all devices.
_NO_DEVICES = {"none", "void", "nodevfiles"}
# Waiting threads must not spin: the machine has other work.
_CPU = Device("cpu", {"CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "PASSIVE"})


def devices(settings: Settings, chosen: str | None = None) -> list[Device]:
    """All CUDA devices, or the CPU, as ``settings.device`` asks. A GPU that does not answer is left out, and logged.

    ``chosen``: some of the devices, by their numbers on this machine or their UUIDs, with commas.

    Raises:
        NoDevice: the settings ask for CUDA, and there is no device.
        DevicesSilent: there are GPUs, and none answers.
        UnknownDevice: a chosen device, or one of ``CUDA_VISIBLE_DEVICES``, is not on this machine.
    """
    if settings.device != "cpu":
        cuda_devices = _numbered(_visible(os.environ.get("CUDA_VISIBLE_DEVICES"), _uuids()))
        if cuda_devices:
            return _chosen(cuda_devices, chosen) if chosen is not None else cuda_devices
        if settings.device == "cuda" or chosen is not None:
            raise NoDevice
    return [_CPU]


def _numbered(uuids: list[str]) -> list[Device]:
    # A process that PyTorch gives no CUDA ends with an error; with `auto` it would compute on the CPU without a word.
    return [
        Device(f"cuda{index}", {"CUDA_VISIBLE_DEVICES": uuid, "CLEANPLATE_DEVICE": "cuda"}, uuid)
        for index, uuid in enumerate(uuids)
    ]


def _chosen(present: list[Device], chosen: str) -> list[Device]:
    by_name = {str(index): device for index, device in enumerate(present)} | {
        str(device.uuid): device for device in present
    }
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    unknown = [name for name in names if name not in by_name]
    if unknown or not names:
        raise UnknownDevice(unknown, _listed([device.uuid for device in present]))
    return list({by_name[name].name: by_name[name] for name in names}.values())


def _visible(inherited: str | None, present: list[str | None]) -> list[str]:
    """The devices that answer, of those that an inherited ``CUDA_VISIBLE_DEVICES`` names if there is one.

    ``present``: by NVML's numbers; ``None`` for a device that does not answer. A name is a number or the beginning of
    a UUID; as for CUDA, names after a negative number do not count.

    Raises:
        DevicesSilent: none of them answers.
        UnknownDevice: this machine has no such device.
    """
    named = list(range(len(present)))
    if inherited is not None and present:
        named = []
        for entry in (part.strip() for part in inherited.split(",") if part.strip()):
            if entry.startswith("-") or entry.lower() in _NO_DEVICES:
                break
            named.append(_number_of(entry, present))
    answering = [uuid for number in dict.fromkeys(named) if (uuid := present[number]) is not None]
    if named and not answering:
        raise DevicesSilent(len(set(named)))
    return answering


def _number_of(entry: str, present: list[str | None]) -> int:
    if entry.isdecimal() and int(entry) < len(present):
        return int(entry)
    numbers = [number for number, uuid in enumerate(present) if uuid is not None and uuid.startswith(entry)]
    if entry.isdecimal() or len(numbers) != 1:
        raise UnknownDevice([f"{entry} (of CUDA_VISIBLE_DEVICES)"], _listed(present))
    return numbers[0]


def _listed(uuids: Sequence[str | None]) -> list[str]:
    """Devices for a sentence: ``0 (GPU-8932f937)``."""
    return [f"{number} ({uuid or 'does not answer'})" for number, uuid in enumerate(uuids)]


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


def _uuids() -> list[str | None]:
    """UUIDs of all NVIDIA devices, slices in place of the GPU that is cut into them; ``None``: it does not answer."""
    with _nvml() as available:
        if not available:
            return []
        return [uuid for index in range(pynvml.nvmlDeviceGetCount()) for uuid in _uuids_of(index)]


def _uuids_of(index: int) -> list[str | None]:
    try:
        gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
        return [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in _slices(gpu)]
    except pynvml.NVMLError as error:
        log.error("device.left_out", gpu=index, error=str(error), next_step="nvidia-smi on this machine says more")
        return [None]


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

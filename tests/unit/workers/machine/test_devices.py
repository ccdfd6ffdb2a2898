"""The devices that get a worker, and their state; objects play NVML's library at its C boundary."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pynvml
import pytest
from structlog.testing import capture_logs

from cleanplate.base.settings import Settings
from workers.errors import DevicesSilent, NoDevice, UnknownDevice
from workers.machine.devices import Device, Reading, devices, read_device

NOT_FOUND, NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_NOT_SUPPORTED


class Library:
    """``libnvidia-ml.so.1`` of a machine with these GPUs; a list of slices under a UUID says that it is cut."""

    def __init__(self, gpus: dict[str, list[str] | None], lost: tuple[str, ...] = ()) -> None:
        self._gpus = gpus
        self._lost = lost
        #: Handles are numbers here.
        self._uuids = [*gpus, *(name for cut in gpus.values() for name in cut or [])]

    def nvmlInitWithFlags(self, flags: int) -> int:  # noqa: N802 - names of the library
        return 0

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self._gpus)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:  # noqa: N802
        return self._give(handle, list(self._gpus)[index.value])

    def nvmlDeviceGetHandleByUUID(self, uuid: Any, handle: Any) -> int:  # noqa: N802
        return self._give(handle, uuid.value.decode()) if uuid.value.decode() in self._uuids else NOT_FOUND

    def nvmlDeviceGetUUID(self, handle: Any, text: Any, size: Any) -> int:  # noqa: N802
        if self._named(handle) in self._lost:
            return pynvml.NVML_ERROR_GPU_IS_LOST
        text.value = self._named(handle).encode()
        return 0

    def nvmlDeviceGetMigMode(self, handle: Any, now: Any, later: Any) -> int:  # noqa: N802
        if self._named(handle) not in self._gpus:
            return NOT_SUPPORTED
        now._obj.value = later._obj.value = self._gpus[self._named(handle)] is not None
        return 0

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, count: Any) -> int:  # noqa: N802
        count._obj.value = 7
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: Any, found: Any) -> int:  # noqa: N802
        cut = self._gpus[self._named(handle)] or []
        return self._give(found, cut[index.value]) if index.value < len(cut) else NOT_FOUND

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: Any, found: Any) -> int:  # noqa: N802
        around = [gpu for gpu, cut in self._gpus.items() if self._named(handle) in (cut or [])]
        return self._give(found, around[0]) if around else pynvml.NVML_ERROR_INVALID_ARGUMENT

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.total, memory._obj.used = 80 << 30, 5 << 30
        return 0

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: Any, degrees: Any) -> int:  # noqa: N802
        if self._named(handle) not in self._gpus:
            return NOT_SUPPORTED
        degrees._obj.value = 61
        return 0

    def _give(self, handle: Any, uuid: str) -> int:
        # Handle 0 would be a null pointer.
        place = pynvml.cast(self._uuids.index(uuid) + 1, type(handle._obj))
        handle._obj.contents = place.contents
        return 0

    def _named(self, handle: Any) -> str:
        return self._uuids[pynvml.cast(handle, pynvml.c_void_p).value - 1]


def machine(monkeypatch: pytest.MonkeyPatch, gpus: dict[str, list[str] | None], *lost: str) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(pynvml, "nvmlLib", Library(gpus, lost))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})


TWO: dict[str, list[str] | None] = {"GPU-a": None, "GPU-b": None}
CUT: dict[str, list[str] | None] = {"GPU-a": ["MIG-a1", "MIG-a2"], "GPU-b": None}


def uuids(found: list[Device]) -> list[str | None]:
    return [device.uuid for device in found]


def test_cpu_is_one_device_that_sees_no_cuda() -> None:
    [device] = devices(Settings(device="cpu"))
    assert (device.name, device.uuid) == ("cpu", None)
    assert device.environment["CUDA_VISIBLE_DEVICES"] == ""
    assert read_device(device) == Reading()


def test_every_gpu_is_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, TWO)
    listed = devices(Settings())
    assert [device.name for device in listed] == ["cuda0", "cuda1"]
    assert [device.environment["CUDA_VISIBLE_DEVICES"] for device in listed] == ["GPU-a", "GPU-b"]


def test_slices_count_as_devices_in_place_of_their_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, CUT)
    assert uuids(devices(Settings())) == ["MIG-a1", "MIG-a2", "GPU-b"]


@pytest.mark.parametrize(
    ("chosen", "taken"), [("0,2", ["MIG-a1", "GPU-b"]), ("GPU-b, 0, 0", ["GPU-b", "MIG-a1"]), ("MIG-a2", ["MIG-a2"])]
)
def test_some_devices_are_chosen(monkeypatch: pytest.MonkeyPatch, chosen: str, taken: list[str]) -> None:
    machine(monkeypatch, CUT)
    assert uuids(devices(Settings(), chosen)) == taken


@pytest.mark.parametrize("chosen", ["3", "GPU-c", "0,x", ""])
def test_devices_that_are_not_here_are_refused(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    machine(monkeypatch, CUT)
    with pytest.raises(UnknownDevice, match="MIG-a1"):
        devices(Settings(), chosen)


@pytest.mark.parametrize(
    ("inherited", "taken"),
    [("1", ["GPU-b"]), ("GPU-b, GPU-a", ["GPU-b", "GPU-a"]), ("0,0,1", ["GPU-a", "GPU-b"]), ("1,-1,0", ["GPU-b"])],
)
def test_inherited_choice_of_devices_is_kept(monkeypatch: pytest.MonkeyPatch, inherited: str, taken: list[str]) -> None:
    machine(monkeypatch, TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert uuids(devices(Settings())) == taken


def test_a_uuid_may_be_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, {"GPU-8932f937": None, "GPU-77aa0000": None})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-77")
    assert uuids(devices(Settings())) == ["GPU-77aa0000"]


@pytest.mark.parametrize("inherited", ["7", "0,2", "GPU-c", "GPU-"])
def test_an_inherited_choice_of_what_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch, inherited: str) -> None:
    machine(monkeypatch, TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    with pytest.raises(UnknownDevice, match=r"CUDA_VISIBLE_DEVICES.*GPU-b"):
        devices(Settings())


@pytest.mark.parametrize("inherited", ["", "-1", "none", "NoDevFiles"])
def test_inherited_choice_of_none_leaves_the_cpu(monkeypatch: pytest.MonkeyPatch, inherited: str) -> None:
    machine(monkeypatch, TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert [device.name for device in devices(Settings())] == ["cpu"]
    with pytest.raises(NoDevice):
        devices(Settings(device="cuda"))


def test_a_lost_gpu_is_left_out_and_the_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, {f"GPU-{n}": None for n in range(8)}, "GPU-3")
    with capture_logs() as logs:
        assert uuids(devices(Settings())) == [f"GPU-{n}" for n in (0, 1, 2, 4, 5, 6, 7)]
    assert [(log["event"], log["gpu"]) for log in logs] == [("device.left_out", 3)]


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_gpus_of_which_none_answers_are_an_error_and_not_the_cpu(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    machine(monkeypatch, TWO, "GPU-a", "GPU-b")
    with pytest.raises(DevicesSilent, match="2 GPUs"):
        devices(Settings(device=asked))  # type: ignore[arg-type]
    assert uuids(devices(Settings(device="cpu"))) == [None]


def test_the_process_of_a_gpu_must_not_compute_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, TWO)
    assert {device.environment["CLEANPLATE_DEVICE"] for device in devices(Settings())} == {"cuda"}


@pytest.mark.parametrize("uuid", ["GPU-b", "MIG-a2"])
def test_memory_and_temperature_are_read_of_gpu_and_slice(monkeypatch: pytest.MonkeyPatch, uuid: str) -> None:
    machine(monkeypatch, CUT)
    assert read_device(Device("cuda0", uuid=uuid)) == Reading(5 << 30, 80 << 30, 61)


def test_device_that_nvml_does_not_know_has_no_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, TWO)
    assert read_device(Device("cuda0", uuid="7")) == Reading()


@pytest.mark.parametrize(
    "module", ["workers.machine.supervisor", "workers.leader.dispatcher", "workers.device.app", "workers.device.tasks"]
)
def test_parents_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

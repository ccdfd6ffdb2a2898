"""Which devices get a worker."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cleanplate.settings import Settings
from workers.devices import _visible, devices


def test_cpu_is_one_device_that_sees_no_cuda() -> None:
    [device] = devices(Settings(device="cpu"))
    assert device.name == "cpu"
    assert device.environment["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("chosen", "present", "taken"),
    [
        (None, ["GPU-a", "GPU-b"], ["GPU-a", "GPU-b"]),
        ("1", ["GPU-a", "GPU-b"], ["1"]),
        ("GPU-b, GPU-a", ["GPU-a", "GPU-b"], ["GPU-b", "GPU-a"]),
        ("", ["GPU-a"], []),
        ("-1", ["GPU-a"], []),
        ("0", [], []),
    ],
)
def test_inherited_choice_of_devices_is_kept(chosen: str | None, present: list[str], taken: list[str]) -> None:
    assert _visible(chosen, present) == taken


@pytest.mark.parametrize("module", ["workers.supervisor", "workers.dispatcher", "workers.app", "workers.tasks"])
def test_parents_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""A compressed state of a run, for runs in slices on machines that keep no files.

The average is stored in half precision. The network is stored as its difference to the average, and the second moments
as logarithms, both in 8 bits by blocks. First moments are left out: they build up again within some ten gentle steps.
The resumed run is not bit for bit the unbroken one, but its loss continues without a step.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

#: Number of values that share one scale, and the size below which a tensor is stored unchanged.
_BLOCK, _SMALL = 64, 1024
_PART_BYTES = 15_000_000
_FLOOR = 1e-20


def to_bytes(state: Mapping[str, Any]) -> bytes:
    """A trainer's state, coded."""
    average = {name: _halved(value) for name, value in state["average"].items()}
    network = {}
    for name, value in state["network"].items():
        coded = _is_coded(value)
        network[name] = _linear(value.float() - average[name].float()) if coded else value.clone()
    small: dict[str, Any] = {"average": average, "network": network, "step": state["step"], "recipe": state["recipe"]}
    for name in ("optimizer", "judging"):
        if name in state:
            small[name] = {
                "state": {
                    number: {"step": one["step"], "second": _logarithmic(one["exp_avg_sq"])}
                    for number, one in state[name]["state"].items()
                },
                "param_groups": state[name]["param_groups"],
            }
    if "discriminator" in state:
        small["discriminator"] = {name: _halved(value) for name, value in state["discriminator"].items()}
    file = io.BytesIO()
    torch.save(small, file)
    return file.getvalue()


def from_bytes(data: bytes, device: torch.device) -> dict[str, Any]:
    """The state in ``data``, for :meth:`model.training.trainer.Trainer.load`."""
    small = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    average = {name: value.float() if value.is_floating_point() else value for name, value in small["average"].items()}
    state: dict[str, Any] = {"average": average, "step": small["step"], "recipe": small["recipe"]}
    state["network"] = {
        name: average[name] + _from_linear(value) if isinstance(value, dict) else value
        for name, value in small["network"].items()
    }
    for name in ("optimizer", "judging"):
        if name in small:
            state[name] = {
                "state": {number: _moments(one) for number, one in small[name]["state"].items()},
                "param_groups": small[name]["param_groups"],
            }
    if "discriminator" in small:
        state["discriminator"] = {name: value.float() for name, value in small["discriminator"].items()}
    return state


def write_parts(data: bytes, folder: Path) -> list[Path]:
    """``data`` as files ``state.00``, ``state.01``, ... of at most 15 MB in ``folder``; older ones go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("state.??"):
        old.unlink()
    parts = []
    for number, begin in enumerate(range(0, len(data), _PART_BYTES)):
        parts.append(folder / f"state.{number:02}")
        parts[-1].write_bytes(data[begin : begin + _PART_BYTES])
    return parts


def read_parts(folder: Path) -> bytes:
    """The bytes that ``write_parts`` wrote to ``folder``; empty without files."""
    return b"".join(part.read_bytes() for part in sorted(folder.glob("state.??")))


def _is_coded(value: Tensor) -> bool:
    return value.is_floating_point() and value.numel() >= _SMALL


def _halved(value: Tensor) -> Tensor:
    return value.half() if _is_coded(value) else value.clone()


def _blocks(value: Tensor) -> Tensor:
    flat = value.float().flatten()
    return torch.nn.functional.pad(flat, (0, -flat.numel() % _BLOCK)).view(-1, _BLOCK)


def _whole(blocks: Tensor, shape: list[int]) -> Tensor:
    return blocks.flatten()[: torch.Size(shape).numel()].view(shape)


def _linear(value: Tensor) -> dict[str, Any]:
    blocks = _blocks(value)
    scale = blocks.abs().amax(dim=1, keepdim=True).clamp_min(_FLOOR) / 127
    return {"codes": (blocks / scale).round().to(torch.int8), "scale": scale, "shape": list(value.shape)}


def _from_linear(coded: Mapping[str, Any]) -> Tensor:
    return _whole(coded["codes"].float() * coded["scale"], coded["shape"])


def _logarithmic(value: Tensor) -> dict[str, Any]:
    """Second moments span many powers of ten within one block, and a small one must not become zero."""
    if not _is_coded(value):
        return {"as_is": value}
    blocks = _blocks(value).clamp_min(_FLOOR).log2()
    low = blocks.amin(dim=1, keepdim=True)
    step = (blocks.amax(dim=1, keepdim=True) - low).clamp_min(1e-6) / 255
    codes = ((blocks - low) / step).round().to(torch.uint8)
    return {"codes": codes, "low": low, "step": step, "shape": list(value.shape)}


def _from_logarithmic(coded: Mapping[str, Any]) -> Tensor:
    if "as_is" in coded:
        as_is: Tensor = coded["as_is"]
        return as_is
    return _whole((coded["codes"].float() * coded["step"] + coded["low"]).exp2(), coded["shape"])


def _moments(one: Mapping[str, Any]) -> dict[str, Tensor]:
    second = _from_logarithmic(one["second"])
    return {"step": one["step"], "exp_avg": torch.zeros_like(second), "exp_avg_sq": second}

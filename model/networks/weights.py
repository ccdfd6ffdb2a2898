"""Weights files: safetensors with a description of their network.

The metadata key ``cleanplate`` holds JSON: ``architecture``, its ``configuration``, ``source``, ``licence``, and the
configuration's ``name`` if it has one. Loading never runs code from a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from model.errors import UnknownNetwork, WeightsRejected
from model.networks.configurations import COUNTER, Choice, build, compare, named, shapes_in

SHIPPED = Path(__file__).with_name("shipped") / "cleanplate-small.safetensors"
_METADATA_KEY = "cleanplate"
_KEPT_IN = {torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64}


@dataclass(frozen=True)
class Description:
    """The description inside a weights file."""

    architecture: str
    configuration: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    name: str = ""


def save_weights(network: nn.Module, description: Description, path: Path, *, dtype: torch.dtype) -> None:
    """Write ``network`` to ``path``, floating tensors as ``dtype``; whole or not at all."""
    save_state(network.state_dict(), description, path, dtype=dtype)


def save_state(state: Mapping[str, Tensor], description: Description, path: Path, *, dtype: torch.dtype) -> None:
    """Write a network's tensors to ``path``, floating ones as ``dtype``; whole or not at all."""
    tensors = {name: _as(value, dtype).contiguous() for name, value in state.items()}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, partial, metadata={_METADATA_KEY: json.dumps(vars(description))})
        partial.chmod(0o644)  # safetensors creates files that only their owner can read; workers may be other users
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _as(value: Tensor, dtype: torch.dtype) -> Tensor:
    """``value`` in ``dtype``, unless its range is too small: variances of some networks are over fp16's 65,504."""
    if not value.is_floating_point():
        return value
    converted = value.to(dtype)
    return converted if bool(converted.isfinite().all()) or not bool(value.isfinite().all()) else value


def load_network(path: Path) -> tuple[nn.Module, Description]:
    """The network of the file ``path`` in fp32 and evaluation mode. Tensors that are fp32 in the file stay in it.

    Raises:
        WeightsRejected: ``weights_unreadable`` where it is no weights file of this project, ``weights_mismatch`` where
            its tensors are not those of the network it names, or not finite.
    """
    tensors, description = read_safetensors(path)
    if description is None:
        raise WeightsRejected(
            "weights_unreadable",
            f"{path} does not say which network it belongs to: `cleanplate weights convert` finds out, and says so.",
        )
    try:
        choice = named(description.architecture, description.configuration)
        compare(shapes_in(tensors), choice)
    except UnknownNetwork as refused:
        raise WeightsRejected(refused.code, f"{path} cannot be used. {refused}") from None
    check_finite(tensors, path)
    return _filled(choice, tensors).eval().requires_grad_(False), replace(description, name=choice.name)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], Description | None]:
    """The tensors of a file, mapped, and its description if it is of this project.

    Raises:
        WeightsRejected: ``weights_unreadable``: it is no safetensors file.
    """
    with _opened(path) as file:
        # Not a dictionary, whatever it looks like.
        return {name: file.get_tensor(name) for name in file.keys()}, _description_in(file.metadata())  # noqa: SIM118


def describe(path: Path) -> Description | None:
    """A file's description, its tensors unread; ``None`` where it is not of this project.

    Raises:
        WeightsRejected: ``weights_unreadable``: it is no safetensors file.
    """
    with _opened(path) as file:
        return _description_in(file.metadata())


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse values that are not finite, or of a type that weights files never have.

    Raises:
        WeightsRejected: ``weights_mismatch``, naming the first tensor that holds one.
    """
    for name, value in tensors.items():
        if value.dtype not in _KEPT_IN:
            raise WeightsRejected("weights_mismatch", f"{path} holds {value.dtype} in {name}, which is not read here.")
        if not value.isfinite().all():
            raise WeightsRejected("weights_mismatch", f"{path} holds values that are not finite, first in {name}.")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise WeightsRejected("weights_unreadable", f"There is no weights file {path}.") from None
    except (SafetensorError, OSError) as error:
        raise WeightsRejected("weights_unreadable", f"{path} is not a safetensors file ({error}).") from None


def _description_in(metadata: Mapping[str, str] | None) -> Description | None:
    try:
        description = Description(**json.loads((metadata or {})[_METADATA_KEY]))
    except (KeyError, TypeError, ValueError):
        return None
    texts = (description.architecture, description.source, description.licence, description.name)
    if not all(isinstance(text, str) for text in texts) or not isinstance(description.configuration, dict):
        return None
    return description


def _filled(choice: Choice, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The network with these tensors themselves, not copies, as its parameters."""
    network = build(choice)
    counters = {name: torch.zeros((), dtype=torch.int64) for name in network.state_dict() if name.endswith(COUNTER)}
    floats = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    network.load_state_dict(counters | floats, assign=True)
    return network

"""Weights files: safetensors that say which network they belong to.

The metadata key ``cleanplate`` holds JSON: ``architecture``, its ``configuration``, ``source`` and ``licence``. Loading
never runs code from a file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from model.errors import WeightsRejected
from model.fourier_unet import FourierUNet
from model.lama import LaMaGenerator

ARCHITECTURES: dict[str, type[nn.Module]] = {"lama": LaMaGenerator, "fourier-unet": FourierUNet}
SHIPPED = Path(__file__).with_name("shipped") / "fourier-unet.safetensors"
_METADATA_KEY = "cleanplate"


@dataclass(frozen=True)
class Description:
    """What a weights file says of itself."""

    architecture: str
    configuration: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    licence: str = ""


def save_weights(network: nn.Module, description: Description, path: Path, *, dtype: torch.dtype) -> None:
    """Write ``network`` to ``path``, floating tensors as ``dtype``."""
    tensors = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    save_file(tensors, path, metadata={_METADATA_KEY: json.dumps(vars(description))})


def load_network(path: Path) -> tuple[nn.Module, Description]:
    """The network of the file ``path`` in fp32 and evaluation mode.

    Raises:
        WeightsRejected: ``weights_unreadable`` where it is no weights file of this project, ``weights_mismatch`` where
            its tensors are not those of the network it names, or not finite.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError:
        raise WeightsRejected("weights_unreadable", f"There is no weights file {path}.") from None
    except (SafetensorError, OSError) as error:
        raise WeightsRejected("weights_unreadable", f"{path} is not a safetensors file ({error}).") from None
    description = _description(metadata, path)
    network = ARCHITECTURES[description.architecture](**description.configuration)
    wrong = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if wrong:
        raise WeightsRejected("weights_mismatch", f"{path} holds values that are not finite, first in {wrong[0]}.")
    try:
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WeightsRejected("weights_mismatch", f"{path} does not fit {description.architecture}: {first}") from None
    return network.eval().requires_grad_(False), description


def _description(metadata: dict[str, str], path: Path) -> Description:
    try:
        description = Description(**json.loads(metadata[_METADATA_KEY]))
    except (KeyError, TypeError, ValueError):
        raise WeightsRejected("weights_unreadable", f"{path} does not say which network it belongs to.") from None
    if description.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise WeightsRejected(
            "weights_mismatch", f"{path} is for {description.architecture!r}; known here are {known}."
        )
    return description

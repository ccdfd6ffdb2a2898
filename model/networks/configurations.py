"""Named configurations of the networks, and the recognition of a set of tensors as one of them.

A file's configuration is validated before a network is built from it: an absurd one must not cost memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from model.errors import UnknownNetwork
from model.networks.ffc import split_channels
from model.networks.fourier_unet import FourierUNet
from model.networks.lama import LaMaGenerator

Shapes = Mapping[str, tuple[int, ...]]
#: The first convolution of each network, by which a file's network is recognised.
LAMA_STEM = "model.1.ffc.convl2l.weight"
UNET_STEM = "stem.0.weight"
#: Counters of batch norm that old checkpoints lack, and that nothing here reads.
COUNTER = "num_batches_tracked"
_USUAL_RATIOS = (0.75, 0.5, 0.25)


class _Configuration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LaMaConfiguration(_Configuration):
    """The arguments of :class:`model.networks.lama.LaMaGenerator`, within reason."""

    ngf: int = Field(default=64, ge=1, le=512)
    n_downsampling: int = Field(default=3, ge=1, le=5)
    n_blocks: int = Field(default=9, ge=0, le=64)
    ratio: float = Field(default=0.75, ge=0, lt=1)
    local_unit: bool = False
    spectral_kernel: Literal[1, 3] = 1
    real_only: bool = False
    input_nc: Literal[4] = 4
    output_nc: Literal[3] = 3


Channels = Annotated[int, Field(ge=1, le=2048)]


class FourierUNetConfiguration(_Configuration):
    """The arguments of :class:`model.networks.fourier_unet.FourierUNet`, within reason."""

    channels: tuple[Channels, Channels, Channels, Channels, Channels] = (24, 32, 64, 96, 128)
    ratio: float = Field(default=0.5, ge=0, lt=1)
    spectral_kernel: Literal[1, 3] = 1
    real_only: bool = False
    guided: bool = True


ARCHITECTURES: dict[str, tuple[type[nn.Module], type[_Configuration]]] = {
    "lama": (LaMaGenerator, LaMaConfiguration),
    "fourier-unet": (FourierUNet, FourierUNetConfiguration),
}


@dataclass(frozen=True)
class Choice:
    """An architecture with its configuration; ``name`` where the pair is a named one."""

    architecture: str
    configuration: dict[str, Any]
    name: str = ""


NAMED = {
    choice.name: choice
    for choice in (
        # Suvorov et al., WACV 2022: the base network and the large one.
        Choice("lama", {"n_blocks": 9}, "lama-fourier"),
        Choice("lama", {"n_blocks": 18}, "big-lama"),
        # The same trunk without fast Fourier convolution: the difference to it is the effect of FFC.
        Choice("lama", {"n_blocks": 9, "ratio": 0.0}, "lama-regular"),
        Choice("lama", {"ngf": 32, "n_blocks": 6}, "lama-small"),
        Choice("fourier-unet", {}, "fourier-unet"),
    )
}


def build(choice: Choice, device: str = "meta") -> nn.Module:
    """The network, on the meta device where no other is asked for: names and shapes, no memory.

    Raises:
        UnknownNetwork: an unknown architecture, or a configuration that it does not have.
    """
    network, _ = _architecture(choice.architecture)
    arguments = _arguments(choice)
    with torch.device(device):
        return network(**arguments.model_dump())


def named(architecture: str, configuration: dict[str, Any]) -> Choice:
    """The choice with its name, if it has one; settings that equal the defaults are left out."""
    arguments = _arguments(Choice(architecture, configuration))
    for choice in NAMED.values():
        if choice.architecture == architecture and _arguments(choice) == arguments:
            return choice
    return Choice(architecture, arguments.model_dump(mode="json", exclude_defaults=True))


def shapes_in(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's tensors."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def recognise(shapes: Shapes) -> Choice:
    """The network that tensors of these names and shapes belong to; batch norm's counters may be missing.

    Raises:
        UnknownNetwork: none, with the first tensor that differs from the closest one.
    """
    try:
        if LAMA_STEM in shapes:
            choice = named("lama", _lama_configuration(shapes))
        elif UNET_STEM in shapes:
            choice = named("fourier-unet", _unet_configuration(shapes))
        else:
            raise UnknownNetwork("Its tensors are of no network known here.")
    except ValueError:  # a shape with too few sides
        raise UnknownNetwork("Its tensors are not shaped like those of any network known here.") from None
    compare(shapes, choice)
    return choice


def compare(shapes: Shapes, choice: Choice) -> None:
    """Refuse tensors that are not exactly those of ``choice``; batch norm's counters may be missing.

    Raises:
        UnknownNetwork: naming the first tensor that is wrong.
    """
    expected = shapes_in(build(choice).state_dict())
    title = choice.name or choice.architecture
    for name, shape in expected.items():
        if name not in shapes:
            if name.endswith(COUNTER):
                continue
            raise UnknownNetwork(f"It does not fit {title}: {name} is missing.")
        if shapes[name] != shape:
            raise UnknownNetwork(
                f"It does not fit {title}: {name} has shape {list(shapes[name])} instead of {list(shape)}.",
            )
    unknown = next((name for name in shapes if name not in expected), None)
    if unknown is not None:
        raise UnknownNetwork(f"It does not fit {title}, which has no tensor {unknown}.")


def _architecture(name: str) -> tuple[type[nn.Module], type[_Configuration]]:
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UnknownNetwork(f"It is for the network {name!r}; known here are {known}.")
    return ARCHITECTURES[name]


def _arguments(choice: Choice) -> _Configuration:
    _, arguments = _architecture(choice.architecture)
    try:
        return arguments.model_validate(choice.configuration)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnknownNetwork(
            f"{choice.architecture} has no such configuration: {where}: {first['msg'].lower()}."
        ) from None


def _lama_configuration(shapes: Shapes) -> dict[str, Any]:
    ngf, input_nc = shapes[LAMA_STEM][:2]
    n_downsampling = _run_of(shapes, "model.{}.ffc.", start=2)
    n_blocks = _run_of(shapes, "model.{}.conv1.", start=2 + n_downsampling)
    trunk_begins = f"model.{1 + n_downsampling}.ffc."
    in_local = _first(shapes, f"{trunk_begins}convl2l.weight")
    in_global = _first(shapes, f"{trunk_begins}convl2g.weight")
    head = f"model.{2 + n_downsampling + n_blocks + 1 + 3 * n_downsampling + 1}.weight"
    return {
        "ngf": ngf,
        "n_downsampling": n_downsampling,
        "n_blocks": n_blocks,
        "ratio": _ratio(in_local, in_global),
        "input_nc": input_nc,
        "output_nc": _first(shapes, head),
        "local_unit": any(".lfu." in name for name in shapes),
        **_spectral_configuration(shapes),
    }


def _unet_configuration(shapes: Shapes) -> dict[str, Any]:
    channels = [_first(shapes, UNET_STEM), *(_first(shapes, f"down.{level}.0.weight") for level in range(4))]
    block = "encode.0.0.block.conv1.ffc."
    ratio = _ratio(_first(shapes, f"{block}convl2l.weight"), _first(shapes, f"{block}convl2g.weight"))
    guided = any(".gate." in name for name in shapes)
    return {"channels": channels, "ratio": ratio, "guided": guided, **_spectral_configuration(shapes)}


def _spectral_configuration(shapes: Shapes) -> dict[str, Any]:
    """The configuration of the first Fourier unit; all units of a network are alike."""
    suffix = ".convg2g.fu.conv_layer.weight"
    unit = next((name for name in shapes if name.endswith(suffix)), None)
    if unit is None:
        return {}
    planes, _, kernel = shapes[unit][:3]
    hidden = _first(shapes, unit.replace(".fu.conv_layer.", ".conv1.0."))
    return {"spectral_kernel": kernel, "real_only": planes == hidden}


def _run_of(shapes: Shapes, pattern: str, *, start: int) -> int:
    """Number of consecutive layers, from number ``start``, with tensors that begin like ``pattern``."""
    number = start
    while any(name.startswith(pattern.format(number)) for name in shapes):
        number += 1
    return number - start


def _first(shapes: Shapes, name: str) -> int:
    """A tensor's first size, the number of outputs; 0 without such a tensor."""
    return next(iter(shapes.get(name, ())), 0)


def _ratio(in_local: int, in_global: int) -> float:
    """A ratio that gives this split of the channels, preferably a usual one."""
    channels = max(in_local + in_global, 1)
    exact = (in_global / channels, (in_global + 0.5) / channels)
    return next(ratio for ratio in (*_USUAL_RATIOS, *exact) if split_channels(channels, ratio)[1] == in_global)

"""Weights of other projects, read without running code from them: ``best.ckpt`` and ``big-lama.pt`` of LaMa, bare
state dicts (``.pt``, ``.pth``), safetensors.

The names and shapes of its tensors identify the network of a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from model.checkpoints.tensor_pickle import Inert, PickledTensor
from model.checkpoints.torch_archive import ZIP, TorchArchive
from model.errors import UnknownNetwork, WeightsRejected
from model.networks.configurations import LAMA_STEM, UNET_STEM, Choice, recognise, shapes_in
from model.networks.weights import Description, check_finite, read_safetensors

Value = TypeVar("Value")
_PICKLE = b"\x80"
#: A checkpoint of LaMa with discriminator and optimiser has some 5,000 places; a pickle can name one place many times.
_MOST_PLACES = 200_000
_DEEPEST = 64


@dataclass(frozen=True)
class Checkpoint:
    """A network's tensors in fp32, by this project's names; views of the file where the file holds fp32."""

    state: dict[str, Tensor]
    description: Description


def read_checkpoint(path: Path, *, source: str, licence: str) -> Checkpoint:
    """Read the network's weights in a file. ``source`` and ``licence`` apply if the file states none.

    Raises:
        WeightsRejected: ``weights_unreadable`` if it is no checkpoint, ``weights_mismatch`` if its network is
            unknown, or if it holds values that are not finite.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(16)
    except OSError as error:
        raise WeightsRejected("weights_unreadable", f"{path} cannot be read ({error.strerror}).") from None
    if begins.startswith(_PICKLE):
        raise WeightsRejected(
            "weights_unreadable",
            f"{path} is a bare pickle, as torch wrote before version 1.6: load it with torch where you trust it, "
            "and save it again.",
        )
    try:
        choice, state, own = _from_archive(path) if begins.startswith(ZIP) else _from_safetensors(path)
    except UnknownNetwork as refused:
        raise WeightsRejected(refused.code, f"{path} cannot be used. {refused}") from None
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    check_finite(state, path)
    description = Description(
        choice.architecture,
        choice.configuration,
        source=own.source if own else source,
        licence=own.licence if own else licence,
        name=choice.name,
    )
    return Checkpoint(state, description)


def _from_archive(path: Path) -> tuple[Choice, dict[str, Tensor], Description | None]:
    archive = TorchArchive(path)
    pickled_tensors = _network_in(dict(_tensors(archive.content(), path)))
    # Recognised by names and shapes in the pickle: tensors are made only for a known network.
    choice = recognise({name: pickled.shape for name, pickled in pickled_tensors.items()})
    if len({pickled.storage.key for pickled in pickled_tensors.values()}) < len(pickled_tensors):
        raise UnknownNetwork("Some of its tensors are one and the same: save it with a copy of each.")
    return choice, {name: archive.tensor(pickled) for name, pickled in pickled_tensors.items()}, None


def _from_safetensors(path: Path) -> tuple[Choice, dict[str, Tensor], Description | None]:
    tensors, own = read_safetensors(path)
    state = _network_in(tensors)
    return recognise(shapes_in(state)), state, own


def _tensors(root: object, path: Path) -> Iterator[tuple[str, PickledTensor]]:
    """All tensors below ``root`` by their dotted names."""
    waiting = [("", root, 0)]
    places = 0
    while waiting:
        name, value, depth = waiting.pop()
        places += 1
        if places > _MOST_PLACES or depth > _DEEPEST:
            raise WeightsRejected("weights_unreadable", f"{path} is no checkpoint: it is nested beyond measure.")
        if isinstance(value, PickledTensor):
            yield name, value
        below = value.state if isinstance(value, Inert) else value
        if isinstance(below, dict):
            for key, item in below.items():
                waiting.append((f"{name}.{key}" if name else str(key), item, depth + 1))


def _network_in(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """The only network among the tensors, by its names: without ``state_dict.generator.``, ``model.generator.`` …"""
    prefixes = {
        name.removesuffix(stem)
        for name in tensors
        for stem in (LAMA_STEM, UNET_STEM)
        if name == stem or name.endswith(f".{stem}")
    }
    generators = {prefix for prefix in prefixes if prefix.endswith("generator.")}
    chosen = prefixes if len(prefixes) == 1 else generators
    if len(chosen) != 1:
        listed = ", ".join(prefix.rstrip(".") or "(no prefix)" for prefix in sorted(prefixes))
        raise UnknownNetwork(
            f"It holds several networks ({listed}): save the one you want alone."
            if prefixes
            else "Its tensors are of no network known here."
        )
    prefix = chosen.pop()
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

"""A run from its recipe to its weights file, for ``cleanplate train`` and the benchmarks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from model.errors import CheckpointUnwritten, RecipeRejected, UnknownNetwork
from model.networks.configurations import build, named
from model.networks.weights import SHIPPED, Description, load_network, save_weights
from model.training.batches import Batches
from model.training.recipe import Network, Recipe
from model.training.trainer import Trainer


def new_network(wanted: Network, *, seed: int) -> nn.Module:
    """The network of a recipe on the CPU, from its ``start`` or from random numbers.

    Raises:
        RecipeRejected: there is no such network, or its start is another network's.
        WeightsRejected: the start is not a weights file.
    """
    try:
        choice = named(wanted.architecture, wanted.configuration)
    except UnknownNetwork as refused:
        raise RecipeRejected(f"The recipe's network cannot be built. {refused}") from None
    if wanted.start:
        file = SHIPPED if wanted.start == "shipped" else Path(wanted.start)
        network, description = load_network(file)
        if named(description.architecture, description.configuration) != choice:
            raise RecipeRejected(f"{file} holds another network than the recipe's: {description.architecture}.")
        return network.requires_grad_(True)
    torch.manual_seed(seed)
    return build(choice, "cpu")


def open_run(recipe: Recipe, photos: Path, folder: Path, device: torch.device) -> Trainer:
    """A trainer in ``folder``, which continues the folder's last run.

    Raises:
        TrainingStopped: something that the run needs is missing.
        WeightsRejected: the recipe's start is not a weights file.
    """
    network = new_network(recipe.network, seed=recipe.seed)
    return Trainer(network, recipe, Batches(recipe, photos, device), folder, device)


def write_weights(trainer: Trainer, path: Path) -> None:
    """The averaged weights as half-precision safetensors that say what they are.

    Raises:
        CheckpointUnwritten: the disk refused the file.
    """
    wanted = trainer.recipe.network
    choice = named(wanted.architecture, wanted.configuration)
    description = Description(
        choice.architecture, choice.configuration, source=wanted.source, licence=wanted.licence, name=choice.name
    )
    try:
        save_weights(trainer.average, description, path, dtype=torch.float16)
    except OSError as error:
        raise CheckpointUnwritten(trainer.step, trainer.checkpoint, error.strerror or str(error)) from None


@contextmanager
def stopped_by_signals(trainer: Trainer) -> Iterator[None]:
    """End the run at the first Ctrl-C or SIGTERM, after its present step and saved; at the second, end it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def asked(number: int, _: object) -> None:
        trainer.stop()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, asked)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

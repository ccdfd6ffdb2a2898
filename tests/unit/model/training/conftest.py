"""A folder of small photos, recipes that run in moments, and VGG features of the right shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from model.training.recipe import Recipe
from model.training.session import open_run
from model.training.trainer import Trainer

CPU = torch.device("cpu")
VGG = ((64, 3), (64, 64), (128, 64), (128, 128), (256, 128), *[(256, 256)] * 2, (512, 256), *[(512, 512)] * 5)
Opener = Callable[..., Trainer]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of different sizes."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(6):
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((90 + 7 * number, 80)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stages of VGG, of random numbers."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for number, (out, into) in enumerate(VGG[:4]):
        tensors[f"conv{number}.weight"] = torch.randn(out, into, 3, 3, generator=generator) / (3 * into**0.5)
        tensors[f"conv{number}.bias"] = torch.zeros(out)
    for stage, width in enumerate((64, 128)):
        tensors[f"lin{stage}.weight"] = torch.rand(1, width, 1, 1, generator=generator)
    path = tmp_path_factory.mktemp("features") / "vgg.safetensors"
    save_file(tensors, path)
    return path


def recipe_with(features: Path | None = None, **parts: Any) -> Recipe:
    """A recipe of a tiny network; with ``features``, of all losses."""
    table: dict[str, Any] = {
        "bf16": False,
        "network": {"configuration": {"channels": [4, 8, 8, 8, 8]}},
        "data": {"batch": 2, "crop": 64, "held": 4, "held_for": 3},
        "masks": {"pool": 12},
        "discriminator": {"width": 4, "depth": 2},
        "schedule": {"steps": 8, "warmup": 2},
        "logging": {"every": 2, "sheet_every": 4, "sheet_rows": 2},
    }
    if features is not None:
        table["losses"] = {"perceptual": 1, "adversarial": 0.1, "features": 1, "rim": 1, "penalty_every": 3}
        table["perceptual"] = {"weights": str(features), "stages": 2, "dilated_from": 2}
    for name, part in parts.items():
        table[name] = {**table.get(name, {}), **part} if isinstance(part, dict) else part
    return Recipe.model_validate(table)


@pytest.fixture
def opened(photos: Path, tmp_path: Path) -> Iterator[Opener]:
    """Opens runs by a recipe, in ``tmp_path/run`` unless told otherwise; closed at the end."""
    runs: list[Trainer] = []

    def open_one(recipe: Recipe, folder: Path | None = None, *, data: Path = photos) -> Trainer:
        runs.append(open_run(recipe, data, folder or tmp_path / "run", CPU))
        return runs[-1]

    yield open_one
    for trainer in runs:
        trainer.batches.close()

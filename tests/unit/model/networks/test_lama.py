"""The generator is LaMa's: the official implementation's outputs, parameter counts and parameter names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.networks.lama import LaMaGenerator

DATA = Path(__file__).parents[3] / "data"
TINY: dict[str, dict[str, Any]] = {
    "fourier-tiny": {"ngf": 8, "n_blocks": 2, "ratio": 0.75},
    "fourier-lfu-tiny": {"ngf": 8, "n_blocks": 1, "ratio": 0.5, "local_unit": True},
}


@pytest.mark.parametrize("name", TINY)
def test_outputs_equal_the_official_implementation(name: str) -> None:
    vectors = np.load(DATA / f"{name}.npz")
    network = LaMaGenerator(**TINY[name]).eval()
    state = {k.removeprefix("state/"): torch.from_numpy(vectors[k]) for k in vectors.files if k.startswith("state/")}
    network.load_state_dict(state, strict=True)
    sizes = [key.removeprefix("input/") for key in vectors.files if key.startswith("input/")]
    assert len(sizes) == 2
    for size in sizes:
        with torch.no_grad():
            output = network(torch.from_numpy(vectors[f"input/{size}"])).numpy()
        np.testing.assert_allclose(output, vectors[f"output/{size}"], atol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "blocks", "parameters"),
    [("lama-fourier-state-shapes.json", 9, 27_048_835), ("big-lama-state-shapes.json", 18, 50_975_875)],
)
def test_parameter_names_and_shapes_are_those_of_the_official_checkpoints(
    shapes: str, blocks: int, parameters: int
) -> None:
    with torch.device("meta"):
        network = LaMaGenerator(n_blocks=blocks)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    official = json.loads((DATA / shapes).read_text())
    ours = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    assert ours == official

"""Weights files carry their network's name; anything else is refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.errors import WeightsRejected
from model.fourier_unet import FourierUNet
from model.lama import LaMaGenerator
from model.weights import SHIPPED, Description, load_network, save_weights

SMALL = {"ngf": 8, "n_blocks": 1}


def small() -> LaMaGenerator:
    torch.manual_seed(0)
    return LaMaGenerator(ngf=8, n_blocks=1)


def refusal_of(path: Path) -> WeightsRejected:
    with pytest.raises(WeightsRejected) as refusal:
        load_network(path)
    return refusal.value


def test_a_network_comes_back_with_its_values_and_description(tmp_path: Path) -> None:
    network = small()
    said = Description("lama", SMALL, source="a test", licence="Apache-2.0")
    save_weights(network, said, tmp_path / "w.safetensors", dtype=torch.float32)
    loaded, description = load_network(tmp_path / "w.safetensors")
    assert description == said
    assert not loaded.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])


def test_the_shipped_file_is_small_says_what_it_is_and_is_half_precision() -> None:
    network, description = load_network(SHIPPED)
    assert isinstance(network, FourierUNet)
    assert description.licence == "Apache-2.0"
    assert SHIPPED.stat().st_size <= 8_000_000
    assert SHIPPED.with_name("README.md").exists()


def test_absent_foreign_and_truncated_files_are_refused(tmp_path: Path) -> None:
    assert refusal_of(tmp_path / "absent").code == "weights_unreadable"
    (tmp_path / "text").write_text("not weights")
    assert refusal_of(tmp_path / "text").code == "weights_unreadable"
    whole = SHIPPED.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    assert refusal_of(tmp_path / "cut").code == "weights_unreadable"
    save_file({"a": torch.zeros(1)}, tmp_path / "anonymous")
    assert refusal_of(tmp_path / "anonymous").code == "weights_unreadable"


def test_other_shapes_unknown_networks_and_nan_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(small(), Description("lama", {"ngf": 16, "n_blocks": 1}), path, dtype=torch.float32)
    assert refusal_of(path).code == "weights_mismatch"
    save_weights(small(), Description("perceptron"), path, dtype=torch.float32)
    assert refusal_of(path).code == "weights_mismatch"
    broken = small()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    save_weights(broken, Description("lama", SMALL), path, dtype=torch.float32)
    assert refusal_of(path).code == "weights_mismatch"

"""Weights files carry their network's name; anything else is refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.errors import WeightsRejected
from model.networks.fourier_unet import FourierUNet
from model.networks.lama import LaMaGenerator
from model.networks.weights import SHIPPED, Description, load_network, save_state, save_weights

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


def test_values_beyond_half_precision_are_kept_in_single(tmp_path: Path) -> None:
    network = small()
    state = network.state_dict()
    name = next(name for name in state if name.endswith("running_var"))
    state[name].fill_(675_607.0)
    save_weights(network, Description("lama", SMALL), tmp_path / "w.safetensors", dtype=torch.float16)
    loaded, _ = load_network(tmp_path / "w.safetensors")
    assert loaded.state_dict()[name][0] == 675_607


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
    assert "not finite" in str(refusal_of(path))


def test_absurd_configurations_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for configuration in (
        {"n_blocks": 10**9},
        {"ngf": -1},
        {"ratio": float("nan")},
        {"depth": 3},
        {"n_blocks": "many"},
    ):
        save_weights(small(), Description("lama", configuration), path, dtype=torch.float32)
        refusal = refusal_of(path)
        assert refusal.code == "weights_mismatch"
        assert "no such configuration" in str(refusal)


def test_a_network_that_is_a_named_one_is_told_by_its_name(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = LaMaGenerator(ngf=32, n_blocks=6).state_dict()
    state = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in shapes.items()}
    save_state(state, Description("lama", {"n_blocks": 6, "ngf": 32}), tmp_path / "w", dtype=torch.float16)
    assert load_network(tmp_path / "w")[1].name == "lama-small"
    assert load_network(SHIPPED)[1].name == "fourier-unet"


def test_a_network_uses_the_mapped_file_and_needs_no_counters(tmp_path: Path) -> None:
    state = {name: value for name, value in small().state_dict().items() if not name.endswith("num_batches_tracked")}
    save_state(state, Description("lama", SMALL), tmp_path / "w", dtype=torch.float32)
    network, _ = load_network(tmp_path / "w")
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
    assert torch.equal(network.state_dict()["model.1.bn_l.num_batches_tracked"], torch.tensor(0))
    with torch.no_grad():
        assert network(torch.rand(1, 4, 32, 32)).isfinite().all()


def test_a_failed_write_leaves_no_file_behind(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    with pytest.raises(IsADirectoryError):
        save_weights(small(), Description("lama", SMALL), tmp_path / "w", dtype=torch.float32)
    assert [entry.name for entry in tmp_path.iterdir()] == ["w"]

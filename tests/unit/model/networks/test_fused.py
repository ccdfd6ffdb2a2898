"""Fused networks and transforms without complex numbers give what the plain ones give."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from model.box import Box
from model.networks.ffc import SpectralTransform
from model.networks.fourier_unet import FourierUNet
from model.networks.fused import fuse
from model.networks.lama import LaMaGenerator
from model.networks.spectral import DftTransform, FftTransform, Kind

DATA = Path(__file__).parents[3] / "data"


def randomise_norms(network: nn.Module) -> nn.Module:
    """Random statistics and gains, so that a norm folded wrongly shows."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.3, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.7, 1.6, generator=generator)
            nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    return network.eval()


def variant(name: str) -> nn.Module:
    torch.manual_seed(0)
    return randomise_norms(
        {
            "lama": lambda: LaMaGenerator(ngf=8, n_blocks=2),
            "lama, local unit": lambda: LaMaGenerator(ngf=8, n_blocks=1, ratio=0.5, local_unit=True),
            "lama, kernel 3": lambda: LaMaGenerator(ngf=8, n_blocks=1, spectral_kernel=3),
            "lama, real part only": lambda: LaMaGenerator(ngf=8, n_blocks=1, real_only=True),
            "lama without FFC": lambda: LaMaGenerator(ngf=8, n_blocks=2, ratio=0.0),
            "fourier-unet": lambda: FourierUNet(channels=(8, 8, 16, 16, 16)),
        }[name]()
    )


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_dft_by_matrices_equals_the_fft_and_its_inverse_undoes_it(height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, height, width, generator=generator)
    fast, plain = FftTransform(), DftTransform()
    torch.testing.assert_close(plain.forward(x), fast.forward(x), atol=2e-5, rtol=0)
    torch.testing.assert_close(plain.inverse(plain.forward(x), width), x, atol=2e-5, rtol=0)
    # The result of a convolution is not the spectrum of real numbers; both transforms read it alike.
    spectrum = torch.randn(2, 6, height, width // 2 + 1, generator=generator)
    torch.testing.assert_close(plain.inverse(spectrum, width), fast.inverse(spectrum, width), atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", ["fft", "dft"])
@pytest.mark.parametrize(
    "name",
    ["lama", "lama, local unit", "lama, kernel 3", "lama, real part only", "lama without FFC", "fourier-unet"],
)
def test_a_fused_network_equals_the_plain_one(name: str, kind: Kind) -> None:
    network = variant(name)
    x = torch.rand(2, 4, 96, 64, generator=torch.Generator().manual_seed(2))
    logits, fused_logits = nn.Sequential(network), nn.Sequential(fuse(network, kind))
    with torch.inference_mode():
        expected, result = logits(x), fused_logits(x)
    assert expected.std() > 1e-3
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["fft", "dft"])
@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("fourier-tiny", {"ngf": 8, "n_blocks": 2, "ratio": 0.75}),
        ("fourier-lfu-tiny", {"ngf": 8, "n_blocks": 1, "ratio": 0.5, "local_unit": True}),
    ],
)
def test_a_fused_network_equals_the_official_implementation(
    name: str, configuration: dict[str, Any], kind: Kind
) -> None:
    vectors = np.load(DATA / f"{name}.npz")
    network = LaMaGenerator(**configuration)
    network.load_state_dict(
        {k.removeprefix("state/"): torch.from_numpy(vectors[k]) for k in vectors.files if k.startswith("state/")}
    )
    fused = fuse(network, kind)
    for key in (key for key in vectors.files if key.startswith("input/")):
        with torch.inference_mode():
            output = fused(torch.from_numpy(vectors[key])).numpy()
        np.testing.assert_allclose(output, vectors[key.replace("input/", "output/")], atol=1e-5)


@pytest.mark.parametrize("name", ["lama", "lama without FFC", "fourier-unet"])
@pytest.mark.parametrize(
    "window",
    [Box(0, 0, 16, 16), Box(48, 32, 64, 80), Box(80, 64, 96, 96), Box(40, 24, 57, 43), Box(0, 0, 96, 96)],
)
def test_a_window_of_the_result_has_the_numbers_of_the_whole(name: str, window: Box) -> None:
    network = variant(name)
    x = torch.rand(1, 4, 96, 96, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        whole, part = network(x), network(x, window)
    torch.testing.assert_close(part, whole[..., *window.slices], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["lama", "fourier-unet"])
def test_half_precision_is_near_single(name: str) -> None:
    network = variant(name)
    x = torch.rand(1, 4, 96, 96, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        error = (fuse(network, "dft").bfloat16()(x) - network(x)).square().mean()
    assert 10 * torch.log10(1 / error) > 40


@pytest.mark.parametrize("name", ["lama", "lama, local unit", "fourier-unet"])
def test_a_fused_network_is_fused_again_for_another_transform(name: str) -> None:
    network = variant(name)
    x = torch.rand(1, 4, 64, 64, generator=torch.Generator().manual_seed(5))
    again = fuse(fuse(network, "fft"), "dft")
    assert any(isinstance(module, DftTransform) for unit in again.modules() for module in vars(unit).values())
    with torch.inference_mode():
        torch.testing.assert_close(again(x), fuse(network, "dft")(x), atol=0, rtol=0)


def test_fusing_leaves_the_network_it_was_given_alone() -> None:
    network = variant("lama")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fuse(network, "dft")
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def built_with(network: nn.Module, ffc_lambda: float) -> nn.Module:
    """A copy of ``network`` whose weights have the value in them: it scales the end of each spectral path."""
    built = copy.deepcopy(network)
    for module in built.modules():
        if isinstance(module, SpectralTransform):
            module.conv2.weight.data *= ffc_lambda
    return built


LAMBDAS = (0.0, 0.3, 0.5, 1.0)


@pytest.mark.parametrize("name", ["lama", "lama, local unit", "lama, real part only", "fourier-unet"])
@pytest.mark.parametrize("spectral", [None, "fft", "dft"])
def test_ffc_lambda_as_an_input_equals_a_network_built_with_it(name: str, spectral: Kind | None) -> None:
    network = variant(name)
    x = torch.rand(len(LAMBDAS), 4, 64, 64, generator=torch.Generator().manual_seed(3))
    ready = network if spectral is None else fuse(network, spectral)
    with torch.inference_mode():
        together = ready(x, None, torch.tensor(LAMBDAS))
        built = torch.cat([built_with(network, value)(one[None]) for value, one in zip(LAMBDAS, x, strict=True)])
        torch.testing.assert_close(together, built, atol=1e-5, rtol=0)
        window = Box(16, 8, 40, 56)
        part = ready(x, window, torch.tensor(LAMBDAS))
    torch.testing.assert_close(part, together[..., *window.slices], atol=1e-5, rtol=0)


def test_ffc_lambda_in_half_precision_is_as_near_as_a_network_built_with_it() -> None:
    network = variant("lama")
    x = torch.rand(len(LAMBDAS), 4, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        exact = torch.cat([built_with(network, value)(one[None]) for value, one in zip(LAMBDAS, x, strict=True)])
        together = fuse(network, "dft").bfloat16()(x, None, torch.tensor(LAMBDAS))
        built = torch.cat(
            [
                fuse(built_with(network, value), "dft").bfloat16()(one[None])
                for value, one in zip(LAMBDAS, x, strict=True)
            ]
        )
    for index in range(len(LAMBDAS)):
        error, usual = ((result[index] - exact[index]).square().mean() for result in (together, built))
        assert 10 * torch.log10(1 / error) > 40
        assert error < 2 * usual


def test_strength_zero_leaves_a_local_network() -> None:
    network = variant("lama")
    x = torch.rand(1, 4, 128, 128, generator=torch.Generator().manual_seed(3))
    far = x.clone()
    far[..., 96:, 96:] = 0
    with torch.inference_mode():
        assert (network(x) - network(far))[..., :16, :16].abs().max() > 1e-6
        none = torch.zeros(1)
        assert (network(x, None, none) - network(far, None, none))[..., :8, :8].abs().max() == 0

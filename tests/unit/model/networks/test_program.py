"""A program goes from bytes to bytes, drawn around the holes, and a compiler takes it as one graph."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model.box import Box
from model.networks.fourier_unet import FourierUNet
from model.networks.lama import LaMaGenerator
from model.networks.program import Program

CPU = torch.device("cpu")
HEIGHT, WIDTH = 176, 240


@functools.cache
def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    made = LaMaGenerator(ngf=4, n_blocks=1) if name == "lama" else FourierUNet(channels=(8, 8, 8, 16, 16))
    if isinstance(made, FourierUNet):
        nn.init.normal_(made.head.weight, 0, 0.2)
    return made.eval()


def tiles(count: int = 1, height: int = HEIGHT, width: int = WIDTH) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    pixels = torch.randint(256, (count, height, width, 3), dtype=torch.uint8, generator=generator)
    return pixels, (torch.rand(count, height, width, generator=generator) > 0.8).to(torch.uint8) * 3


@st.composite
def windows(draw: st.DrawFn) -> Box:
    top, left = draw(st.integers(0, HEIGHT - 1)), draw(st.integers(0, WIDTH - 1))
    return Box(top, left, draw(st.integers(top + 1, HEIGHT)), draw(st.integers(left + 1, WIDTH)))


@functools.cache
def whole(name: str) -> Tensor:
    return Program(network(name), CPU, "fp32")(*tiles(), Box(0, 0, HEIGHT, WIDTH)).values


@pytest.mark.parametrize("name", ["lama", "fourier-unet"])
@settings(max_examples=25)
@given(window=windows())
def test_what_is_drawn_around_a_window_equals_the_whole(name: str, window: Box) -> None:
    fill = Program(network(name), CPU, "fp32")(*tiles(), window)
    assert fill.window == window
    assert torch.isfinite(fill.total)
    # Sums in another order may round a value to the next level.
    assert (fill.values.int() - whole(name)[:, *window.slices].int()).abs().max() <= 1


def test_bytes_are_the_networks_values_of_the_known_pixels() -> None:
    pixels, holes = tiles(2)
    batch = torch.cat((pixels.permute(0, 3, 1, 2) / 255, (holes > 0)[:, None]), dim=1).float()
    batch[:, :3] *= 1 - batch[:, 3:]
    with torch.inference_mode():
        expected = network("fourier-unet")(batch).clamp(0, 1).mul(255).permute(0, 2, 3, 1)
    fill = Program(network("fourier-unet"), CPU, "fp32")(pixels, holes, Box(0, 0, HEIGHT, WIDTH))
    assert expected.std() > 10
    assert (fill.values - expected).abs().max() < 0.51


@pytest.mark.parametrize("name", ["lama", "fourier-unet"])
def test_a_compiler_takes_a_pass_as_one_graph_with_the_same_result(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Inductor itself takes a minute; what it is given does not depend on it. A break of the graph is an error.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    compiled = Program(network(name), CPU, "fp32", compiled=True)
    plain = Program(network(name), CPU, "fp32")
    for count, height, width in ((1, 96, 64), (2, 64, 96)):
        window = Box(16, 20, 40, 50)
        first, second = (program(*tiles(count, height, width), window) for program in (plain, compiled))
        assert (first.values.int() - second.values.int()).abs().max() <= 1
        torch.testing.assert_close(first.total, second.total)

"""Named configurations have the published sizes, and tensors are recognised by their names and shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.errors import UnknownNetwork
from model.networks.configurations import LAMA_STEM, NAMED, Choice, build, named, recognise, shapes_in

DATA = Path(__file__).parents[3] / "data"
PARAMETERS = {
    "lama-fourier": 27_048_835,
    "big-lama": 50_975_875,
    "lama-regular": 45_607_555,
    "lama-small": 4_781_123,
    "fourier-unet": 1_551_939,
}
Shapes = dict[str, tuple[int, ...]]


def shapes_of(architecture: str, **configuration: Any) -> Shapes:
    return shapes_in(build(Choice(architecture, configuration)).state_dict())


def test_every_named_configuration_has_its_number_of_parameters() -> None:
    assert {
        name: sum(parameter.numel() for parameter in build(choice).parameters()) for name, choice in NAMED.items()
    } == PARAMETERS


def test_the_regular_network_has_no_spectral_transform() -> None:
    assert not any("convg2g" in name for name in shapes_in(build(NAMED["lama-regular"]).state_dict()))


@pytest.mark.parametrize("name", ["lama-fourier", "big-lama"])
def test_official_checkpoints_are_recognised_also_without_counters(name: str) -> None:
    official: Shapes = {
        key: tuple(shape) for key, shape in json.loads((DATA / f"{name}-state-shapes.json").read_text()).items()
    }
    assert recognise(official) == NAMED[name]
    assert recognise({key: shape for key, shape in official.items() if "num_batches" not in key}) == NAMED[name]


@pytest.mark.parametrize("name", NAMED)
def test_every_named_configuration_is_recognised(name: str) -> None:
    assert recognise(shapes_in(build(NAMED[name]).state_dict())) == NAMED[name]


@pytest.mark.parametrize(
    ("architecture", "configuration"),
    [
        ("lama", {"ngf": 8, "n_blocks": 1}),
        ("lama", {"ngf": 8, "n_blocks": 1, "ratio": 0.5, "local_unit": True}),
        ("lama", {"ngf": 16, "n_downsampling": 2, "n_blocks": 3, "spectral_kernel": 3}),
        ("lama", {"ngf": 8, "n_blocks": 2, "real_only": True}),
        ("lama", {"ngf": 8, "n_blocks": 0, "ratio": 0.0}),
        ("fourier-unet", {"channels": [8, 12, 16, 24, 32]}),
        ("fourier-unet", {"ratio": 0.75, "real_only": True, "spectral_kernel": 3}),
        ("fourier-unet", {"ratio": 0.0}),
        ("fourier-unet", {"guided": False}),
    ],
)
def test_other_sizes_of_the_family_are_inferred(architecture: str, configuration: dict[str, Any]) -> None:
    recognised = recognise(shapes_of(architecture, **configuration))
    assert recognised == Choice(architecture, configuration)


def test_an_unusual_ratio_is_inferred_by_the_channels_it_gives() -> None:
    shapes = shapes_of("lama", ngf=8, n_blocks=1, ratio=0.3)
    recognised = recognise(shapes)
    assert shapes_in(build(recognised).state_dict()) == shapes


def test_settings_that_equal_the_defaults_do_not_hide_a_name() -> None:
    assert named("lama", {"n_blocks": 18, "ngf": 64, "real_only": False}) == NAMED["big-lama"]


def test_a_wrong_shape_a_missing_and_an_unknown_tensor_are_named() -> None:
    shapes = shapes_of("lama", ngf=8, n_blocks=1)
    last = "model.17.weight"
    with pytest.raises(UnknownNetwork, match=r"model\.5\.conv1\.bn_l\.bias has shape \[3\] instead of \[16\]"):
        recognise(shapes | {"model.5.conv1.bn_l.bias": (3,)})
    with pytest.raises(UnknownNetwork, match=r"model\.2\.bn_l\.bias is missing"):
        recognise({name: shape for name, shape in shapes.items() if name != "model.2.bn_l.bias"})
    with pytest.raises(UnknownNetwork, match=r"has no tensor extra"):
        recognise(shapes | {"extra": (1,)})
    with pytest.raises(UnknownNetwork, match="output_nc"):
        recognise({name: shape for name, shape in shapes.items() if name != last})


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"conv.weight": (3, 3)},
        {LAMA_STEM: ()},
        {LAMA_STEM: (64,)},
        {LAMA_STEM: (64, 4, 7, 7)},
        {LAMA_STEM: (10**9, 4, 7, 7)},
        {LAMA_STEM: (64, 4, 7, 7), "model.2.conv1.ffc.convg2g.fu.conv_layer.weight": (1,)},
        {"stem.0.weight": ()},
    ],
)
def test_tensors_of_no_known_network_are_refused(shapes: Shapes) -> None:
    with pytest.raises(UnknownNetwork):
        recognise(shapes)

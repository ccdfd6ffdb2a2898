"""A worker loads the weights that its settings name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from cleanplate.base.settings import Settings
from cleanplate.base.weights import path_of
from cleanplate.errors import WeightsMissing
from model.networks.lama import LaMaGenerator
from model.networks.weights import Description, save_weights
from workers.device import resources
from workers.device.drain import Drain


@pytest.fixture
def named(embedded_settings: Settings) -> Iterator[Settings]:
    """Settings that name weights."""
    threads = torch.get_num_threads()
    yield embedded_settings.model_copy(update={"weights": "little", "device": "cpu", "torch_threads": 1})
    resources.close_for_process()
    torch.set_num_threads(threads)


def test_a_worker_loads_weights_by_their_name(named: Settings) -> None:
    path = path_of(named, "little")
    path.parent.mkdir()
    save_weights(
        LaMaGenerator(ngf=8, n_blocks=1), Description("lama", {"ngf": 8, "n_blocks": 1}), path, dtype=torch.float32
    )
    resources.open_for_process(named, Drain())
    assert resources.own_resources().inpainter.architecture == "lama"


def test_a_name_that_is_not_there_is_an_error_and_opens_nothing(named: Settings) -> None:
    with pytest.raises(WeightsMissing, match="little"):
        resources.open_for_process(named, Drain())
    with pytest.raises(RuntimeError):
        resources.own_resources()

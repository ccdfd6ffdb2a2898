"""The trainer: exact resume; a failure keeps the last good checkpoint and says how to continue."""

from __future__ import annotations

import csv
import errno
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cleanplate.cli import app
from model.errors import (
    CheckpointRejected,
    CheckpointUnwritten,
    RecipeRejected,
    TrainingDiverged,
    TrainingInterrupted,
)
from model.networks.weights import SHIPPED, load_network
from model.training.averaging import average
from model.training.losses import masked_l1
from model.training.recipe import RECIPES, Recipe, read_recipe
from model.training.session import new_network, stopped_by_signals, write_weights
from model.training.trainer import Trainer

from .conftest import Opener, recipe_with


def tensors(value: object, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a state, with its path."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from tensors(inner, f"{name}.{key}")


def assert_equal(ours: Trainer, theirs: Trainer) -> None:
    for (name, mine), (_, other) in zip(tensors(ours.state()), tensors(theirs.state()), strict=True):
        assert torch.equal(mine, other), name


@pytest.mark.parametrize(("steps", "bf16"), [(100, False), (6, True)], ids=["fp32", "bf16"])
def test_a_run_in_two_halves_equals_an_unbroken_one_bit_for_bit(
    opened: Opener, features: Path, tmp_path: Path, steps: int, bf16: bool
) -> None:
    recipe = recipe_with(
        features,
        bf16=bf16,
        data={"batch": 2, "crop": 48, "held": 4, "held_for": 15},
        perceptual={"stages": 1},
        schedule={"steps": steps, "warmup": 5},
        logging={"every": 25, "sheet_every": 1000},
    )
    unbroken = opened(recipe, tmp_path / "unbroken")
    unbroken.run()
    opened(recipe, tmp_path / "resumed").run(until=steps // 2)
    resumed = opened(recipe, tmp_path / "resumed")
    assert resumed.step == steps // 2
    resumed.run()
    assert_equal(unbroken, resumed)


def test_the_average_follows_the_network(opened: Opener) -> None:
    trainer = opened(recipe_with(schedule={"ema": 0.0}))
    trainer.run()
    for ours, theirs in zip(trainer.average.parameters(), trainer.network.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_training_lowers_the_loss(opened: Opener, tmp_path: Path) -> None:
    photos = tmp_path / "ramp"
    photos.mkdir()
    ramp = np.linspace(0, 255, 90).astype(np.uint8)
    Image.fromarray(np.broadcast_to(ramp[None, :, None], (80, 90, 3)).copy()).save(photos / "ramp.png")
    recipe = recipe_with(
        data={"batch": 4}, masks={"careless": 0.0}, schedule={"steps": 60, "rate": 5e-3}, logging={"every": 60}
    )
    trainer = opened(recipe, data=photos)
    batch = trainer.batches.batch(1000)

    def error() -> float:
        with torch.no_grad():
            return masked_l1(trainer.average(batch.given), batch.clean, batch.hole).item()

    with torch.no_grad():  # an offset for the network to unlearn
        for network in (trainer.network, trainer.average):
            list(network.parameters())[-1].add_(0.3)
    before = error()
    trainer.run()
    assert error() < before / 2


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(opened: Opener) -> None:
    trainer = opened(recipe_with())
    trainer.run(until=2)
    good = trainer.checkpoint.read_bytes()
    with torch.no_grad():
        trainer.network.head.weight.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"step 2\. The last good state is in .*run the same command"):
        trainer.run()
    assert trainer.checkpoint.read_bytes() == good
    resumed = opened(recipe_with(schedule={"rate": 1e-5}))
    resumed.run(until=4)
    assert resumed.step == 4


def test_a_gradient_that_is_not_finite_stops_the_run_though_the_loss_is(opened: Opener) -> None:
    trainer = opened(recipe_with())
    trainer.run(until=2)
    good = trainer.checkpoint.read_bytes()
    trainer.network.head.bias.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingDiverged):
        trainer.run()
    assert trainer.checkpoint.read_bytes() == good


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A disk that is full after ``size`` bytes of a file: the kernel refuses the rest."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_last_checkpoint_and_no_rest(opened: Opener) -> None:
    trainer = opened(recipe_with())
    trainer.run(until=2)
    good = trainer.checkpoint.read_bytes()
    with files_no_larger_than(len(good) // 2), pytest.raises(CheckpointUnwritten, match=r"step 4.*Make room"):
        trainer.run(until=4)
    assert trainer.checkpoint.read_bytes() == good
    assert not list(trainer.folder.glob("*.partial"))
    resumed = opened(recipe_with())
    assert resumed.step == 2
    resumed.run(until=4)


def test_a_log_that_cannot_be_written_is_said_like_a_full_disk(opened: Opener) -> None:
    trainer = opened(recipe_with())
    trainer.run(until=2)
    log = trainer.folder / "log.csv"
    log.unlink()
    log.mkdir()
    with pytest.raises(CheckpointUnwritten, match=os.strerror(errno.EISDIR)):
        trainer.run(until=4)


def test_ctrl_c_saves_the_present_step_and_says_how_to_go_on(opened: Opener, tmp_path: Path) -> None:
    recipe = recipe_with(schedule={"steps": 100_000}, logging={"every": 100_000})
    trainer = opened(recipe)

    def press() -> None:
        while trainer.step < 3 and threading.main_thread().is_alive():
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    before = signal.getsignal(signal.SIGINT)
    presser.start()
    with stopped_by_signals(trainer), pytest.raises(TrainingInterrupted, match="as asked"):
        trainer.run()
    presser.join()
    assert signal.getsignal(signal.SIGINT) is before
    resumed = opened(recipe)
    assert resumed.step == trainer.step >= 3
    assert_equal(resumed, trainer)


def test_a_damaged_checkpoint_is_refused_by_name(opened: Opener) -> None:
    trainer = opened(recipe_with())
    trainer.run(until=2)
    data = trainer.checkpoint.read_bytes()
    trainer.checkpoint.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointRejected, match=r"checkpoint\.pt cannot be read"):
        opened(recipe_with())


def test_another_networks_checkpoint_is_refused(opened: Opener) -> None:
    opened(recipe_with()).run(until=2)
    other = recipe_with(network={"configuration": {"channels": [4, 8, 8, 8, 12]}})
    with pytest.raises(CheckpointRejected, match="not of this recipe's network"):
        opened(other)


def test_a_changed_recipe_is_said_and_counts_from_there(opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    opened(recipe_with()).run(until=2)
    trainer = opened(recipe_with(schedule={"rate": 1e-4}))
    assert "changed since step 2" in caplog.text
    trainer.run()
    assert trainer.step == 8


def test_an_adversary_may_join_a_run_that_began_without_one(opened: Opener, features: Path) -> None:
    opened(recipe_with()).run(until=4)
    trainer = opened(recipe_with(features))
    trainer.run()
    assert trainer.step == 8
    assert (trainer.folder / "log-before-6.csv").exists()


def test_the_log_has_a_row_for_each_interval_and_none_twice(opened: Opener) -> None:
    opened(recipe_with()).run(until=4)
    log = opened(recipe_with()).folder / "log.csv"
    with log.open("a", newline="") as file:
        csv.writer(file).writerow([6, *["0"] * 6])  # a logged step that is lost with its checkpoint
    opened(recipe_with()).run()
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4", "6", "8"]
    assert all(float(row["images_per_second"]) > 0 for row in rows)


def test_a_run_leaves_sheets_and_weights_that_load(opened: Opener) -> None:
    recipe = recipe_with(network={"source": "tests", "licence": "none"})
    trainer = opened(recipe)
    trainer.run()
    sheets = sorted(path.name for path in trainer.folder.glob("sheet-*.jpg"))
    assert sheets == ["sheet-0000004.jpg", "sheet-0000008.jpg"]
    with Image.open(trainer.folder / sheets[0]) as sheet:
        assert sheet.size == (4 * 64, 2 * 64)
    path = trainer.folder / "weights.safetensors"
    write_weights(trainer, path)
    network, description = load_network(path)
    assert description.source == "tests"
    batch = trainer.batches.batch(0)
    with torch.no_grad():
        assert torch.allclose(network(batch.given), trainer.average(batch.given), atol=2e-2)


def test_a_run_stops_when_its_seconds_are_over(opened: Opener) -> None:
    trainer = opened(recipe_with())
    trainer.run(seconds=0)
    assert trainer.step == 1
    assert opened(recipe_with()).step == 1


def test_the_shipped_network_is_a_start() -> None:
    recipe = read_recipe("fine-tune")
    network = new_network(recipe.network, seed=0)
    assert all(parameter.requires_grad for parameter in network.parameters())
    with pytest.raises(RecipeRejected, match="another network"):
        new_network(recipe.network.model_copy(update={"configuration": {"ratio": 0.25}}), seed=0)
    with pytest.raises(RecipeRejected, match="cannot be built"):
        new_network(recipe.network.model_copy(update={"architecture": "perceptron"}), seed=0)


def test_the_mean_of_two_networks_lies_between_them(opened: Opener, tmp_path: Path) -> None:
    for name, rate in (("first", 1e-3), ("second", 2e-3)):
        trainer = opened(recipe_with(schedule={"rate": rate}), tmp_path / name)
        trainer.run(until=2)
        write_weights(trainer, tmp_path / f"{name}.safetensors")
    first, second, mean = (tmp_path / f"{name}.safetensors" for name in ("first", "second", "mean"))
    average(first, second, mean, share=0.25)
    states = [load_network(path)[0].state_dict() for path in (first, second, mean)]
    for one, other, between in zip(*(state.values() for state in states), strict=True):
        if one.is_floating_point():
            assert torch.allclose(between, 0.75 * one + 0.25 * other, rtol=2e-3, atol=1e-6)
    with pytest.raises(RecipeRejected, match="two networks"):
        average(first, SHIPPED, mean, share=0.5)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_that_are_brought_along_are_valid(path: Path) -> None:
    recipe = read_recipe(path.stem)
    assert isinstance(recipe, Recipe)
    network = new_network(recipe.network, seed=0)
    assert sum(parameter.numel() for parameter in network.parameters()) < 9_000_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not toml", "is not TOML"),
        ("[schedule]\nsteps = 0", "schedule.steps"),
        ("[schedule]\nsteps = 5\n[data]\ncrop = 50", "data.crop"),
        ("[schedule]\nsteps = 5\n[lossess]\nrim = 1", "lossess"),
    ],
)
def test_a_wrong_recipe_is_refused_by_the_name_of_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(RecipeRejected, match=message):
        read_recipe(str(path))


def test_paths_of_a_recipe_are_relative_to_it(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[schedule]\nsteps = 5\n[data]\nphotos = "catalogue"\n[perceptual]\nweights = "vgg.safetensors"')
    recipe = read_recipe(str(path))
    assert recipe.data.photos == str(tmp_path / "catalogue")
    assert recipe.perceptual.weights == str(tmp_path / "vgg.safetensors")
    with pytest.raises(RecipeRejected, match="one of ablation, cleanplate-small, fine-tune"):
        read_recipe("nothing")


def test_the_command_trains_goes_on_and_ends_with_weights(tmp_path: Path, photos: Path) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        "bf16 = false\n[network]\nconfiguration = { channels = [4, 8, 8, 8, 8] }\n[masks]\npool = 8\n"
        "[data]\nbatch = 1\ncrop = 48\n[schedule]\nsteps = 4\n[logging]\nevery = 1"
    )
    run = tmp_path / "run"
    arguments = ["train", str(recipe), str(run), "--photos", str(photos), "--device", "cpu"]
    first = CliRunner().invoke(app, [*arguments, "--until", "2"])
    assert first.exit_code == 0, first.output
    assert "Step 2 of 4" in first.output
    second = CliRunner().invoke(app, arguments)
    assert second.exit_code == 0, second.output
    assert load_network(run / "weights.safetensors")[1].architecture == "fourier-unet"


def test_the_command_without_photos_says_what_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "ablation", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "--photos" in result.output
    result = CliRunner().invoke(app, ["train", "ablation", str(tmp_path / "run"), "--photos", str(tmp_path)])
    assert result.exit_code == 2
    assert "no pictures" in result.output


@pytest.mark.parametrize(
    ("units", "asked", "taken"),
    [({"amx_bf16": True}, None, True), ({}, None, False), ({}, True, True), ({"avx512_bf16": True}, False, False)],
)
def test_a_run_computes_in_bf16_where_the_processor_has_units_for_it(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, units: dict[str, bool], asked: bool | None, *, taken: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert opened(recipe_with(bf16=asked)).bf16 is taken

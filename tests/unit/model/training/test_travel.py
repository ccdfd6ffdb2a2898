"""A run resumes from a compressed state without a step in its loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bench import train_slice
from model.networks.weights import load_network
from model.training.losses import masked_l1
from model.training.trainer import Trainer
from model.training.travel import from_bytes, read_parts, to_bytes, write_parts

from .conftest import CPU, Opener, recipe_with


def error(trainer: Trainer, network: torch.nn.Module) -> float:
    batch = trainer.batches.batch(1000, size=8)
    with torch.no_grad():
        return masked_l1(network.eval()(batch.given), batch.clean, batch.hole).item()


def test_a_state_travels_small_and_the_loss_has_no_seam(opened: Opener, features: Path, tmp_path: Path) -> None:
    wide = {"configuration": {"channels": [16, 24, 24, 24, 24]}}
    recipe = recipe_with(features, network=wide, schedule={"steps": 24, "warmup": 4, "rate": 2e-3})
    unbroken = opened(recipe, tmp_path / "unbroken")
    unbroken.run(until=16)
    data = to_bytes(unbroken.state())
    assert len(data) < 0.42 * unbroken.checkpoint.stat().st_size
    carried = opened(recipe, tmp_path / "carried")
    carried.load(from_bytes(data, CPU))
    assert carried.step == 16
    before = error(unbroken, unbroken.network)
    assert error(carried, carried.network) == pytest.approx(before, rel=0.02)
    assert error(carried, carried.average) == pytest.approx(error(unbroken, unbroken.average), rel=0.01)
    for trainer in (unbroken, carried):
        trainer.run()
    assert error(carried, carried.network) == pytest.approx(error(unbroken, unbroken.network), rel=0.1)


def test_second_moments_keep_their_order_of_magnitude(opened: Opener) -> None:
    trainer = opened(recipe_with(network={"configuration": {"channels": [16, 24, 24, 24, 24]}}))
    trainer.run(until=4)
    carried = from_bytes(to_bytes(trainer.state()), CPU)
    for number, one in trainer.optimizer.state_dict()["state"].items():
        theirs = carried["optimizer"]["state"][number]["exp_avg_sq"]
        assert torch.allclose(theirs.clamp_min(1e-19).log2(), one["exp_avg_sq"].clamp_min(1e-19).log2(), atol=0.2)


def test_parts_are_small_enough_to_come_back_and_join_to_the_same_bytes(tmp_path: Path) -> None:
    data = bytes(np.random.default_rng(0).integers(0, 256, 31_000_000, dtype=np.uint8))
    assert read_parts(tmp_path) == b""
    parts = write_parts(data, tmp_path)
    assert [part.name for part in parts] == ["state.00", "state.01", "state.02"]
    assert max(part.stat().st_size for part in parts) < 16 << 20
    assert read_parts(tmp_path) == data
    write_parts(b"short", tmp_path)
    assert read_parts(tmp_path) == b"short"


def test_slices_follow_one_another(
    photos: Path, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_slice, "STAGES", 2)
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        "bf16 = false\n[network]\nconfiguration = { channels = [4, 8, 8, 8, 8] }\n[data]\nbatch = 1\ncrop = 48\n"
        "[masks]\npool = 8\n[losses]\nperceptual = 1.0\nadversarial = 0.1\npenalty_every = 4\n"
        "[perceptual]\nstages = 2\ndilated_from = 2\n[discriminator]\nwidth = 4\n"
        "[schedule]\nsteps = 100\nwarmup = 2\n[logging]\nevery = 10\nsheet_every = 20"
    )
    parcel = tmp_path / "parcel"
    prepare = ["prepare", str(parcel), "--photos", str(photos), "--features", str(features), "--recipe", str(recipe)]
    steps = []
    for number in range(2):
        out = tmp_path / f"out{number}"
        before = ["--results", str(tmp_path / f"out{number - 1}")] if number else []
        train_slice.main([*prepare, *before, "--most-mb", "2"])
        assert train_slice.size_of(parcel) < 2e6
        capsys.readouterr()
        train_slice.main(["run", str(parcel), str(out), "--seconds", "0", "--device", "cpu"])
        figures = json.loads(capsys.readouterr().out)
        assert figures["images_per_second"] > 0
        # No upper bound: both speeds are measured, one after the other, on a machine that may be busy.
        assert figures["share_of_peak"] > 0
        assert figures["gflop_per_step"] > 0
        steps.append(figures["steps"])
        assert len(list(out.iterdir())) <= 8
        assert load_network(out / "weights.safetensors")[1].architecture == "fourier-unet"
    assert steps[0][0] == 0
    assert steps[1][0] == steps[0][1] > 20
    rows = (tmp_path / "out1" / "log.csv").read_text().splitlines()[1:]
    logged = [int(row.split(",")[0]) for row in rows]
    assert logged == sorted(set(logged))
    assert logged[0] < steps[0][1] < logged[-1]


def test_a_parcel_that_may_not_travel_is_refused(photos: Path, features: Path, tmp_path: Path) -> None:
    save_file(load_file(features), tmp_path / "features.safetensors")
    with pytest.raises(SystemExit, match="most-mb"):
        train_slice.main([
            "prepare", str(tmp_path / "parcel"), "--photos", str(photos), "--features",
            str(tmp_path / "features.safetensors"), "--most-mb", "0.01", "--recipe", "ablation", "--masks", "20",
        ])  # fmt: skip

"""The trainer: batches as a function of the step, exact resume, a diverged run keeps its last good state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.errors import TrainingDiverged
from model.fourier_unet import FourierUNet
from model.prefill import push_pull
from model.training.batches import Batches, load_photos, mask_pool
from model.training.masks import KINDS
from model.training.trainer import Plan, Trainer, masked_l1


def batches(seed: int = 0) -> Batches:
    photos = [np.random.default_rng(n).integers(0, 256, (90, 80, 3), dtype=np.uint8) for n in range(3)]
    return Batches(photos=photos, masks=mask_pool(seed, 12), size=2, crop=64, seed=seed)


def tiny() -> FourierUNet:
    torch.manual_seed(0)
    return FourierUNet(channels=(4, 8, 8, 8, 8))


def trained(folder: Path, *stops: int) -> Trainer:
    """A run of 8 steps, interrupted at each of ``stops``."""
    for stop in (*stops, 8):
        trainer = Trainer(tiny(), batches(), Plan(steps=8, every=2), folder)
        trainer.run(until=stop)
    return trainer


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_seeded_and_of_two_values(kind: str) -> None:
    first, again = (KINDS[kind](np.random.default_rng(5), 120, 200) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape == (120, 200)
    assert set(np.unique(first)) <= {0, 255}
    assert any(KINDS[kind](np.random.default_rng(seed), 120, 200).any() for seed in range(3))


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    picture, hole = batches().batch(3)
    again_picture, again_hole = batches().batch(3)
    assert torch.equal(picture, again_picture)
    assert torch.equal(hole, again_hole)
    assert not torch.equal(picture, batches().batch(4)[0])
    assert picture.shape == (2, 3, 64, 64)
    assert hole.shape == (2, 1, 64, 64)
    assert set(hole.unique().tolist()) == {0.0, 1.0}


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path: Path) -> None:
    unbroken, resumed = trained(tmp_path / "a"), trained(tmp_path / "b", 2, 6)
    for (name, ours), theirs in zip(
        unbroken.average.state_dict().items(), resumed.average.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 80).astype(np.uint8)
    photos = [np.broadcast_to(ramp[None, :, None], (90, 80, 3)).copy()]
    learning = Batches(photos=photos, masks=mask_pool(1, 12), size=4, crop=64, seed=1)
    trainer = Trainer(tiny(), learning, Plan(steps=60, every=60, warmup=5, rate=5e-3), tmp_path)
    trainer.run()
    picture, hole = learning.batch(1000)
    with torch.no_grad():
        result = trainer.network.eval()(torch.cat((picture * (1 - hole), hole), dim=1))
    assert masked_l1(result, picture, hole) < masked_l1(push_pull(picture, hole), picture, hole)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    trainer = Trainer(tiny(), batches(), Plan(steps=8, every=2), tmp_path)
    trainer.run(until=2)
    good = trainer.checkpoint.read_bytes()
    with torch.no_grad():
        trainer.network.head.weight.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="step 2"):
        trainer.run()
    assert trainer.checkpoint.read_bytes() == good


def test_a_broken_picture_in_the_folder_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (20, 30)).save(tmp_path / "good.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    photos = load_photos(tmp_path)
    assert [photo.shape for photo in photos] == [(30, 20, 3)]
    assert "broken.jpg" in caplog.text


def test_prefill_keeps_known_pixels_and_is_smooth_in_the_hole() -> None:
    picture = torch.linspace(0, 1, 50)[None, None, None, :].expand(1, 3, 37, 50).contiguous()
    hole = torch.zeros(1, 1, 37, 50)
    hole[..., 10:20, 15:30] = 1
    filled = push_pull(picture * (1 - hole), hole)
    assert torch.equal(filled * (1 - hole), picture * (1 - hole))
    assert (filled - picture).abs().max() < 0.15


def test_prefill_of_a_wholly_unknown_picture_is_finite() -> None:
    assert push_pull(torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)).isfinite().all()

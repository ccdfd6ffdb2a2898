"""Losses and the discriminator on cases whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model.errors import RecipeRejected
from model.networks.prefill import push_pull
from model.repair.seam import lab_of
from model.training.discriminator import PatchDiscriminator, discriminator_loss, generator_loss, patches_of, r1
from model.training.losses import lab, masked_l1, rim_distance
from model.training.perceptual import PerceptualDistance


def square_hole() -> torch.Tensor:
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 8:24, 8:24] = 1
    return hole


def test_masked_l1_is_the_mean_error_of_the_hole_alone() -> None:
    picture, hole = torch.zeros(1, 3, 32, 32), square_hole()
    assert masked_l1(picture + 0.25, picture, hole).item() == pytest.approx(0.25)
    assert masked_l1(picture + 1 - hole, picture, hole).item() == 0
    assert masked_l1(picture + 1, picture, torch.zeros_like(hole)).item() == 0


def test_lab_is_that_of_the_product() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    ours = lab(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - lab_of(pixels)).max() < 0.5


def test_rim_distance_sees_a_shift_of_tone_at_the_rim_and_nothing_in_the_middle() -> None:
    picture, hole = torch.full((1, 3, 32, 32), 0.5), square_hole()
    middle = torch.zeros_like(hole)
    middle[..., 14:18, 14:18] = 1
    shifted = rim_distance(picture + 0.1 * hole, picture, hole)
    assert shifted.item() == pytest.approx(float((lab(picture + 0.1) - lab(picture))[0, 0, 0, 0]) / 100, rel=0.1)
    assert rim_distance(picture + 0.1 * middle, picture, hole) < 0.1 * shifted


def test_rim_distance_has_a_finite_gradient_everywhere() -> None:
    picture, hole = torch.rand(1, 3, 32, 32), square_hole()
    result = picture.clone()
    result[..., 10:12, :] = 0
    result[..., 12:14, :] = 1.2
    result.requires_grad_(True)
    rim_distance(result, picture, hole).backward()
    assert result.grad is not None
    assert result.grad.isfinite().all()


def test_perceptual_distance_is_zero_for_equal_pictures_and_sees_far(features: Path) -> None:
    wide = PerceptualDistance(features, stages=2, dilated_from=2)
    picture = torch.rand(1, 3, 48, 48)
    assert wide(picture, picture).item() == 0
    changed = picture.clone().requires_grad_(True)
    wide(changed, 1 - picture).backward()
    assert changed.grad is not None
    assert changed.grad.abs().sum() > 0


def test_perceptual_distance_without_its_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecipeRejected, match="--features"):
        PerceptualDistance(tmp_path / "none.safetensors")


def test_a_patch_is_fake_where_it_touches_the_hole() -> None:
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 0, 0] = 1
    logits = torch.zeros(1, 1, 8, 8)
    patches = patches_of(hole, logits)
    assert patches.sum() == patches[0, 0, 0, 0] == 1
    right = torch.where(patches > 0, -10.0, 10.0)
    assert discriminator_loss(torch.full_like(logits, 10), right, hole) < 1e-3
    assert discriminator_loss(torch.full_like(logits, 10), -right, hole) > 5
    assert generator_loss(-right, hole) < 1e-3
    assert generator_loss(right, hole) > 5


def test_r1_is_the_squared_gradient_on_pictures() -> None:
    class Linear(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
            return (3 * x).sum(dim=(1, 2, 3)), []

    assert r1(Linear(), torch.rand(2, 3, 8, 8)).item() == pytest.approx(9 * 3 * 64)


def test_the_discriminator_gives_features_of_every_layer() -> None:
    logits, features = PatchDiscriminator(width=4, depth=2)(torch.rand(2, 3, 64, 64))
    assert logits.shape[:2] == (2, 1)
    assert len(features) == 3


def test_prefill_keeps_known_pixels_and_is_smooth_in_the_hole() -> None:
    picture = torch.linspace(0, 1, 50)[None, None, None, :].expand(1, 3, 37, 50).contiguous()
    hole = torch.zeros(1, 1, 37, 50)
    hole[..., 10:20, 15:30] = 1
    filled = push_pull(picture * (1 - hole), hole)
    assert torch.equal(filled * (1 - hole), picture * (1 - hole))
    assert (filled - picture).abs().max() < 0.15


def test_prefill_of_a_wholly_unknown_picture_is_finite() -> None:
    assert push_pull(torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)).isfinite().all()

"""Batches: a function of the step; crops are the photos' pixels; holes are where the marks are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.training.batches import Batches
from model.training.holes import Holes, draw_pool, paint, read_pool, write_pool
from model.training.masks import KINDS
from model.training.photos import Photos
from model.training.stock import Stock, Stocks

from .conftest import CPU, recipe_with


def holes(careless: float = 0.0, **shares: float) -> Holes:
    return Holes(draw_pool(0, 8, list(shares)), shares=shares, careless=careless, device=CPU)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_seeded_and_of_two_values(kind: str) -> None:
    first, again = (KINDS[kind](np.random.default_rng(5), 120, 200) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape == (120, 200)
    assert set(np.unique(first)) <= {0, 255}
    assert any(KINDS[kind](np.random.default_rng(seed), 120, 200).any() for seed in range(3))


def test_a_batch_is_a_function_of_seed_and_step_in_whatever_order_they_are_asked_for(photos: Path) -> None:
    one, other = (Batches(recipe_with(), photos, CPU) for _ in range(2))
    expected = [one.batch(step) for step in range(8)]
    for step in (6, 0, 3, 7):  # across changes of the stock, there and back
        for ours, theirs in zip(other.batch(step), expected[step], strict=True):
            assert torch.equal(ours, theirs)
    assert not torch.equal(expected[0].clean, expected[1].clean)
    assert expected[0].clean.shape == (2, 3, 64, 64)
    assert set(expected[0].hole.unique().tolist()) == {0.0, 1.0}
    one.close()
    other.close()


def test_stocks_rotate_through_all_photos_evenly(photos: Path) -> None:
    stocks = Stocks(Photos(photos), seed=1, held=4, held_for=10, device=CPU)
    drawn = [number for stock in range(3) for number in stocks.chosen(stock)]
    assert sorted(drawn[:6]) == sorted(drawn[6:]) == list(range(6))
    assert stocks.at(0) is stocks.at(9)
    assert stocks.at(9) is not stocks.at(10)
    stocks.close()


def test_an_unreduced_crop_is_the_photos_own_pixels() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    crop = Stock([photo], CPU).crops(np.random.default_rng(1), 1, 32, most_reduction=2.0, as_is=1.0)[0]
    seen = crop.mul(255).round().byte().permute(1, 2, 0).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(photo, (32, 32), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    poses = [np.rot90(seen[:, ::flip], turn) for turn in range(4) for flip in (1, -1)]
    assert any((windows == pose).all(axis=(2, 3, 4)).any() for pose in poses)


def test_a_reduced_crop_keeps_the_mean_and_loses_the_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    crop = Stock([noise], CPU).crops(np.random.default_rng(2), 4, 64, most_reduction=3.0, as_is=0.0)
    assert abs(float(crop.mean()) - 0.5) < 0.02
    assert float(crop.std()) < 0.9 * float(noise.std()) / 255


def test_a_photo_smaller_than_a_crop_is_mirrored() -> None:
    ramp = np.repeat(np.arange(0, 200, 10, dtype=np.uint8)[:, None, None], 20, axis=1).repeat(3, axis=2)
    crop = Stock([ramp], CPU).crops(np.random.default_rng(0), 3, 64, most_reduction=2.0, as_is=0.5)
    assert crop.shape == (3, 3, 64, 64)
    assert crop.isfinite().all()
    neighbours = torch.maximum(crop.diff(dim=2).abs().amax(), crop.diff(dim=3).abs().amax())
    assert neighbours <= 10.5 / 255


def test_a_hole_covers_its_mark_unless_it_is_careless() -> None:
    def left(careless: float) -> float:
        alpha, hole = holes(careless, text=1.0).draw(np.random.default_rng(3), 8, 96)
        assert hole.mean() > 0.03
        return float((alpha * (1 - hole)).amax())

    assert left(0.0) < 0.2
    assert left(1.0) > 0.3


def test_strokes_and_boxes_are_holes_without_a_mark() -> None:
    alpha, hole = holes(narrow=1.0, wide=1.0).draw(np.random.default_rng(0), 8, 96)
    assert not alpha.any()
    assert 0.02 < float(hole.mean()) < 0.8


def test_a_pool_is_kept_whole_in_a_small_file(tmp_path: Path) -> None:
    pool = draw_pool(1, 8, ["text", "logo", "wide"])
    assert pool.keys() == {"text", "logo"}
    write_pool(pool, tmp_path / "pool.npz")
    kept = read_pool(tmp_path / "pool.npz")
    assert all(np.array_equal(kept[kind], np.where(masks > 127, 255, 0)) for kind, masks in pool.items())
    assert (tmp_path / "pool.npz").stat().st_size < 8 * 4_000


def test_wide_masks_are_wider_than_narrow_ones() -> None:
    def covered(kind: str) -> float:
        shares = []
        for seed in range(40):
            canvas = np.zeros((128, 128), np.uint8)
            paint(np.random.default_rng(seed), canvas, kind)
            shares.append(canvas.mean() / 255)
        return float(np.mean(shares))

    assert covered("narrow") < covered("medium") < covered("wide")


def test_the_given_picture_is_blank_inside_the_hole_and_the_marked_one_outside(photos: Path) -> None:
    batches = Batches(recipe_with(masks={"careless": 1.0}), photos, CPU)
    batch = batches.batch(0)
    batches.close()
    assert not (batch.given[:, :3] * batch.hole).any()
    assert torch.equal(batch.given[:, :3], batch.marked * (1 - batch.hole))
    assert torch.equal(batch.given[:, 3:], batch.hole)
    assert not torch.equal(batch.marked, batch.clean)


def test_every_photo_that_is_held_is_seen(tmp_path: Path) -> None:
    for level in (10, 100, 200):
        Image.new("L", (70, 70), level).save(tmp_path / f"{level}.png")
    photos = Photos(tmp_path)
    stock = Stock(photos.decoded(range(3)), CPU)
    crops = stock.crops(np.random.default_rng(0), 20, 32, most_reduction=1.0, as_is=1.0)
    assert set(crops.mul(255).round().unique().tolist()) == {10.0, 100.0, 200.0}

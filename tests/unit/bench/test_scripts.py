"""The benchmark scripts run; their figures are not judged here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from bench import gpu
from bench.lpips import Lpips
from bench.plan import MARKS, SIZES, whole
from bench.quality import marked, masked_psnr, square
from model.costs import TABLE, costs_for
from model.plan import make_plan


def test_the_gpu_benchmark_runs_its_code_on_a_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main([str(tmp_path), "--device", "cpu", "--quick"])
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["tiny parity_db"]["fp32 program"] > 100
    assert report["tiny parity_db"]["bf16 program"] > 45
    assert report["tiny engine_tiles_per_s"] > 0
    assert {row["way"] for row in report["rows"]} >= {"eager fp32", "program bf16", "program tf32"}
    assert "tiny" in capsys.readouterr().out


def test_marks_of_the_plan_benchmark_are_planned_on_every_size() -> None:
    height, width = SIZES[1]
    for mark in MARKS.values():
        plan = make_plan(mark(height, width))
        assert 0 < plan.tiles_total < 40
    corner = make_plan(MARKS["corner logo"](height, width))
    costs = costs_for("fourier-unet", "cpu")
    assert corner.cost_ms(costs) * 12 < whole(height, width).cost_ms(costs)


def test_the_cost_table_has_the_networks_that_ship_and_an_unknown_one_is_planned_like_them() -> None:
    assert set(json.loads(TABLE.read_text())) >= {"fourier-unet/cpu", "lama/cpu"}
    assert costs_for("perceptron", "abacus") == costs_for("fourier-unet", "cpu")


def test_figures_of_quality_are_right_on_pictures_whose_error_is_known() -> None:
    original = np.full((40, 60, 3), 100, np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 10:20] = 255
    off = original.copy()
    off[10:20, 10:20] += 10
    off[30:, 30:] = 0
    assert masked_psnr(off, original, mask) == pytest.approx(10 * np.log10(255**2 / 100))
    assert (marked(original, mask)[15, 15] == 178).all()
    assert square(np.zeros((90, 120, 3), np.uint8), 64).shape == (64, 64, 3)


def test_lpips_is_zero_for_equal_pictures_and_grows_with_the_difference(tmp_path: Path) -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    shapes = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))
    tensors = {}
    for index, shape in enumerate(shapes):
        tensors[f"conv{index}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5 / shape[2]
        tensors[f"conv{index}.bias"] = torch.zeros(shape[0])
        tensors[f"lin{index}.weight"] = torch.rand((1, shape[0], 1, 1), generator=generator)
    save_file(tensors, tmp_path / "lpips.safetensors")
    distance = Lpips(tmp_path / "lpips.safetensors")
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    little, much = (np.clip(picture + np.int16(shift), 0, 255).astype(np.uint8) for shift in (4, 60))
    assert distance(picture, picture) == 0
    assert 0 < distance(picture, little) < distance(picture, much)

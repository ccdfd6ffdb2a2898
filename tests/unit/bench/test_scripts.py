"""The benchmark scripts run; their figures are not judged here."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from bench import gpu
from bench.plan import MARKS, SIZES, whole
from bench.simulated_device import SimulatedEngine
from model.engine.costs import TABLE, costs_for
from model.engine.flight import Tile
from model.engine.plan import make_plan


def test_the_gpu_benchmark_runs_its_code_on_a_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main([str(tmp_path), "--device", "cpu", "--quick"])
    report = json.loads((tmp_path / "gpu.json").read_text())
    for parity in (report["tiny parity_db (1, 64, 64)"], report["tiny parity_db (1, 96, 64)"]):
        assert min(parity["fp32"], parity["fp32, window"]) > 100
        assert min(parity["bf16"], parity["bf16, window"]) > 45
    assert report["tiny engine"]["64"]["tiles_per_s"] > 0
    assert {row["way"] for row in report["rows"]} == {
        "eager fp32",
        "fused bf16, eager",
        "captured tf32",
        "captured bf16",
    }
    assert not [row for row in report["rows"] if "error" in row]
    assert "convolution" in (tmp_path / "kernels-tiny.txt").read_text()
    assert "tiny" in capsys.readouterr().out


def test_marks_of_the_plan_benchmark_are_planned_on_every_size() -> None:
    height, width = SIZES[1]
    for mark in MARKS.values():
        plan = make_plan(mark(height, width))
        assert 0 < plan.tiles_total < 40
    corner = make_plan(MARKS["corner logo"](height, width))
    costs = costs_for("fourier-unet", "cpu")
    assert corner.cost_ms(costs) * 12 < whole(height, width).cost_ms(costs)


def test_a_simulated_device_answers_every_tile_and_counts_its_time() -> None:
    tile = Tile(np.zeros((64, 96, 3), np.uint8), np.full((64, 96), 255, np.uint8))
    with SimulatedEngine(tiles_per_s=2000, launch_ms=1) as engine:
        began = time.monotonic()
        answers = [engine.submit(tile) for _ in range(20)]
        assert {answer.result().values.shape for answer in answers} == {(64, 96, 3)}
        load, took = engine.load, time.monotonic() - began
    # 20 tiles of half a millisecond, and 1 ms for each pass of at most eight.
    assert load.tiles == 20
    assert 3 <= load.passes <= 20
    assert took >= 20 / 2000 + load.passes / 1000


def test_the_cost_table_has_the_networks_that_ship_and_an_unknown_one_is_planned_like_them() -> None:
    assert set(json.loads(TABLE.read_text())) >= {"fourier-unet/cpu", "lama/cpu"}
    assert costs_for("perceptron", "abacus") == costs_for("fourier-unet", "cpu")

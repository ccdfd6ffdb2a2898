"""The benchmark scripts run; their figures are not judged here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import gpu
from bench.plan import MARKS, SIZES, whole
from model.engine.costs import TABLE, costs_for
from model.engine.plan import make_plan


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

"""The quality benchmark: its figures on cases with a known answer, and the networks of its peers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from bench import ablation, product_sheet, quality, recovery
from bench.deepfill import ContextualAttention, DeepFill
from bench.lpips import Lpips
from bench.methods import nothing, prefill, whole_picture
from bench.metrics import border_ratio, colour_error, masked_psnr, ssim
from bench.subjects import LOOKS, MARKS, file_of, marked, painted, square, subjects
from model.training.checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def lpips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the shapes of AlexNet."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))
    tensors = {}
    for index, shape in enumerate(shapes):
        tensors[f"conv{index}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5 / shape[2]
        tensors[f"conv{index}.bias"] = torch.zeros(shape[0])
        tensors[f"lin{index}.weight"] = torch.rand((1, shape[0], 1, 1), generator=generator)
    path = tmp_path_factory.mktemp("lpips") / "lpips.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three smooth photos."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        rng = np.random.default_rng(number)
        Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize((140, 110)).save(
            folder / f"{number}.png"
        )
    return folder


def test_figures_are_right_on_pictures_whose_error_is_known() -> None:
    original = np.full((40, 60, 3), 100, np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 10:20] = 255
    off = original.copy()
    off[10:20, 10:20] += 10
    off[30:, 30:] = 0
    assert masked_psnr(off, original, mask) == pytest.approx(10 * np.log10(255**2 / 100))
    assert colour_error(original, original, mask) == 0
    assert 2 < colour_error(off, original, mask) < 6
    assert ssim(original, original) == pytest.approx(1)
    assert ssim(off, original) < 0.95
    assert (marked(original, mask)[15, 15] == 178).all()
    assert square(np.zeros((90, 120, 3), np.uint8), 64).shape == (64, 64, 3)


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_changes_the_mark_and_paints_over_it_as_it_says(name: str) -> None:
    look = LOOKS[name]
    original, mask = np.full((60, 60, 3), 100, np.uint8), np.zeros((60, 60), np.uint8)
    mask[20:40, 20:40] = 255
    drawn = painted(np.random.default_rng(0), mask, look)
    if look.beside:
        assert np.array_equal(drawn, np.roll(mask, (look.beside, look.beside), (0, 1)))
    elif look.wider < 0:
        assert 0 < (drawn > 0).sum() < (mask > 0).sum()
        assert not drawn[mask == 0].any()
    else:
        assert (drawn[mask > 0] == 255).all()
        assert (drawn > 0).sum() == (mask > 0).sum() if not look.wider else (drawn > 0).sum() > (mask > 0).sum()
    centre = (1 - look.opacity) * 100 + look.opacity * np.array(look.colour)
    assert np.abs(marked(original, mask, look)[30, 30] - centre).max() <= 1
    assert file_of(original, look)[:2] == (b"\x89P" if look.quality is None else b"\xff\xd8")


def test_structural_similarity_falls_with_noise_and_is_symmetric() -> None:
    rng = np.random.default_rng(0)
    original = np.asarray(Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((64, 64)))
    noisy = [np.clip(original + rng.normal(0, level, original.shape), 0, 255).astype(np.uint8) for level in (5, 40)]
    assert 1 > ssim(noisy[0], original) > ssim(noisy[1], original) > 0
    assert ssim(noisy[1], original) == pytest.approx(ssim(original, noisy[1]))


def test_border_ratio_is_one_where_nothing_was_done_and_grows_with_a_seam() -> None:
    original = np.random.default_rng(0).integers(60, 200, (80, 80, 3), dtype=np.uint8)
    hole = np.zeros((80, 80), np.uint8)
    hole[30:50, 30:50] = 255
    seamed = original.copy()
    seamed[30:50, 30:50] = np.clip(seamed[30:50, 30:50] + np.uint8(50), 0, 255)
    assert border_ratio(original, original, hole) == pytest.approx(1)
    assert border_ratio(seamed, original, hole) > 2


def test_lpips_is_zero_for_equal_pictures_and_grows_with_the_difference(lpips: Path) -> None:
    distance = Lpips(lpips)
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    little, much = (np.clip(picture + np.int16(shift), 0, 255).astype(np.uint8) for shift in (4, 60))
    assert distance(picture, picture) == 0
    assert 0 < distance(picture, little) < distance(picture, much)


def test_every_method_is_fed_the_marked_picture(folder: Path) -> None:
    drawn_subjects = list(subjects(folder, 96, seed=3))
    assert {subject.kind for subject in drawn_subjects} == set(MARKS)
    for subject in drawn_subjects:
        assert np.array_equal(subject.task.picture.pixels, marked(subject.original, subject.mask))
        assert (subject.task.hole[subject.mask > 0] == 255).all()
        assert np.array_equal(nothing(subject.task), subject.task.picture.pixels)
        known = subject.task.hole == 0
        assert np.array_equal(prefill(subject.task)[known], subject.task.picture.pixels[known])
    assert len(list(subjects(folder, 96, kinds=("text",), photos=2))) <= 2


def test_contextual_attention_copies_what_looks_alike() -> None:
    x = torch.zeros(1, 2, 24, 24)
    x[:, 0, :, :12], x[:, 1, :, 12:] = 1, 1
    hole = torch.zeros(1, 1, 24, 24)
    hole[..., 8:14, 2:6] = 1
    copied = ContextualAttention()(x, hole)
    assert copied.shape == x.shape
    assert copied[0, 0, 10, 4] > 0.9
    assert copied[0, 1, 10, 4] < 0.1
    assert ContextualAttention()(x, torch.ones_like(hole)).isfinite().all()


def test_attention_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, hole = torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 64, 64)
    hole[..., 20:30, 20:30] = 1
    whole = ContextualAttention()(x, hole)
    monkeypatch.setattr("bench.deepfill._CHUNK", 7)
    assert torch.allclose(ContextualAttention()(x, hole), whole, atol=1e-6)


def test_deepfill_has_the_published_size_and_teaches_both_stages() -> None:
    published = sum(parameter.numel() for parameter in DeepFill().parameters())
    assert 3_500_000 < published < 4_500_000
    network, given = DeepFill(width=4), torch.rand(1, 4, 80, 80)
    finished, rough = network.train()(given)
    assert finished.shape == rough.shape == (1, 3, 80, 80)
    assert network.eval()(given).shape == (1, 3, 80, 80)


def test_a_network_sees_a_padded_picture_and_its_result_is_cut(folder: Path) -> None:
    class Grey(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape[-1] % 16 == x.shape[-2] % 16 == 0
            return torch.full_like(x[:, :3], 0.5)

    subject = next(subjects(folder, 90, kinds=("wide",)))
    assert whole_picture(Grey())(subject.task).shape == (90, 90, 3)


def test_the_ablation_trains_all_on_one_budget_and_the_table_holds_them(
    folder: Path, lpips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.networks.fourier_unet import FourierUNet
    from model.networks.lama import LaMaGenerator

    small = {
        "fourier-unet": lambda: FourierUNet(channels=(4, 8, 8, 8, 8)),
        "fourier-unet, plain skips": lambda: FourierUNet(channels=(4, 8, 8, 8, 8), guided=False),
        "DeepFill v2": lambda: DeepFill(width=4),
        "LaMa": lambda: LaMaGenerator(ngf=4, n_blocks=1),
    }
    monkeypatch.setattr(ablation, "NETWORKS", small)
    recipe = ablation.read_recipe("ablation")
    recipe = recipe.model_copy(update={
        "data": recipe.data.model_copy(update={"batch": 1, "crop": 80}),
        "masks": recipe.masks.model_copy(update={"pool": 8}),
        "logging": recipe.logging.model_copy(update={"every": 1}),
    })  # fmt: skip
    monkeypatch.setattr(ablation, "read_recipe", lambda _: recipe)
    for steps in (1, 2):  # the second run resumes
        ablation.train(
            folder, tmp_path, steps=steps, seed=0, seconds=600, device=torch.device("cpu"), excluded=["LaMa"]
        )
    networks = ablation.read_networks(tmp_path)
    assert networks.keys() == small.keys() - {"LaMa"}
    assert set(ablation.steps_of(tmp_path).values()) == {2}
    out = tmp_path / "quality.json"
    quality.main([
        str(folder), "--lpips", str(lpips), "--networks", str(tmp_path), "--sizes", "80", "--photos", "1",
        "--out", str(out), "--sheet", str(tmp_path / "sheet.jpg"),
    ])  # fmt: skip
    rows = json.loads(out.read_text())
    assert [row["method"] for row in rows] == [
        "do nothing", "Telea", "Navier-Stokes", "push-pull prefill",
        "fourier-unet, small budget", "fourier-unet, plain skips, small budget", "DeepFill v2, small budget",
        "cleanplate (shipped), fill", "cleanplate (shipped), auto", "cleanplate (shipped), fill without texture",
    ]  # fmt: skip
    assert rows[-1]["figures"]["80"]["all"]["psnr_db"] > rows[0]["figures"]["80"]["all"]["psnr_db"]
    quality.main([
        str(folder), "--lpips", str(lpips), "--sizes", "96", "--photos", "1", "--out", str(out),
        "--looks", "exact", "careless",
    ])  # fmt: skip
    later = json.loads(out.read_text())
    assert later[0]["figures"].keys() == {"80", "96", "96 careless"}
    assert later[0]["figures"]["80"] == rows[0]["figures"]["80"]
    assert (tmp_path / "sheet.jpg").stat().st_size > 0


def test_the_ablation_answers_by_pairs_of_the_same_subjects_and_says_how_sure_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Level(torch.nn.Module):
        """A uniform grey."""

        def __init__(self, level: float) -> None:
            super().__init__()
            self.level = torch.nn.Parameter(torch.tensor(level))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(x[:, :3]) + self.level

    levels = {"fourier-unet": 0.5, "fourier-unet, plain skips": 1.0}
    networks = {name: lambda one=one: Level(one) for name, one in levels.items()} | {"LaMa": lambda: Level(0)}
    monkeypatch.setattr(ablation, "NETWORKS", networks)
    for seed in ("0", "1"):
        for name, level in levels.items():
            at = tmp_path / seed / ablation.folder_of(name)
            at.mkdir(parents=True)
            write_checkpoint({"average": Level(level).state_dict(), "step": 7}, at / "checkpoint.pt", step=7)
    for size in ("80", "96"):
        ablation.main([
            "test", str(folder), str(tmp_path / "0"), str(tmp_path / "1"), "--sizes", size, "--photos", "2",
            "--leave", "LaMa", "--out", str(tmp_path / "ablation.json"), "--journal", str(tmp_path / "journal"),
        ])  # fmt: skip
    report = json.loads((tmp_path / "ablation.json").read_text())
    assert report["steps"] == {seed: dict.fromkeys(levels, 7) for seed in ("0", "1")}
    assert report["answers"].keys() == {"80", "96"}
    (answer,) = report["answers"]["80"].values()
    grey, white = (np.mean(report["networks"][name]["psnr_db_by_seed"]["80"]) for name in levels)
    assert answer["db"] == pytest.approx(grey - white, abs=2e-3)
    assert answer["by_seed"][0] == answer["by_seed"][1] > 0 < answer["standard_error"]
    assert report["subjects"]["80"] <= 2 * len(ablation.KINDS)
    assert len((tmp_path / "journal").read_text().splitlines()) == 4 * sum(report["subjects"].values())
    monkeypatch.setattr(ablation, "masked_psnr", None)  # all scores are in the journal, so none is measured again
    ablation.main([
        "test", str(folder), str(tmp_path / "0"), str(tmp_path / "1"), "--sizes", "80", "96", "--photos", "2",
        "--out", str(tmp_path / "again.json"), "--journal", str(tmp_path / "journal"), "--leave", "LaMa",
    ])  # fmt: skip
    assert json.loads((tmp_path / "again.json").read_text()) == report


def test_the_product_sheet_has_a_column_for_each_method(folder: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.jpg"
    product_sheet.main([str(folder / "0.png"), str(tmp_path), str(sheet)])
    with Image.open(sheet) as picture:
        assert picture.width == 4 * product_sheet.SHOWN  # without trained peers: original, marked, Telea, shipped


def test_recovery_is_measured_by_kind_and_tells_its_evidence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = ["white text .45", "opaque red text", "pasted object"]
    out = tmp_path / "recovery.json"
    recovery.main([str(folder), "--photos", "1", "--kinds", *kinds, "--evidence", "--out", str(out)])
    scores = json.loads(out.read_text())
    assert [one["kind"] for one in scores] == kinds
    assert all(one["kept"] == (not one["recovered"]) for one in scores)
    assert scores[0]["exact"] > scores[0]["fill"]
    assert '"veils"' in capsys.readouterr().out
    recovery.main([str(folder), "--photos", "2", "--shift", "1", "--kinds", "opaque disc", "--out", str(out)])
    assert [one["photo"] for one in json.loads(out.read_text())] == ["1.png", "0.png"]

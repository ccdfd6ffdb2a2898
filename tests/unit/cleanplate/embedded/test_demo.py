"""The demo's figures and its contact sheet, and the samples they come from."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from cleanplate.embedded.demo import Figures, masked_psnr, measure, run, shortcomings
from cleanplate.errors import UsageError
from cleanplate.local.contact_sheet import CELL, GAP, LABEL, contact_sheet
from tests.running import REPOSITORY

SAMPLES = REPOSITORY / "samples"
NAMES = sorted(path.name for path in (SAMPLES / "marked").iterdir())


def figures(telea: float, cleanplate: float, changed: int = 0) -> Figures:
    return Figures("a.png", 10.0, telea, cleanplate, changed)


def test_psnr_counts_only_pixels_of_the_mask() -> None:
    original = np.full((4, 4, 3), 100, np.uint8)
    other = original.copy()
    other[0, 0] += 10
    other[3, 3] += 100
    mask = np.zeros((4, 4), np.uint8)
    mask[0, :2] = 255
    # Mean square error over two pixels, one of them exact: 100 / 2.
    assert masked_psnr(original, other, mask) == pytest.approx(10 * math.log10(255**2 / 50))
    assert masked_psnr(original, original, mask) == math.inf


def test_psnr_of_a_darker_picture_does_not_wrap_around() -> None:
    mask = np.full((2, 2), 255, np.uint8)
    bright, dark = np.full((2, 2, 3), 255, np.uint8), np.zeros((2, 2, 3), np.uint8)
    assert masked_psnr(dark, bright, mask) == masked_psnr(bright, dark, mask) == 0


def test_the_demo_complains_of_changed_pixels_and_of_being_behind_telea() -> None:
    assert shortcomings([figures(20, 25), figures(30, 26)]) == []
    assert "behind Telea" in shortcomings([figures(20, 21), figures(30, 28)])[0]
    assert "3 pixels outside" in shortcomings([figures(20, 25, changed=3)])[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_differs_from_its_original_inside_its_mask_only(name: str) -> None:
    marked, original = (np.asarray(Image.open(SAMPLES / folder / name)) for folder in ("marked", "originals"))
    mask = np.asarray(Image.open(SAMPLES / "masks" / name))
    assert mask.shape == marked.shape[:2] == original.shape[:2]
    assert set(np.unique(mask)) == {0, 255}
    changed = (marked != original).any(axis=2)
    assert not changed[mask == 0].any()
    assert changed[mask > 0].mean() > 0.9


def test_samples_are_measured_against_their_originals() -> None:
    name = NAMES[0]
    perfect = measure(SAMPLES, SAMPLES / "originals", name)
    assert perfect.cleanplate == math.inf
    untouched = measure(SAMPLES, SAMPLES / "marked", name)
    assert untouched.cleanplate == untouched.marked < untouched.telea
    assert untouched.changed_outside == 0


def test_a_pixel_changed_outside_the_widened_mask_is_counted(tmp_path: Path) -> None:
    name = NAMES[0]
    with Image.open(SAMPLES / "marked" / name) as marked:
        marked.load()
        red, green, blue = marked.getpixel((0, 0))
        marked.putpixel((0, 0), (red, green ^ 1, blue))
        marked.save(tmp_path / name)
    assert measure(SAMPLES, tmp_path, name).changed_outside == 1


def test_a_second_demo_in_a_folder_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    first = tmp_path / "results" / "first.png"
    first.parent.mkdir()
    first.touch()
    (tmp_path / "service.log").write_text("Cleanplate is ready")
    with FileLock(tmp_path / "demo.lock"), pytest.raises(UsageError, match=r"A demo already runs in .*--out"):
        run(SAMPLES, tmp_path)
    assert first.exists()
    assert (tmp_path / "service.log").read_text() == "Cleanplate is ready"


def test_the_same_photos_and_seed_give_the_same_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for out in ("one", "two"):
        arguments = ["make.py", str(SAMPLES / "originals"), "--out", str(tmp_path / out), "--count", "2", "--seed", "3"]
        monkeypatch.setattr("sys.argv", arguments)
        runpy.run_path(str(SAMPLES / "make.py"), run_name="__main__")
    made = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.png"))
    assert len(made) == 6
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in made)


def test_a_contact_sheet_has_a_labelled_row_for_each_version() -> None:
    square = Image.new("RGB", (2 * CELL, 2 * CELL), "red")
    sheet = contact_sheet([("before", [square, square, square]), ("after", [square, square, square])])
    assert sheet.size == (3 * (CELL + GAP) + GAP, 2 * (LABEL + CELL + GAP) + GAP)
    assert sheet.getpixel((GAP + CELL // 2, LABEL + CELL // 2)) == (255, 0, 0)
    assert sheet.getpixel((0, LABEL + CELL // 2)) == (255, 255, 255)

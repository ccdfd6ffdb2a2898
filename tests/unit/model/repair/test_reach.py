"""A mask is widened as far as the mark still shows around it, each part for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from model.engine.inpainter import LaMaInpainter
from model.repair.hole import dilate
from model.repair.reach import _rings, fitted_hole
from tests.texts import laid, letters

Pixels = NDArray[np.uint8]
SAMPLES = Path(__file__).parents[4] / "samples"


def photo(name: str = "garment-dfd99721.png", size: int = 256) -> Pixels:
    stored = cv2.imread(str(SAMPLES / "originals" / name))
    assert stored is not None
    side = min(stored.shape[:2])
    piece = np.ascontiguousarray(stored[:side, :side, ::-1])
    return np.asarray(cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def disc(row: int, column: int, size: int = 256) -> Pixels:
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (column, row), 26, 255, -1)
    return mask


def under(original: Pixels, mask: Pixels, *, opacity: float, soft: float = 0.0, quality: int = 0) -> Pixels:
    alpha = opacity * (mask > 0).astype(np.float32)
    alpha = (cv2.GaussianBlur(alpha, (0, 0), soft) if soft else alpha)[..., None]
    marked = np.rint(original * (1 - alpha) + np.float32((230, 20, 40)) * alpha).astype(np.uint8)
    if quality:
        code = cv2.imencode(".jpg", marked, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        marked = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return marked


@pytest.mark.parametrize("opacity", [0.5, 1.0])
def test_an_exact_mask_of_a_hard_mark_is_not_widened(opacity: float) -> None:
    mask = disc(120, 130)
    hole, reach = fitted_hole(under(photo(), mask, opacity=opacity), mask)
    assert reach == 0
    assert np.array_equal(hole, mask)


@pytest.mark.parametrize("opacity", [0.5, 1.0])
def test_a_mask_that_is_painted_too_wide_is_not_widened(opacity: float) -> None:
    mask = disc(120, 130)
    marked = under(photo("garment-94d161bd.png"), mask, opacity=opacity, soft=0.7, quality=85)
    assert fitted_hole(marked, dilate(mask, 3))[1] == 0


def test_soft_edges_are_taken_in() -> None:
    mask = disc(120, 130)
    hole, reach = fitted_hole(under(photo(), mask, opacity=0.9, soft=1.0, quality=85), mask)
    assert 1 <= reach <= 3
    assert (hole >= mask).all()


@pytest.mark.parametrize("tight", [2, 4])
def test_a_mask_that_is_too_tight_is_grown_over_the_whole_mark(tight: int) -> None:
    mask = disc(120, 130)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tight + 1, 2 * tight + 1))
    painted = np.asarray(cv2.erode(mask, kernel), np.uint8)
    hole, reach = fitted_hole(under(photo(), mask, opacity=0.9, soft=0.5, quality=85), painted)
    assert reach >= tight
    assert (hole[mask > 0] > 0).mean() > 0.99


def test_a_mask_beside_its_mark_is_grown_over_it() -> None:
    mask = disc(120, 130)
    painted = np.roll(mask, (3, 3), (0, 1))
    hole, _ = fitted_hole(under(photo(), mask, opacity=0.9, soft=0.5), painted)
    assert (hole[mask > 0] > 0).mean() > 0.97


def test_each_part_has_its_own_reach() -> None:
    exact, tight = disc(70, 70), disc(180, 180)
    eroded = np.asarray(cv2.erode(tight, np.ones((7, 7), np.uint8)), np.uint8)
    hole, _ = fitted_hole(under(photo(), exact | tight, opacity=1.0), exact | eroded)
    assert np.array_equal(hole[:128, :128], exact[:128, :128])
    assert (hole[tight > 0] > 0).all()


def test_an_array_is_widened_as_it_shows_or_as_it_is_told() -> None:
    mask = disc(120, 130)
    marked = under(photo(), mask, opacity=1.0)
    with LaMaInpainter(device="cpu") as inpainter:
        fitted, fixed = inpainter(marked, mask, method="fill"), inpainter(marked, mask, dilation_px=3, method="fill")
    changed = [(result != marked).any(axis=2) for result in (fitted, fixed)]
    assert not changed[0][mask == 0].any()
    assert changed[1][mask == 0].any()


def test_a_large_mask_is_judged_by_some_of_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    original, mask = photo(size=900), np.zeros((900, 900), np.uint8)
    for top in range(40, 900, 60):
        for left in range(10, 800, 75):
            cv2.putText(mask, "mark", (left, top), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
    marked = under(original, mask, opacity=0.6, soft=1.0, quality=88)
    with monkeypatch.context() as patch:
        patch.setattr("model.repair.reach._BLOCKS", 1000)
        everywhere, reach = fitted_hole(marked, mask)
    assert reach > 1
    looked_at: list[tuple[int, ...]] = []

    def rings(pixels: Pixels, *arguments: Any) -> Any:
        looked_at.append(pixels.shape)
        return _rings(pixels, *arguments)

    monkeypatch.setattr("model.repair.reach._rings", rings)
    assert np.array_equal(fitted_hole(marked, mask)[0], everywhere)
    assert len(looked_at) == 16


def test_nothing_painted_and_everything_painted_stay_as_they_are() -> None:
    for level in (0, 255):
        mask = np.full((64, 64), level, np.uint8)
        hole, reach = fitted_hole(photo(size=64), mask)
        assert reach == 0
        assert np.array_equal(hole, mask)


@pytest.mark.parametrize("name", ["garment-0c06778b.png", "garment-31937a98.png"])
def test_a_hem_along_the_paint_does_not_pass_for_what_is_left_of_a_mark(name: str) -> None:
    """The mark is found under the paint, and ends before its border."""
    ground, line = photo(name, 420), letters("Doe Shirts", 46)
    ground[: 210 - line.shape[0] // 2 - 6] = (20, 40, 160)
    marked, ink = laid(ground, line, (0.5, 0.5), opacity=0.45)
    painted = dilate(ink.astype(np.uint8) * 255, 4)
    hole, reach = fitted_hole(marked, painted)
    assert reach == 0
    assert np.array_equal(hole, painted)


def test_a_translucent_mark_that_goes_on_beyond_the_paint_is_still_taken_in() -> None:
    ground, line = photo("garment-0c06778b.png", 420), letters("Doe Shirts", 46)
    marked, ink = laid(ground, line, (0.5, 0.5), opacity=0.45)
    beside = np.roll(dilate(ink.astype(np.uint8) * 255, 1), (5, 5), (0, 1))
    assert fitted_hole(marked, beside)[1] > 3

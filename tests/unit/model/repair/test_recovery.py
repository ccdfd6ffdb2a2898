"""The picture under a translucent mark comes back; opaque marks, objects and unmarked pictures keep the fill."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.engine.inpainter import LaMaInpainter
from model.imaging import Limits
from model.repair.contrast import contrast_paint
from model.repair.ground import Below, Ground
from model.repair.hole import dilate
from model.repair.opacity import WHITE, fit_paints
from model.repair.recovery import Method, Recovery, is_sure, recover, recovery_record
from model.repair.task import read
from model.repair.veil import Evidence, Veil, find_veils

Pixels = NDArray[np.uint8]
LIMITS = Limits(max_bytes=10_000_000, max_pixels=10_000_000)
SAMPLES = Path(__file__).parents[4] / "samples"


def photo(name: str, size: int = 256) -> Pixels:
    stored = cv2.imread(str(next((SAMPLES / "originals").glob(name))))
    assert stored is not None
    side = min(stored.shape[:2])
    top, left = (stored.shape[0] - side) // 2, (stored.shape[1] - side) // 2
    piece = stored[top : top + side, left : left + side, ::-1]
    return np.asarray(cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def sample(folder: str, name: str) -> Pixels:
    """A whole sample: ``uint8 [H, W, 3]``."""
    stored = np.asarray(cv2.imread(str(SAMPLES / folder / f"{name}.png")), np.uint8)
    return np.ascontiguousarray(stored[..., ::-1])


def png(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def text_mask(size: int = 256) -> Pixels:
    mask = np.zeros((size, size), np.uint8)
    cv2.putText(mask, "SHOP", (20, 150), cv2.FONT_HERSHEY_DUPLEX, 2.6, 255, 7, cv2.LINE_8)
    return np.where(mask > 127, np.uint8(255), np.uint8(0))


def under(original: Pixels, mask: Pixels, opacity: float, colour: tuple[int, int, int], *, soft: float = 0) -> Pixels:
    alpha = opacity * (mask > 0).astype(np.float32)
    alpha = (cv2.GaussianBlur(alpha, (0, 0), soft) if soft else alpha)[..., None]
    return np.rint(original * (1 - alpha) + np.float32(colour) * alpha).astype(np.uint8)


def repaired(marked: Pixels, painted: Pixels, method: Method = "auto") -> tuple[Recovery, Pixels, Pixels]:
    """The recovery, the fill and the hole; the fill is Telea's, so that no network is needed."""
    hole = dilate(painted, 3)
    filled = np.asarray(cv2.inpaint(marked, hole, 3, cv2.INPAINT_TELEA), np.uint8)
    return recover(marked, filled, painted, hole, method=method, noise=0.8), filled, hole


def psnr(result: Pixels, original: Pixels, mask: Pixels) -> float:
    error = np.square(result[mask > 0].astype(np.float64) - original[mask > 0]).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize(
    ("opacity", "colour", "soft", "wider"),
    [(0.5, (255, 255, 255), 0, 0), (0.3, (255, 255, 255), 0.7, 2), (0.4, (0, 0, 0), 0.5, 4)],
    ids=str,
)
def test_the_picture_under_a_translucent_mark_is_recovered(
    opacity: float, colour: tuple[int, int, int], soft: float, wider: int
) -> None:
    original, mask = photo("garment-dfd99721.png"), text_mask()
    marked = under(original, mask, opacity, colour, soft=soft)
    recovery, filled, hole = repaired(marked, dilate(mask, wider))
    assert recovery.veils
    assert recovery.veils[0].opacity == pytest.approx(opacity, abs=0.06)
    assert psnr(recovery.pixels, original, mask) > psnr(filled, original, mask) + 5
    assert (recovery.pixels == marked)[hole == 0].all()
    assert recovery.recovered > 0.5
    assert recovery_record([recovery])["recovered"] == pytest.approx(recovery.recovered, abs=1e-3)


def test_a_file_and_an_array_take_the_same_way_and_fill_leaves_all_to_the_network() -> None:
    original, mask = photo("garment-dfd99721.png"), text_mask()
    marked = under(original, mask, 0.5, (255, 255, 255))
    task = read(png(marked), png(mask), limits=LIMITS)
    recoveries: list[Recovery] = []
    with LaMaInpainter(device="cpu") as inpainter:
        result = inpainter.run(task, lambda _: None, on_recovery=recoveries.append)
        filled = inpainter.run(replace(task, method="fill"), lambda _: None, on_recovery=recoveries.append)
        by_array, filled_array = (inpainter(marked, mask, method=method) for method in ("auto", "fill"))
    assert [bool(recovery.veils) for recovery in recoveries] == [True, False]
    assert psnr(result, original, mask) > psnr(filled, original, mask) + 5
    assert psnr(by_array, original, mask) > psnr(filled, original, mask) + 5
    assert np.array_equal(filled_array, filled)


def test_the_colours_of_a_picture_with_transparency_are_filled() -> None:
    original, mask = photo("garment-dfd99721.png"), text_mask()
    alpha = np.full(mask.shape, 255, np.uint8)
    assert read(png(np.dstack((original, alpha))), png(mask), limits=LIMITS).method == "auto"
    alpha[:20] = 0
    assert read(png(np.dstack((original, alpha))), png(mask), limits=LIMITS).method == "fill"


@pytest.mark.parametrize("kind", ["opaque white", "opaque red", "object", "unmarked"])
def test_what_is_not_translucent_keeps_the_fill_bit_for_bit(kind: str) -> None:
    original, mask = photo("garment-dfd99721.png"), text_mask()
    if kind == "object":
        marked = np.where(mask[..., None] > 0, original[::-1, ::-1], original)
    elif kind == "unmarked":
        marked = original
    else:
        marked = under(original, mask, 1, (255, 255, 255) if kind == "opaque white" else (200, 20, 30), soft=0.6)
    recovery, filled, _ = repaired(marked, dilate(mask, 2))
    assert np.array_equal(recovery.pixels, filled)
    assert not recovery.veils
    assert recovery_record([recovery]) == {}


#: The evidence of an object on brown cloth, which was taken for a brown mark on a part of it.
EVIDENCE = Evidence(
    apart=0.004, opacity_error=0.005, residual=0.93, gain=0.29, painted=12_050, coverage=0.654,
    marked_distance=3.3, other_distance=5.4, colour_distance=1.4, rest=0.0, visible=29.4,
    at_border=0.0, uncertainty=12.0, outlined=0.0, shade=0.0, shade_error=0.01,
)  # fmt: skip


@pytest.mark.parametrize(
    ("colour", "other_distance", "sure"),
    [((95, 82, 70), 5.4, False), ((95, 82, 70), 3.3, True), ((255, 255, 255), 5.4, True)],
)
def test_a_coloured_mark_is_sure_only_if_the_picture_goes_on_beside_it(
    colour: tuple[int, int, int], other_distance: float, *, sure: bool
) -> None:
    assert is_sure(Veil(0.644, np.float32(colour), replace(EVIDENCE, other_distance=other_distance))) is sure


@pytest.mark.parametrize(
    ("colour", "coverage", "outlined", "shade", "error", "sure"),
    [
        (WHITE, 0.3, 0.0, 0.0, 0.01, True),
        (WHITE, 0.3, 0.0, 0.05, 0.01, False),
        (WHITE, 0.3, 0.5, 0.05, 0.01, False),
        (WHITE, 0.3, 1.0, 0.05, 0.01, True),  # thin letters with a dark outline
        (WHITE, 0.3, 0.0, 0.05, 0.04, True),  # not in every letter
        ((0, 0, 0), 0.3, 0.0, 0.05, 0.01, True),  # a black mark that is a bit stronger
        ((0, 80, 10), 0.3, 0.0, 0.05, 0.01, False),  # green of .35, read as darker and thinner
        (WHITE, 0.8, 0.0, 0.05, 0.01, True),  # a plate, in whose depth the fill is too light
        (WHITE, 0.3, 0.0, -0.1, 0.01, False),  # a paint that is too dark
    ],
)
def test_a_light_mark_over_a_shadow_is_not_sure(
    colour: tuple[int, int, int], coverage: float, outlined: float, shade: float, error: float, *, sure: bool
) -> None:
    left = replace(EVIDENCE, other_distance=1.5, rest=0.2 * outlined, shade=shade, shade_error=error)
    evidence = replace(left, coverage=coverage, outlined=outlined)
    assert is_sure(Veil(0.5, np.float32(colour), evidence)) is sure


@pytest.mark.parametrize(
    ("colour", "coverage", "at_border", "visible", "known", "sure"),
    [
        ((90, 60, 50), 0.4, 0.0, 14, False, True),  # clear of the paint's border
        ((90, 60, 50), 0.4, 0.3, 24, False, False),  # the goods' own: as much at the border as within
        ((90, 60, 50), 0.4, 0.0, 10, False, False),  # no more than the guess is off
        ((255, 255, 255), 0.4, 0.0, 10, False, True),
        ((90, 60, 50), 0.4, 0.0, 10, True, True),
        ((90, 60, 50), 0.9, 0.9, 14, False, True),  # it fills a tight mask
    ],
)
def test_a_mark_stands_out_from_what_it_lies_on(
    colour: tuple[int, int, int], coverage: float, at_border: float, visible: float, *, known: bool, sure: bool
) -> None:
    """Paint over a thing to be erased hides no mark, and its texture passed for one."""
    evidence = replace(EVIDENCE, other_distance=1.5, coverage=coverage, at_border=at_border, visible=visible)
    assert is_sure(Veil(0.5, np.float32(colour), evidence), known=known) is sure


@pytest.mark.parametrize(
    ("colour", "gain", "sure"),
    [((33, 68, 190), 0.04, False), ((33, 68, 190), 0.06, True), ((255, 255, 255), -0.05, True)],
)
def test_a_coloured_mark_from_elsewhere_has_to_explain_something_here(
    colour: tuple[int, int, int], gain: float, *, sure: bool
) -> None:
    """A blue word's paint was laid on the red word beside it, 13 dB below the fill."""
    evidence = replace(EVIDENCE, gain=gain, other_distance=2.8)
    assert is_sure(Veil(0.53, np.float32(colour), evidence), known=True) is sure


def test_a_mark_that_is_small_beside_its_own_outline_is_not_sure() -> None:
    """A mark was found in the gaps of another, whose body counted as its outline."""
    right = replace(EVIDENCE, coverage=0.25, rest=0.45, other_distance=1.0)
    assert is_sure(Veil(0.3, WHITE, right))
    assert not is_sure(Veil(0.3, WHITE, replace(right, rest=0.55)))


def test_the_method_overrules_the_evidence() -> None:
    original, mask = photo("garment-dfd99721.png"), text_mask()
    marked = under(original, mask, 0.5, (255, 255, 255))
    recovery, filled, _ = repaired(marked, mask, "fill")
    assert np.array_equal(recovery.pixels, filled)
    dense = under(original, mask, 0.85, (200, 20, 30))
    assert not repaired(dense, mask, "auto")[0].veils
    assert repaired(dense, mask, "recover")[0].veils


def test_opacity_and_colour_are_fitted_to_pixels() -> None:
    random = np.random.default_rng(0)
    below = random.uniform(20, 230, (2000, 3)).astype(np.float32)
    marked = np.where(np.arange(2000)[:, None] < 1400, below * 0.6 + WHITE * 0.4, below).astype(np.float32)
    guess = below + random.normal(0, 4, below.shape).astype(np.float32)
    paint = fit_paints(marked, guess, np.full(2000, 4, np.float32), noise=1)[0]
    assert paint.opacity == pytest.approx(0.4, abs=0.04)
    assert paint.colour == pytest.approx(WHITE, abs=12)
    assert fit_paints(marked[:3], guess[:3], np.ones(3, np.float32), noise=1) == []
    with pytest.raises(ValueError, match="belong together"):
        fit_paints(marked, guess[:5], np.ones(2000, np.float32), noise=1)


def test_an_opaque_mark_ends_the_search_and_so_does_flat_ground() -> None:
    random = np.random.default_rng(0)
    below = random.uniform(20, 230, (2000, 3)).astype(np.float32)
    opaque = np.where(np.arange(2000)[:, None] < 1400, np.float32((200, 20, 30)), below).astype(np.float32)
    guess = below + random.normal(0, 8, below.shape).astype(np.float32)
    assert fit_paints(opaque, guess, np.full(2000, 8, np.float32), noise=1) == []
    mask = text_mask()
    white = np.full((*mask.shape, 3), 255, np.uint8)
    marked = under(white, mask, 0.5, (0, 0, 0)).astype(np.float32)
    flat = Ground(marked, white.astype(np.float32), mask, dilate(mask, 3), 0.8)
    assert list(find_veils(flat)) == []


@pytest.mark.parametrize(("opacity", "level"), [(0.35, 200), (0.35, 255), (1.0, 200)])
def test_the_contrast_under_a_mark_tells_its_opacity_and_colour(opacity: float, level: int) -> None:
    below = photo("garment-dfd99721.png").astype(np.float32)
    marked = (below * (1 - opacity) + level * opacity).astype(np.float32)
    ones = np.ones(below.shape[:2], np.float32)
    paint = contrast_paint(marked, Below(below, ones), ones, ones > 0, noise=1)
    assert paint is not None
    assert paint.opacity == pytest.approx(opacity, abs=0.02)
    assert paint.colour == pytest.approx(np.full(3, level), abs=3)
    assert paint.error < 0.05
    few = Below(below[:2, :2], ones[:2, :2])
    assert contrast_paint(marked[:2, :2], few, ones[:2, :2], ones[:2, :2] > 0, noise=1) is None


@pytest.mark.parametrize("name", ["garment-1c73d4a8", "garment-6f6bcdbc", "garment-dfd99721"])
def test_an_outline_goes_with_the_text_it_belongs_to(name: str) -> None:
    """The samples' mark is white text of .5 with a dark line of .3 around it."""
    original, marked = sample("originals", name), sample("marked", name)
    painted = np.asarray(cv2.imread(str(SAMPLES / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE), np.uint8)
    filled = np.asarray(cv2.inpaint(marked, painted, 3, cv2.INPAINT_TELEA), np.uint8)
    recovery = recover(marked, filled, painted, painted, noise=0.6)
    assert recovery.veils
    assert psnr(recovery.pixels, original, painted) > psnr(filled, original, painted) + 2
    changed = (recovery.pixels != marked).any(axis=2)
    shows = np.abs(marked.astype(np.int16) - original).max(axis=2) > 8
    assert changed[(painted > 0) & shows].mean() > 0.95


@pytest.mark.parametrize("opacity", [0.5, 0.7])
def test_on_calm_ground_a_mark_leaves_no_specks_and_the_fill_is_kept(opacity: float) -> None:
    """The mark is sure on cloth above; on the sky below its narrow letters close, and the fill is nearly right."""
    original = photo("garment-dfd99721.png")
    noise = np.random.default_rng(0).normal(0, 1.5, (256, 256, 3))
    down = np.linspace(0, 1, 256)[:, None, None]
    sky = np.float32((90, 95, 120)) * (1 - down) + np.float32((190, 160, 130)) * down + noise
    original[112:] = sky[112:].clip(0, 255).astype(np.uint8)
    above, below = np.zeros((2, 256, 256), np.uint8)
    cv2.putText(above, "SHOP", (20, 95), cv2.FONT_HERSHEY_DUPLEX, 2.2, 255, 6)
    cv2.putText(below, "HM8B", (20, 190), cv2.FONT_HERSHEY_DUPLEX, 1.2, 255, 5)
    mask = np.maximum(above, below)
    file = cv2.imencode(".jpg", under(original, mask, opacity, (255, 255, 255), soft=0.7)[..., ::-1], [1, 85])[1]
    marked = np.ascontiguousarray(np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])
    hole = dilate(mask, 7)
    filled = np.asarray(cv2.inpaint(marked, hole, 3, cv2.INPAINT_TELEA), np.uint8)
    recovery = recover(marked, filled, dilate(mask, 4), hole, noise=3.3)
    assert psnr(recovery.pixels, original, above) > psnr(filled, original, above) + 10
    assert psnr(recovery.pixels, original, below) > psnr(filled, original, below) - 1
    calm = (below > 0) & (np.abs(filled.astype(int) - original).max(axis=2) < 12)
    assert np.abs(recovery.pixels.astype(int) - original).max(axis=2)[calm].max() < 40


def test_two_words_in_two_colours_are_two_marks() -> None:
    original = photo("garment-dfd99721.png")
    words = np.zeros((2, 256, 256), np.uint8)
    for word, letters, baseline in zip(words, ("SHOP", "SALE"), (110, 172), strict=True):
        cv2.putText(word, letters, (20, baseline), cv2.FONT_HERSHEY_DUPLEX, 2, 255, 10)
    marked = under(under(original, words[0], 0.5, (200, 20, 30)), words[1], 0.5, (30, 70, 190))
    mask = words.max(axis=0)
    recovery, filled, hole = repaired(marked, dilate(mask, 2))
    colours = sorted((veil.colour.tolist() for veil in recovery.veils), reverse=True)
    assert colours == [pytest.approx((200, 20, 30), abs=25), pytest.approx((30, 70, 190), abs=25)]
    assert all(psnr(recovery.pixels, original, word) > psnr(filled, original, word) + 5 for word in words)
    assert (recovery.pixels == marked)[hole == 0].all()


def test_a_coloured_mark_in_a_jpeg_leaves_no_coloured_rim() -> None:
    original, mask = photo("garment-dfd99721.png"), text_mask()
    file = cv2.imencode(".jpg", under(original, mask, 0.5, (200, 20, 30))[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    marked = np.ascontiguousarray(np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])
    painted = dilate(mask, 2)
    hole = dilate(painted, 3)
    filled = np.asarray(cv2.inpaint(marked, hole, 3, cv2.INPAINT_TELEA), np.uint8)
    recovery = recover(marked, filled, painted, hole, noise=2.5)
    exact = (marked - 0.5 * (mask[..., None] > 0) * np.float32((200, 20, 30))) / (1 - 0.5 * (mask[..., None] > 0))
    inverted = np.clip(np.rint(exact), 0, 255).astype(np.uint8)
    assert recovery.veils
    assert psnr(recovery.pixels, original, mask) > psnr(inverted, original, mask)
    assert psnr(recovery.pixels, original, mask) > psnr(filled, original, mask) + 3


@pytest.mark.parametrize("width", [35, 38])
def test_no_thin_stroke_of_a_letter_is_left(width: int) -> None:
    """A brush drawn over a line of thin letters: the crossbar of one, all of it rim, had kept half of the mark."""
    original, marked = sample("originals", "garment-0c06778b"), sample("marked", "garment-0c06778b")
    height, across = marked.shape[:2]
    painted = np.zeros((height, across), np.uint8)
    ends = np.array([(0.19 * across, 0.71 * height), (0.46 * across, 0.5 * height), (0.735 * across, 0.3 * height)])
    cv2.polylines(painted, [ends.astype(np.int32)], False, 255, width)
    recovery, _, _ = repaired(marked, painted)
    assert recovery.veils
    ink = (marked != original).any(axis=2) & (painted > 0)
    away = np.abs(recovery.pixels.astype(np.int16) - original).max(axis=2)
    assert np.count_nonzero(ink & (away > 40)) < 20


@pytest.mark.parametrize(
    ("name", "seed"),
    [("garment-1c73d4a8", 1), ("garment-31937a98", 2), ("garment-94d161bd", 3), ("garment-dfd99721", 2)],
)
def test_a_thing_that_is_painted_over_does_not_come_back(name: str, seed: int) -> None:
    """Goods under the paint passed for a translucent mark of their own colour, and nine tenths of them stayed."""
    original = sample("originals", name)
    height, width = original.shape[:2]
    rng = np.random.default_rng(seed)
    middle = float(rng.uniform(0.3, 0.7) * width), float(rng.uniform(0.25, 0.75) * height)
    axes = float(rng.uniform(0.1, 0.4) * width), float(rng.uniform(0.1, 0.4) * width)
    painted = np.zeros((height, width), np.uint8)
    cv2.ellipse(painted, (middle, axes, float(rng.uniform(0, 180))), 255, -1)
    recovery, filled, _ = repaired(original, painted)
    assert not recovery.veils
    assert np.array_equal(recovery.pixels, filled)


def test_paint_of_another_colour_between_the_letters_is_filled() -> None:
    """A red dot lies too near to the letters to be a mark of its own, and is not under theirs."""
    original, mask = photo("garment-dfd99721.png"), text_mask()
    dot = np.zeros_like(mask)
    cv2.circle(dot, (70, 172), 7, 255, -1)
    marked = under(under(original, mask, 0.5, (255, 255, 255)), dot, 1, (200, 20, 30))
    recovery, filled, _ = repaired(marked, dilate(np.maximum(mask, dot), 3))
    assert recovery.veils
    assert psnr(recovery.pixels, original, mask) > psnr(filled, original, mask) + 5
    assert (np.abs(recovery.pixels.astype(int) - (200, 20, 30)).max(axis=2)[dot > 0] > 60).mean() > 0.9

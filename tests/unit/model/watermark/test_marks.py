"""Marks from estimate to removal: found marks, refusals, and unchanged pixels."""

from __future__ import annotations

import io
import weakref
import zipfile
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bench.marks import Scene, logo, text, tile
from model.errors import TemplateRefused, TemplateRejected
from model.imaging import Limits
from model.watermark.estimate import Estimate, estimate
from model.watermark.fields import LOCAL_PX, field_of
from model.watermark.files import clean
from model.watermark.frames import ANCHORS
from model.watermark.ghost import ghost_of
from model.watermark.lattice import Lattice
from model.watermark.poisson import Harmonic, integrate, laplacian, solved
from model.watermark.remove import Method, finish, prepare, remove
from model.watermark.samples import MOST_SAMPLES, Sample
from model.watermark.sighting import look
from model.watermark.template import Rule, Template
from tests.unit.model.watermark.scenes import jpeg, marked, samples, texture
from workers.device.templates.confidence import confidence

LIMITS = Limits(max_bytes=10**8, max_pixels=10**8)
SCENE = Scene(text(110, "SHOP"), 0.4, (1, 1), margin=8, sizes=((200, 150),))
MIXED = Scene(text(80, "SHOP"), 0.5, (1, 1), margin=8, sizes=((200, 150), (160, 200), (240, 180)))


@cache
def estimated(scene: Scene = SCENE, count: int = 30, seed: int = 0) -> Estimate:
    rng = np.random.default_rng(seed)
    return estimate(samples([marked(scene, rng)[0] for _ in range(count)]), force=True)


def template(scene: Scene = SCENE) -> Template:
    (only,) = estimated(scene).templates
    return only


def psnr(result: NDArray[np.uint8], original: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    error = (result.astype(np.float64) - original)[where]
    return float(10 * np.log10(255**2 / max(np.mean(error**2), 1e-9)))


def test_a_shared_mark_is_found_with_its_place_opacity_and_colour() -> None:
    found = template()
    given_, _, alpha = marked(SCENE, np.random.default_rng(9))
    sighting = look(given_, found)
    assert sighting is not None
    laid = np.zeros_like(alpha)
    laid[sighting.view] = sighting.alpha
    assert np.abs(laid - alpha).mean() < 0.004
    assert found.quality.opacity == pytest.approx(0.4, abs=0.03)
    assert (found.colour[found.mask > 0] > 240).all()
    assert (found.rule.anchor, found.rule.sizes) == ("bottom-right", ((150, 200),))


def test_pixels_under_a_translucent_mark_come_back_and_no_others_change() -> None:
    given_, original, alpha = marked(SCENE, np.random.default_rng(11))
    removal = remove(given_, template(), noise=0.6)
    assert removal is not None
    assert removal.method is Method.UNBLENDED and not removal.residual
    assert psnr(removal.pixels, original, alpha > 0.02) > psnr(given_, original, alpha > 0.02) + 15
    assert (removal.pixels == given_)[removal.changed == 0].all()


def test_a_clean_picture_is_left_alone() -> None:
    rng = np.random.default_rng(12)
    assert all(remove(texture(rng, 150, 200), template(), noise=0.6) is None for _ in range(20))


def test_the_anchor_is_told_from_pictures_of_mixed_sizes() -> None:
    found = template(MIXED)
    assert (found.rule.anchor, found.rule.scale) == ("bottom-right", "pixels")
    shown = Scene(MIXED.mark, 0.5, (1, 1), margin=8, sizes=((300, 220),))
    given_, original, alpha = marked(shown, np.random.default_rng(3))
    removal = remove(given_, found, noise=0.6)
    assert removal is not None
    assert psnr(removal.pixels, original, alpha > 0.02) > 28


def test_a_moved_mark_is_found_where_it_is() -> None:
    moved = Scene(SCENE.mark, 0.4, (1, 1), margin=8, sizes=((200, 150),), jitter=3)
    rng = np.random.default_rng(4)
    for _ in range(4):
        given_, original, alpha = marked(moved, rng)
        removal = remove(given_, template(), noise=0.6)
        assert removal is not None
        assert psnr(removal.pixels, original, alpha > 0.02) > 28


def test_a_repeated_mark_is_one_cell_and_its_period() -> None:
    scene = Scene(tile(96), 0.5, None, sizes=((260, 200),))
    found = template(scene)
    assert found.rule.lattice is not None
    assert abs(np.linalg.det(found.rule.lattice.matrix)) == pytest.approx(
        96 * scene.mark.coverage.shape[0] / 2, rel=0.02
    )
    given_, original, alpha = marked(scene, np.random.default_rng(5))
    removal = remove(given_, found, noise=0.6)
    assert removal is not None
    assert psnr(removal.pixels, original, alpha > 0.02) > 26


def test_two_marks_in_one_set_become_two_templates() -> None:
    rng = np.random.default_rng(6)
    other = Scene(text(100, "DEMO"), 0.5, (0, 0), margin=8, sizes=((200, 150),))
    mixed = [marked(scene, rng)[0] for _ in range(26) for scene in (SCENE, other)]
    result = estimate(samples(mixed))
    assert {one.rule.anchor for one in result.templates} == {"bottom-right", "top-left"} or len(result.templates) == 2
    assert all(one.quality.samples == 26 for one in result.templates)


def test_pictures_without_a_common_mark_are_refused() -> None:
    rng = np.random.default_rng(7)
    with pytest.raises(TemplateRefused) as refused:
        estimate(samples([texture(rng, 150, 200) for _ in range(24)]))
    assert (refused.value.code, refused.value.needed) == ("mark_not_found", 0)


def test_few_pictures_in_which_nothing_stands_out_are_refused_with_the_number_that_is_missing() -> None:
    rng = np.random.default_rng(7)
    with pytest.raises(TemplateRefused, match=r"6 pictures share no mark .* 2 more are needed") as refused:
        estimate(samples([texture(rng, 150, 200) for _ in range(6)]), force=True)
    assert (refused.value.code, refused.value.needed) == ("mark_not_found", 2)


def on_a_backdrop(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A product on the studio's two-toned paper."""
    picture = np.full((180, 240, 3), (236, 234, 230), np.float32)
    picture[112:] = (205, 203, 200)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7) + rng.normal(0, 1.5, picture.shape) + rng.uniform(-4, 4)
    shape = np.zeros((180, 240), np.uint8)
    middle = 120 + rng.uniform(-20, 20), 100 + rng.uniform(-15, 15)
    cv2.ellipse(shape, (middle, (rng.uniform(60, 120), rng.uniform(55, 110)), rng.uniform(0, 180)), 255, -1)
    return np.where(shape[..., None] > 0, texture(rng, 180, 240), picture.clip(0, 255)).astype(np.uint8)


def test_the_edge_of_a_backdrop_is_no_mark_or_comes_with_a_warning_and_no_confidence() -> None:
    rng = np.random.default_rng(21)
    try:
        result = estimate(samples([on_a_backdrop(rng) for _ in range(30)]))
    except TemplateRefused as refused:
        assert refused.code in {"mark_not_found", "template_unproven"}
    else:
        assert any("backdrop" in str(warning) for warning in result.warnings)
        assert all(confidence(one.quality) == 0 for one in result.templates)
    assert not estimated().warnings and confidence(template().quality) > 0.5


def test_too_few_pictures_are_refused_with_the_number_that_is_missing_unless_forced() -> None:
    rng = np.random.default_rng(8)
    few = samples([marked(SCENE, rng)[0] for _ in range(7)])
    with pytest.raises(TemplateRefused) as refused:
        estimate(few)
    assert refused.value.code == "samples_too_few"
    assert 1 <= refused.value.needed <= 4 and str(refused.value.needed) in str(refused.value)
    forced, *_ = estimate(few, force=True).warnings
    assert (forced.code, forced.params["needed"]) == ("samples_too_few", refused.value.needed)
    with pytest.raises(TemplateRefused):
        estimate(few[:3], force=True)


def test_duplicates_count_once_and_unreadable_samples_not_at_all() -> None:
    rng = np.random.default_rng(8)
    shown = [marked(SCENE, rng)[0] for _ in range(7)]
    duplicated = samples([*shown, *shown])
    duplicated[0] = type(duplicated[0])("broken", lambda: None)
    with pytest.raises(TemplateRefused, match=r"of 7 pictures"):
        estimate(duplicated)


def test_more_pictures_than_are_of_use_are_not_read_and_one_is_held_at_a_time() -> None:
    held: list[weakref.ref[NDArray[np.uint8]]] = []
    most = 0

    def shown(seed: int) -> NDArray[np.uint8]:
        nonlocal most
        most = max(most, sum(one() is not None for one in held))
        made = np.random.default_rng(seed).integers(0, 255, (24, 32, 3)).astype(np.uint8)
        held.append(weakref.ref(made))
        return made

    with pytest.raises(TemplateRefused):
        estimate([Sample(str(seed), lambda seed=seed: shown(seed)) for seed in range(5 * MOST_SAMPLES)])  # type: ignore[misc]
    assert len(held) == MOST_SAMPLES
    assert most <= 1


def test_an_exception_of_the_progress_callback_ends_the_work() -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "outline":
            raise KeyboardInterrupt

    rng = np.random.default_rng(8)
    with pytest.raises(KeyboardInterrupt):
        estimate(samples([marked(SCENE, rng)[0] for _ in range(8)]), force=True, on_progress=stop)


def test_a_template_survives_its_file_and_what_is_none_is_refused() -> None:
    kept = template()
    again = Template.from_bytes(kept.to_bytes())
    assert (again.rule, again.quality) == (kept.rule, kept.quality)
    assert np.abs(again.alpha - kept.alpha).max() < 1e-4 and (again.mask == kept.mask).all()
    with pytest.raises(TemplateRejected) as refused:
        Template.from_bytes(b"PK nonsense")
    assert refused.value.code == "template_unreadable"
    newer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(kept.to_bytes())) as old, zipfile.ZipFile(newer, "w") as new:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry).replace(b'"version": 3', b'"version": 9'))
    with pytest.raises(TemplateRejected) as refused:
        Template.from_bytes(newer.getvalue())
    assert refused.value.code == "template_version_unknown"


def test_a_file_keeps_its_format_and_one_without_the_mark_every_byte() -> None:
    rng = np.random.default_rng(13)
    with_mark, without = jpeg(marked(SCENE, rng)[0]), jpeg(texture(rng, 150, 200))
    cleaned = clean(with_mark, [template()], limits=LIMITS)
    assert not cleaned.skipped and cleaned.record["format"] == "JPEG" and cleaned.record["written"] == "spliced"
    assert cleaned.record["methods"] == ["unblended"]
    skipped = clean(without, [template()], limits=LIMITS)
    assert skipped.skipped and skipped.data == without


def test_every_page_of_a_document_is_cleaned() -> None:
    rng = np.random.default_rng(15)
    pages = [Image.fromarray(marked(SCENE, rng)[0]) for _ in range(2)]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    cleaned = clean(out.getvalue(), [template()], limits=LIMITS)
    assert cleaned.record["marks"] == 2
    with Image.open(io.BytesIO(cleaned.data)) as document:
        for number, page in enumerate(pages):
            document.seek(number)
            assert (np.asarray(document) != np.asarray(page)).any()


def test_a_dense_mark_is_filled_and_the_fill_is_asked_only_then() -> None:
    dense = Scene(SCENE.mark, 0.9, (1, 1), margin=8, sizes=((200, 150),))
    found, asked = template(dense), []
    given_, original, alpha = marked(dense, np.random.default_rng(14))

    def fill(pixels: NDArray[np.uint8], hole: NDArray[np.uint8]) -> NDArray[np.uint8]:
        asked.append(hole)
        return np.where(hole[..., None] > 0, original, pixels)

    removal = remove(given_, found, noise=2.0, fill=fill)
    assert removal is not None and removal.method is Method.FUSED
    assert len(asked) == 1 and (asked[0][alpha > 0.05] == 255).all()
    assert psnr(removal.pixels, original, alpha > 0.02) > 30


def test_opacity_does_not_change_where_colours_of_a_mark_meet() -> None:
    scene = Scene(logo(70), 0.5, (1, 1), margin=8, sizes=((200, 150),))
    rng = np.random.default_rng(16)
    coded = [np.array(Image.open(io.BytesIO(jpeg(marked(scene, rng)[0])))) for _ in range(30)]
    (found,) = estimate(samples(coded)).templates
    inner = cv2.erode(found.mask, np.ones((9, 9), np.uint8)) > 0
    white = inner & (found.colour.min(axis=2) > 220)
    assert white.sum() > 200
    assert found.alpha[white].mean() == pytest.approx(float(np.median(found.alpha[inner])), abs=0.02)


def test_gradients_of_a_part_are_those_of_the_whole() -> None:
    picture = texture(np.random.default_rng(17), 80, 90)
    part = field_of(picture[20 - LOCAL_PX : 40 + LOCAL_PX, 30 - LOCAL_PX : 60 + LOCAL_PX])
    whole = field_of(picture)[..., 20:40, 30:60]
    assert np.allclose(part[..., LOCAL_PX:-LOCAL_PX, LOCAL_PX:-LOCAL_PX], whole, atol=1e-4)


def test_conjugate_gradients_solve_inside_and_change_nothing_outside() -> None:
    rng = np.random.default_rng(18)
    first, target = (rng.normal(scale=20, size=(3, 24, 31)).astype(np.float32) for _ in range(2))
    right, down, data = (rng.uniform(0.1, 1, (24, 31)).astype(np.float32) for _ in range(3))
    right[:, -1], down[-1] = 0, 0
    inside = np.zeros((24, 31), np.bool_)
    inside[4:20, 5:31] = True
    solution = solved(first, target, data=data, couplings=(right, down), inside=inside, rounds=200)
    assert np.array_equal(solution[:, ~inside], first[:, ~inside])
    assert np.abs((data * solution + laplacian(solution, right, down) - target)[:, inside]).max() < 0.2


@given(st.integers(0, 2**32 - 1), st.integers(3, 20), st.integers(3, 20))
@settings(max_examples=20)
def test_a_surface_is_got_back_from_its_differences(seed: int, height: int, width: int) -> None:
    surface = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    steps = np.zeros((2, height, width), np.float32)
    steps[0, :, :-1], steps[1, :-1] = np.diff(surface, axis=1), np.diff(surface, axis=0)
    assert np.allclose(integrate(steps), surface - np.median(surface), atol=1e-3)


def test_the_harmonic_continuation_of_a_plane_is_the_plane() -> None:
    y, x = np.mgrid[:20, :30].astype(np.float32)
    plane = (2 * x + 3 * y)[..., None]
    hole = np.zeros((20, 30), np.bool_)
    hole[5:12, 8:20] = True
    assert np.allclose(Harmonic(hole)(plane), plane[hole], atol=1e-2)


@given(st.sampled_from(sorted(ANCHORS)), st.integers(50, 400), st.integers(50, 400), st.integers(0, 20))
def test_a_rule_keeps_its_distance_to_the_anchor(anchor: str, height: int, width: int, gap: int) -> None:
    rule = Rule(anchor, "pixels", float(gap), float(-gap), 100)
    down, across = ANCHORS[anchor]
    top, left = rule.corner(height, width)
    assert abs(top - (down * height + gap)) <= 1 and abs(left - (across * width - gap)) <= 1


@given(st.integers(-3, 3), st.integers(-3, 3))
def test_places_a_period_apart_are_the_same_place_of_the_cell(first: int, second: int) -> None:
    lattice = Lattice((31.0, -7.0), (4.0, 40.0))
    x, y = np.array([3.0, 10.0]), np.array([-5.0, 2.0])
    moved = lattice.matrix @ np.array((first, second))
    same = lattice.reduced(x + moved[0], y + moved[1])
    assert np.allclose(same, lattice.reduced(x, y), atol=1e-3)


def test_an_invisible_remainder_is_no_ghost_however_well_it_agrees() -> None:
    y, x = np.mgrid[:60, :90]
    alpha = (((y // 10) % 2 == 0) & ((x // 10) % 2 == 0)).astype(np.float32) * 0.5
    colour = np.full((60, 90, 3), 255, np.float32)
    flat = np.full((60, 90, 3), 120, np.float32)
    faint, plain = (ghost_of(flat + share * alpha[..., None] * (colour - flat), alpha, colour) for share in (0.02, 0.2))
    assert faint.score > 0.5 and not faint.shows
    assert plain.shows and plain.levels > faint.levels


def test_a_ghost_is_given_to_the_fill_only_by_as_much_as_it_takes() -> None:
    given_, original, _ = marked(SCENE, np.random.default_rng(15))
    known = template()
    wrong = replace(known, alpha=(known.alpha * np.float32(0.8)), quality=replace(known.quality, strength_spread=0.0))
    prepared = prepare(given_, wrong, noise=0.6)
    assert prepared is not None and prepared.plain.shows and prepared.wants_fill
    removal = finish(prepared, original)
    assert not removal.residual
    assert abs(removal.ghost) < abs(prepared.ghost)

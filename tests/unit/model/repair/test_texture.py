"""Copied texture: the extension against a plain reference and on any shape, and what may change in a picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model import LaMaInpainter
from model.imaging import Limits
from model.repair import texture
from model.repair.recovery import Recovery, recovery_record
from model.repair.task import read
from model.repair.texture import textured, with_texture

_texture = pytest.importorskip("model.repair._texture", reason="the extension is not built")

RADIUS, WINDOW, ROUNDS, TRIES, KNOWN, INVENTED, NONE = 3, 32, 3, 16, 8, 2, np.iinfo(np.int16).min
NEAR_ENOUGH = 4**2 * KNOWN**2 * 7**2 * 3
Array = NDArray[np.generic]


def mixed(value: int) -> int:
    value ^= value >> 16
    value = value * 0x7FEB352D & 0xFFFFFFFF
    value ^= value >> 15
    value = value * 0x846CA68B & 0xFFFFFFFF
    return value ^ value >> 16


class Reference:
    """The search as the extension's comments tell it, place by place."""

    def __init__(self, pixels: NDArray[np.uint8], hole: NDArray[np.uint8]) -> None:
        self.height, self.width = hole.shape
        sides = ((RADIUS, RADIUS),) * 2
        self.levels = np.pad(pixels.astype(np.int64), (*sides, (0, 0)))
        weights = np.where(hole > 0, INVENTED, KNOWN)
        self.weights = np.pad(weights, sides)
        self.unknown = np.pad(hole > 0, sides, constant_values=True)

    def window(self, row: int, column: int) -> tuple[slice, slice]:
        return slice(row, row + 2 * RADIUS + 1), slice(column, column + 2 * RADIUS + 1)

    def is_whole(self, row: int, column: int) -> bool:
        inside = 0 <= row < self.height and 0 <= column < self.width
        return inside and not self.unknown[self.window(row, column)].any()

    def distance(self, place: tuple[int, int], other: tuple[int, int]) -> int:
        own = self.window(*place)
        steps = (self.levels[own] - self.levels[self.window(*other)]) * self.weights[own][..., None]
        return int(np.square(steps).sum())

    def matches(
        self, wanted: NDArray[np.uint8], seeds: Array | None = None, limit: int = WINDOW, rounds: int = ROUNDS
    ) -> Array:
        found: dict[tuple[int, int], tuple[int, int]] = {}
        least: dict[tuple[int, int], int] = {}

        def attempt(place: tuple[int, int], down: int, across: int) -> None:
            other = place[0] + down, place[1] + across
            if max(abs(down), abs(across)) > limit or not self.is_whole(*other):
                return
            distance = self.distance(place, other)
            if place not in least or distance < least[place]:
                least[place], found[place] = distance, (down, across)

        for row, column in np.argwhere(wanted) if seeds is not None else ():
            if seeds[row, column, 0] != NONE:
                attempt((int(row), int(column)), *(int(step) for step in seeds[row, column]))
        for turn in range(rounds):
            places = [(int(row), int(column)) for row, column in np.argwhere(wanted)]
            step = 1 if turn % 2 else -1
            for row, column in places[::-step]:
                place, drawn = (row, column), mixed(row * self.width + column ^ mixed(turn))
                for beside in ((row, column + step), (row + step, column)):
                    if beside in found:
                        attempt(place, *found[beside])
                for _ in range(TRIES):
                    if place in found:
                        break
                    drawn = mixed(drawn + 1 & 0xFFFFFFFF)
                    attempt(place, drawn % 65 - WINDOW, (drawn >> 16) % 65 - WINDOW)
                radius = WINDOW
                while place in found and radius and (radius < WINDOW or least[place] > NEAR_ENOUGH):
                    drawn = mixed(drawn + 1 & 0xFFFFFFFF)
                    side = 2 * radius + 1
                    down, across = found[place]
                    attempt(place, down + drawn % side - radius, across + (drawn >> 16) % side - radius)
                    radius //= 2
        result = np.full((self.height, self.width, 2), NONE, np.int16)
        for place, offset in found.items():
            result[place] = offset
        return result


def votes(detail: NDArray[np.int16], matches: Array, wanted: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The detail at each wanted place by its neighbours' matches, NaN where there is none."""
    result = np.full(detail.shape, np.nan)
    for row, column in np.argwhere(wanted):
        near, around = [], []
        for down in range(-2, 3):
            for across in range(-2, 3):
                y, x = row + down, column + across
                if not (0 <= y < wanted.shape[0] and 0 <= x < wanted.shape[1]) or matches[y, x, 0] == NONE:
                    continue
                other = detail[row + matches[y, x, 0], column + matches[y, x, 1]].astype(np.float64)
                around.append(other)
                if max(abs(down), abs(across)) <= 1:
                    near.append(other)
        if near:
            energy = max(float(np.square(around).sum(axis=1).mean()), 128.0)
            share = np.square(np.mean(around, axis=0)).sum() / energy
            result[row, column] = np.mean(near, axis=0) * (0.8 + 0.5 * np.clip((share - 0.1) / 0.5, 0, 1))
    return result


def found_in(
    pixels: NDArray[np.uint8],
    hole: NDArray[np.uint8],
    wanted: NDArray[np.uint8],
    seeds: NDArray[np.int16] | None = None,
    bounds: tuple[int, int] = (WINDOW, ROUNDS),
) -> NDArray[np.int16]:
    answer = _texture.matches(pixels, hole, wanted, seeds, *bounds, *hole.shape)
    return np.frombuffer(answer, np.int16).reshape(*hole.shape, 2)


def voted_in(detail: NDArray[np.int16], matches: NDArray[np.int16], wanted: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.frombuffer(_texture.votes(detail, matches, wanted, *wanted.shape), np.int16).reshape(detail.shape)


def drawn(seed: int, height: int, width: int, share: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture of noise and a hole of a line and single pixels."""
    rng = np.random.default_rng(seed)
    hole = (rng.random((height, width)) < share).astype(np.uint8)
    hole[height // 2, : width // 2] = 255
    return rng.integers(0, 256, (height, width, 3), np.uint8), hole


@pytest.mark.parametrize("calm", [False, True])
@pytest.mark.parametrize(("height", "width"), [(16, 21), (24, 18), (7, 30), (20, 20)])
def test_matches_and_votes_are_those_of_the_reference(height: int, width: int, calm: bool) -> None:
    pixels, hole = drawn(height, height, width, 0.005)
    if calm:
        pixels = (100 + pixels // 25).astype(np.uint8)
    expected = Reference(pixels, hole).matches(hole)
    found = found_in(pixels, hole, hole)
    assert np.array_equal(found, expected)
    assert (found[hole > 0] != NONE).any()
    detail = np.random.default_rng(1).integers(-4000, 4000, pixels.shape).astype(np.int16)
    voted, wanted_votes = voted_in(detail, found, hole), votes(detail, expected, hole)
    none = np.isnan(wanted_votes)
    assert (voted[none] == NONE).all()
    assert np.abs(voted[~none] - wanted_votes[~none]).max() <= 1.01


def test_a_search_that_begins_with_matches_is_that_of_the_reference() -> None:
    pixels, hole = drawn(5, 24, 90, 0.005)
    rng = np.random.default_rng(6)
    seeds = rng.integers(-60, 60, (*hole.shape, 2)).astype(np.int16)
    seeds[rng.random(hole.shape) < 0.2] = NONE
    for limit, rounds in ((9, 1), (64, 0), (64, 2)):
        expected = Reference(pixels, hole).matches(hole, seeds, limit, rounds)
        assert np.array_equal(found_in(pixels, hole, hole, seeds, (limit, rounds)), expected)
    assert (np.abs(expected).max(axis=2)[expected[..., 0] != NONE] > WINDOW).any()


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    share=st.floats(0, 1),
    seeded=st.none() | st.tuples(st.integers(0, 80), st.integers(0, 2)),
)
def test_every_match_of_any_shape_is_a_known_patch_of_the_window(
    seed: int, height: int, width: int, share: float, seeded: tuple[int, int] | None
) -> None:
    pixels, hole = drawn(seed, height, width, share**4)
    rng = np.random.default_rng(seed)
    wanted = (rng.random(hole.shape) < 0.3).astype(np.uint8)
    seeds = rng.choice([NONE, -32767, -30, -1, 0, 2, 40, 32767], (*hole.shape, 2)).astype(np.int16)
    bounds = seeded or (WINDOW, ROUNDS)
    found = found_in(pixels, hole, wanted, seeds if seeded else None, bounds)
    reference = Reference(pixels, hole)
    has_match = found[..., 0] != NONE
    assert not has_match[wanted == 0].any()
    assert np.abs(found[has_match]).max(initial=0) <= bounds[0]
    for row, column in np.argwhere(has_match):
        assert reference.is_whole(row + found[row, column, 0], column + found[row, column, 1])
    extreme = np.where(pixels > 127, np.int16(32767), np.int16(-32767))
    voted = voted_in(extreme, found, wanted)
    assert (voted[wanted == 0] == NONE).all()
    assert ((voted[..., 0] != NONE) >= (has_match & (wanted > 0))).all()


def test_arrays_of_other_sizes_and_matches_outside_are_refused() -> None:
    pixels, hole = drawn(0, 20, 20, 0)
    seeds = np.zeros((19, 20, 2), np.int16)
    for arrays, size in (
        ((pixels[1:], hole, hole, None), (20, 20)),
        ((pixels, hole, hole, None), (20, 21)),
        ((pixels, hole, hole, seeds), (20, 20)),
        ((b"", b"", b"", None), (0, 9)),
    ):
        with pytest.raises(ValueError, match=r"size|side"):
            _texture.matches(*arrays, WINDOW, ROUNDS, *size)
    detail, away = pixels.astype(np.int16), np.full((20, 20, 2), 19, np.int16)
    with pytest.raises(ValueError, match="outside"):
        _texture.votes(detail, away, hole, 20, 20)
    with pytest.raises(ValueError, match="size"):
        _texture.votes(detail[1:], away, hole, 20, 20)


def woven(side: int = 160) -> NDArray[np.uint8]:
    """Cloth: fine stripes that slant, with grain."""
    rows, columns = np.mgrid[:side, :side]
    stripes = 128 + 50 * np.sin(2 * np.pi * (rows + 0.5 * columns) / 5)
    grain = np.random.default_rng(2).normal(0, 3, (side, side))
    return np.repeat(np.clip(stripes + grain, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def soft(picture: NDArray[np.uint8], hole: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``picture`` with a fill that lacks all detail."""
    return np.where(hole[..., None] > 0, np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.uint8), picture)


def line(side: int = 160, width: int = 4) -> NDArray[np.uint8]:
    hole = np.zeros((side, side), np.uint8)
    return np.asarray(cv2.line(hole, (20, 30), (130, 120), 255, width), np.uint8)


def error(one: NDArray[np.uint8], other: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    return float(np.sqrt(np.square(one[where].astype(float) - other[where]).mean()))


def test_stripes_go_on_in_the_hole_and_nothing_else_changes() -> None:
    picture, hole = woven(), line()
    fill = soft(picture, hole)
    result, share = with_texture(fill, hole, 1.0)
    inside = hole > 0
    assert error(result, picture, inside) < 0.5 * error(fill, picture, inside)
    assert np.array_equal(result[~inside], picture[~inside])
    assert np.array_equal(result[..., 0], result[..., 2])
    assert share > 0.99


def test_half_the_amount_lies_between_and_none_is_the_fill() -> None:
    picture, hole = woven(), line()
    fill = soft(picture, hole)
    whole, half, none = (with_texture(fill, hole, amount)[0] for amount in (1.0, 0.5, 0.0))
    assert np.array_equal(none, fill)
    middle = (whole.astype(int) + fill) / 2
    assert np.abs(half - middle).max() <= 1


def test_taken_pixels_stay() -> None:
    picture, hole = woven(), line()
    fill, taken = soft(picture, hole), line()
    taken[:, 80:] = 0
    result, share = with_texture(fill, hole, 1.0, taken)
    assert np.array_equal(result[taken > 0], fill[taken > 0])
    assert (result != fill).any()
    assert 0.3 < share < 0.7


@pytest.mark.parametrize("ground", ["white", "ramp"])
def test_calm_ground_stays_as_it_was_filled(ground: str) -> None:
    picture = np.full((160, 160, 3), 255, np.uint8)
    if ground == "ramp":
        picture[:] = np.linspace(100, 200, 160)[:, None, None].astype(np.uint8)
    hole = line()
    fill = picture.copy()
    fill[hole > 0] = 150
    result, share = with_texture(fill, hole, 1.0)
    assert np.array_equal(result, fill)
    assert share == 0


def test_a_marks_ringing_is_not_copied_into_white_ground() -> None:
    hole = np.zeros((160, 160), np.uint8)
    hole[60:90, 40:120] = 255
    picture = np.full((160, 160, 3), 255, np.uint8)
    around = cv2.dilate(hole, np.ones((13, 13), np.uint8)) > 0
    picture[around] = np.random.default_rng(0).integers(245, 256, (np.count_nonzero(around), 3))
    fill = picture.copy()
    fill[hole > 0] = 255
    assert np.array_equal(with_texture(fill, hole, 1.0)[0], fill)


def wide(height: int = 200, width: int = 200, border: int = 40) -> NDArray[np.uint8]:
    hole = np.zeros((height, width), np.uint8)
    hole[border:-border, border:-border] = 255
    return hole


def test_texture_goes_on_into_the_middle_of_a_wide_hole() -> None:
    picture, hole = woven(200), wide()
    fill = soft(picture, hole)
    result, share = with_texture(fill, hole, 1.0)
    middle = np.s_[80:120, 80:120]
    detail = [float(np.abs(cv2.Laplacian(one, cv2.CV_32F))[middle].mean()) for one in (picture, fill, result)]
    assert detail[1] < 0.2 * detail[0]
    assert detail[2] > 0.6 * detail[0]
    assert np.array_equal(result[hole == 0], picture[hole == 0])
    assert share > 0.99


@pytest.mark.parametrize("size", [(199, 321), (150, 1100), (64, 90)])
def test_wide_holes_of_any_size_change_nothing_outside_or_in_what_was_taken(size: tuple[int, int]) -> None:
    height, width = size
    picture, hole = np.tile(woven(200), (1, 6, 1))[:height, :width], wide(height, width, 15)
    taken = np.zeros_like(hole)
    taken[:, 30:40] = 255
    fill = soft(picture, hole)
    result, _ = with_texture(fill, hole, 1.0, taken)
    changed = (result != fill).any(axis=2)
    assert not changed[(hole == 0) | (taken > 0)].any()
    assert changed[hole > 0].mean() > 0.8


def test_the_middle_of_a_wide_hole_in_calm_ground_keeps_its_fill() -> None:
    picture, hole = np.full((200, 200, 3), 230, np.uint8), wide()
    fill = picture.copy()
    fill[hole > 0] = np.random.default_rng(4).integers(200, 256, (np.count_nonzero(hole), 3))
    assert np.array_equal(with_texture(fill, hole, 1.0)[0], fill)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (6, 6), (200, 2), (64, 64)])
def test_a_hole_without_enough_known_pixels_keeps_the_fill(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    hole = np.full(shape, 255, np.uint8)
    assert np.array_equal(with_texture(picture, hole, 1.0)[0], picture)
    hole[0, 0] = 0
    assert np.array_equal(with_texture(picture, hole, 1.0)[0], picture)


def test_holes_at_the_border_and_in_many_tiles_get_texture_too() -> None:
    picture = np.tile(woven(), (4, 4, 1))
    hole = np.zeros(picture.shape[:2], np.uint8)
    hole[:3], hole[-3:], hole[:, :3], hole[510:514] = 255, 255, 255, 255
    fill = soft(picture, hole)
    result, share = with_texture(fill, hole, 1.0)
    for part in (np.s_[:3], np.s_[-3:], np.s_[:, :3], np.s_[510:514]):
        where = np.zeros(hole.shape, np.bool_)
        where[part] = True
        assert error(result, picture, where) < 0.8 * error(fill, picture, where)
    assert share > 0.9


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    picture, hole = woven(), line()
    fill = soft(picture, hole)
    before = cv2.getNumThreads()
    try:
        results = []
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            with ThreadPoolExecutor(threads) as callers:
                results += [one for one, _ in callers.map(lambda _: with_texture(fill, hole, 1.0), range(threads))]
    finally:
        cv2.setNumThreads(before)
    assert all(np.array_equal(results[0], one) for one in results)


def test_without_the_extension_the_fill_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texture, "IS_BUILT", False)
    picture, hole = woven(), line()
    fill = soft(picture, hole)
    result, share = with_texture(fill, hole, 1.0)
    assert np.array_equal(result, fill)
    assert share == 0


def test_recovered_and_softly_painted_pixels_keep_theirs() -> None:
    picture, hole = woven(), line()
    fill, taken, painted_softly = soft(picture, hole), line(), line()
    taken[:, 50:], painted_softly[:, :100] = 0, 0
    done = textured(Recovery(fill, 0.4, (), taken), hole, 1.0, painted_softly)
    changed = (done.pixels != fill).any(axis=2)
    assert changed[:, 52:98].any()
    assert not changed[:, :50].any()
    assert not changed[:, 100:].any()
    assert recovery_record([done]) == {"textured": round(done.textured, 4)}


def file_of(pixels: NDArray[np.uint8], ending: str = ".png") -> bytes:
    return bytes(cv2.imencode(ending, pixels)[1])


def test_the_inpainter_copies_texture_unless_told_not_to() -> None:
    picture, hole = woven(), line(width=6)
    marked = np.where(hole[..., None] > 0, np.uint8(255), picture)
    inside = hole > 0
    with LaMaInpainter(device="cpu", threads=1) as inpainter:
        plain, copied, again = (inpainter(marked, hole, texture=amount) for amount in (0.0, 1.0, 1.0))
        default = inpainter(marked, hole)
        with pytest.raises(ValueError, match="0 to 1"):
            inpainter(marked, hole, texture=1.5)
        transparent = inpainter(np.dstack((marked, picture[..., 0])), hole)
        results = {}
        for amount in (None, 0.0):
            limits = Limits(max_bytes=1 << 30, max_pixels=1 << 30)
            task = read(file_of(marked), file_of(hole), limits=limits, texture=amount)
            recoveries: list[Recovery] = []
            result = inpainter.run(task, lambda _: None, on_recovery=recoveries.append)
            results[amount] = result, recovery_record(recoveries)
    assert np.array_equal(copied, again)
    assert np.array_equal(copied, default)
    assert np.array_equal(transparent[..., :3], copied)
    assert np.array_equal(transparent[..., 3], picture[..., 0])
    assert error(copied, picture, inside) < 0.9 * error(plain, picture, inside)
    assert np.array_equal(results[None][0], copied)
    assert np.array_equal(results[0.0][0], plain)
    assert results[None][1]["textured"] > 0.9
    assert results[0.0][1] == {}


def test_colours_under_transparency_get_none() -> None:
    picture = np.dstack((woven(), np.full((160, 160), 255, np.uint8)))
    picture[:40, :, 3] = 0
    limits = Limits(max_bytes=1 << 30, max_pixels=1 << 30)
    assert all(part.texture == 0 for part in read(file_of(picture), file_of(line()), limits=limits).parts)
    opaque = read(file_of(picture[..., :3]), file_of(line()), limits=limits)
    assert [part.texture for part in opaque.parts] == [1.0]

"""The mark under one mask of many pictures: learned from them, and taken off where a picture shows it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.marks import text
from model.imaging import Limits
from model.repair.task import Task, read, recovered
from model.watermark.learned import FEWEST, learn, recovered_by, sample_of
from model.watermark.template import Template
from tests.unit.model.watermark.scenes import jpeg, texture

Pixels = NDArray[np.uint8]
HIGH, WIDE, TOP, LEFT, OPACITY = 150, 220, 60, 40, 0.45
LIMITS = Limits(max_bytes=1 << 24, max_pixels=1 << 24)
WORD = text(120).coverage


def coverage(down: int = 0, across: int = 0) -> NDArray[np.float32]:
    """The word's coverage, half a pixel to the right of its place."""
    whole = np.zeros((HIGH, WIDE), np.float32)
    tall, wide = WORD.shape
    whole[TOP + down : TOP + down + tall, LEFT + across : LEFT + across + wide] = WORD
    return np.asarray(cv2.warpAffine(whole, np.array([[1, 0, 0.5], [0, 1, 0]], np.float32), (WIDE, HIGH)), np.float32)


def painted(wider: int = 3) -> Pixels:
    kernel = np.ones((2 * wider + 1,) * 2, np.uint8)
    return np.asarray(cv2.dilate(np.where(coverage() > 0.02, np.uint8(255), np.uint8(0)), kernel), np.uint8)


def under(shape: NDArray[np.float32], seed: int, opacity: float = OPACITY) -> tuple[Pixels, Pixels]:
    """A picture under a white mark of this shape, and the picture itself."""
    original = texture(np.random.default_rng(seed), HIGH, WIDE)
    alpha = (shape * opacity)[..., None]
    return np.rint(original * (1 - alpha) + 255 * alpha).astype(np.uint8), original


@pytest.fixture(scope="module")
def template() -> Template:
    """What 16 pictures tell of their mark."""
    samples = [sample_of(under(coverage(), seed)[0], painted()) for seed in range(16)]
    template = learn([sample for sample in samples if sample is not None])
    assert template is not None
    return template


def task_of(marked: Pixels, mask: Pixels) -> tuple[Task, Pixels]:
    """The repair of a picture, and a fill of it."""
    task = read(jpeg(marked), cv2.imencode(".png", mask)[1].tobytes(), limits=LIMITS)
    return task, np.asarray(cv2.inpaint(task.picture.pixels, task.hole, 3, cv2.INPAINT_TELEA), np.uint8)


def error(result: Pixels, original: Pixels) -> float:
    """Mean squared error under the mark."""
    return float(np.square(result.astype(float) - original)[coverage() > 0.02].mean())


def test_a_mark_that_many_pictures_share_is_taken_off_where_one_alone_cannot_tell_it(template: Template) -> None:
    for seed in (100, 101, 102):
        marked, original = under(coverage(), seed)
        task, filled = task_of(marked, painted())
        alone, together = recovered(task, filled), recovered_by(template, task, filled)
        assert together.learned_from == 16 and together.recovered > 0.8
        assert together.every_opacity == pytest.approx((OPACITY,), abs=0.06)
        assert np.array_equal(together.pixels[task.hole == 0], filled[task.hole == 0])
        assert error(together.pixels, original) < 0.5 * error(filled, original)
        assert error(together.pixels, original) < error(alone.pixels, original)


def test_the_paint_may_lie_elsewhere_in_a_picture_with_its_mark(template: Template) -> None:
    marked, _ = under(coverage(20, 30), 100)
    task, filled = task_of(marked, np.roll(painted(), (20, 30), (0, 1)))
    assert recovered_by(template, task, filled).learned_from == 16


def test_a_picture_without_the_mark_or_with_another_one_is_repaired_as_if_nothing_were_known(
    template: Template,
) -> None:
    bare = texture(np.random.default_rng(100), HIGH, WIDE)
    beside, _ = under(coverage(25, 0), 101)
    for given in (bare, beside):
        task, filled = task_of(given, painted())
        expected, result = recovered(task, filled), recovered_by(template, task, filled)
        assert result.learned_from == 0
        assert np.array_equal(result.pixels, expected.pixels)


@pytest.mark.parametrize(("opacity", "count"), [(0.0, 16), (1.0, 16), (OPACITY, FEWEST - 1)])
def test_nothing_is_learned_without_a_mark_of_an_opaque_one_or_from_few_pictures(opacity: float, count: int) -> None:
    samples = [sample_of(under(coverage(), seed, opacity)[0], painted()) for seed in range(count)]
    assert learn([sample for sample in samples if sample is not None]) is None


def test_what_the_template_lacks_is_filled_where_it_shows(template: Template) -> None:
    shape = coverage()
    more = np.zeros_like(shape)
    more[TOP + 2 : TOP + 14, LEFT + WORD.shape[1] + 4 : LEFT + WORD.shape[1] + 20] = 1
    marked, original = under(np.maximum(shape, more), 100)
    mask = np.maximum(painted(), np.asarray(cv2.dilate((more > 0).astype(np.uint8) * 255, np.ones((7, 7), np.uint8))))
    # The picture's paint has another extent to the right alone: the corner that counts is the same.
    task, filled = task_of(marked, mask)
    result = recovered_by(template, task, filled)
    assert result.learned_from == 16
    left = np.abs(result.pixels.astype(int) - filled)[more > 0]
    assert np.median(left) <= 4, "the part that was not learned stayed in the picture"
    assert error(result.pixels, original) < 0.5 * error(filled, original)


def test_a_mask_that_spreads_over_a_large_picture_tells_nothing() -> None:
    assert sample_of(np.zeros((800, 900, 3), np.uint8), np.full((800, 900), 255, np.uint8)) is None
    assert sample_of(np.zeros((80, 90, 3), np.uint8), np.zeros((80, 90), np.uint8)) is None

"""Marks that lie at another place in each picture, and prints on goods, which are none."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.marks import logo
from model.errors import TemplateRefused
from model.watermark.estimate import Estimate, estimate
from model.watermark.remove import remove
from model.watermark.scattered import scattering
from model.watermark.sighting import look
from tests.unit.model.watermark.scenes import samples
from tests.unit.model.watermark.test_look_alikes import HIGH, WIDE, look_alike
from workers.device.templates.confidence import confidence

Pixels = NDArray[np.uint8]
MARK = logo(44)


def laid(original: Pixels, top: int, left: int, opacity: float) -> tuple[Pixels, NDArray[np.float32]]:
    """The picture with the mark at a place, and the mark's opacity."""
    alpha = np.zeros((HIGH, WIDE), np.float32)
    colour = np.zeros((HIGH, WIDE, 3), np.float32)
    box = slice(top, top + 44), slice(left, left + 44)
    alpha[box], colour[box] = MARK.coverage * opacity, MARK.colour
    given = original * (1 - alpha[..., None]) + colour * alpha[..., None]
    return np.rint(given).astype(np.uint8), alpha


@cache
def scattered(count: int = 26) -> list[tuple[Pixels, Pixels, NDArray[np.float32]]]:
    """Look-alikes with the mark anywhere: as given, as they were, and the true opacity."""
    rng, out = np.random.default_rng(5), []
    for number in range(count):
        original = look_alike(number, rng)
        top, left = int(rng.integers(4, HIGH - 48)), int(rng.integers(4, WIDE - 48))
        given, alpha = laid(original, top, left, 0.6)
        out.append((given, original, alpha))
    return out


@cache
def estimated() -> Estimate:
    return estimate(samples([given for given, _, _ in scattered()]))


def printed(count: int, opacity: float) -> list[Pixels]:
    """Look-alikes with the mark on the goods alone."""
    rng = np.random.default_rng(6)
    out: list[Pixels] = []
    while len(out) < count:
        original = look_alike(len(out), rng)
        goods = cv2.erode((original.min(axis=2) < 235).astype(np.uint8), np.ones((60, 60), np.uint8), borderValue=0)
        rows, columns = np.nonzero(goods)
        place = int(rng.integers(len(rows)))
        out.append(laid(original, int(rows[place]) - 22, int(columns[place]) - 22, opacity)[0])
    return out


def test_a_mark_at_another_place_in_each_picture_is_found_and_left_to_a_person() -> None:
    (template,) = estimated().templates
    assert template.rule.anywhere
    assert template.quality.samples >= 0.9 * len(scattered())
    assert template.quality.opacity == pytest.approx(0.6, abs=0.05)
    (caution,) = estimated().warnings
    assert caution.code == "mark_scattered" and caution.params == {"pictures": template.quality.samples}
    assert confidence(template.quality) == 0


def test_a_mark_at_another_place_in_each_picture_comes_off_and_nothing_else_changes() -> None:
    (template,) = estimated().templates
    for given, original, alpha in scattered()[:8]:
        removal = remove(given, template, noise=0.6)
        assert removal is not None and not removal.residual
        zone, far = alpha > 0.02, cv2.dilate(alpha, np.ones((17, 17), np.uint8)) == 0
        before, after = (np.square(one.astype(float) - original)[zone].mean() for one in (given, removal.pixels))
        assert after < before / 10
        assert (removal.pixels == given)[far].all()
    rng = np.random.default_rng(7)
    assert all(look(look_alike(number, rng), template) is None for number in range(6))


@pytest.mark.parametrize("opacity", [0.6, 1.0])
def test_a_print_that_moves_with_the_goods_is_no_mark(opacity: float) -> None:
    with pytest.raises(TemplateRefused) as refused:
        estimate(samples(printed(24, opacity)))
    assert refused.value.code == "mark_of_goods"
    assert refused.value.params["over_ground"] == 0


def test_shifts_that_add_up_tell_the_places_and_those_that_do_not_are_left_out() -> None:
    rng = np.random.default_rng(8)
    count, carriers = 16, 10
    places = rng.uniform(-60, 60, (count, 2)).astype(np.float32)
    shifts = rng.uniform(-100, 100, (count, count, 4, 2)).astype(np.float32)
    # Half of the carriers' pairs show the mark, at any rank.
    for one in range(carriers):
        for other in range(one + 1, carriers):
            if rng.random() < 0.7:
                shifts[one, other, rng.integers(4)] = places[other] - places[one] + rng.normal(0, 0.3, 2)
            shifts[other, one] = -shifts[one, other]
    best = scattering(shifts, ~np.eye(count, dtype=np.bool_))[0]
    assert best.members.tolist() == list(range(carriers))
    apart = best.places[:carriers] - places[:carriers]
    assert np.ptp(apart, axis=0).max() < 1


def test_look_alikes_do_not_vote_for_each_other() -> None:
    places = np.random.default_rng(9).uniform(-60, 60, (8, 2)).astype(np.float32)
    shifts = np.repeat((places[None] - places[:, None])[:, :, None], 4, axis=2)
    assert scattering(shifts, np.zeros((8, 8), np.bool_)) == []


def test_pictures_of_which_none_is_unlike_two_others_share_no_scattered_mark() -> None:
    shifts = np.zeros((4, 4, 3, 2), np.float32)
    apart = np.zeros((4, 4), np.bool_)
    apart[0, 1] = apart[1, 0] = True
    assert all(one.pairs <= 1 for one in scattering(shifts, apart))

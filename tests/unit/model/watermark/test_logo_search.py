"""A logo's own file in photos on white, after JPEG: its place to the pixel, its opacity, and no logo where none is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.marks import Mark, logo, scaled, text
from model.errors import TemplateRefused
from model.watermark.known import from_logo
from model.watermark.logo_search import Found, agreed
from model.watermark.remove import remove
from model.watermark.search import Hit, Shape, Tone
from model.watermark.sighting import strength_of
from model.watermark.template import Quality, Rule, Template
from tests.unit.model.watermark.scenes import jpeg, samples
from tests.unit.model.watermark.test_look_alikes import HIGH, WIDE, look_alike

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]


def laid(mark: Mark, opacity: float, place: tuple[int, int], original: Pixels) -> tuple[Pixels, Values, Values]:
    """The picture with the mark at a place, after JPEG, and the mark's opacity and colour over the picture."""
    tall, wide = mark.coverage.shape
    part = slice(place[0], place[0] + tall), slice(place[1], place[1] + wide)
    alpha, colour = np.zeros((HIGH, WIDE), np.float32), np.zeros((HIGH, WIDE, 3), np.float32)
    alpha[part], colour[part] = mark.coverage * opacity, mark.colour
    given = np.rint(original * (1 - alpha[..., None]) + colour * alpha[..., None]).astype(np.uint8)
    with Image.open(io.BytesIO(jpeg(given))) as coded:
        return np.array(coded), alpha, colour


def psnr(one: Pixels, original: Pixels, zone: NDArray[np.bool_]) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - original)[zone].mean()))


@pytest.mark.parametrize(
    ("file", "factor", "place"),
    [(logo(48), 1.4, (90, 60)), (text(100, "DOE SHIRTS"), 1.23, (120, 30)), (logo(120), 0.47, (150, 100))],
)
def test_a_logo_comes_off_as_by_the_true_template(file: Mark, factor: float, place: tuple[int, int]) -> None:
    original, mark = look_alike(1, np.random.default_rng(4)), scaled(file, factor)
    given, alpha, colour = laid(mark, 0.6, place, original)
    (template,) = from_logo(file.coverage, file.colour, samples([given])).templates
    rule = Rule("top-left", "pixels", 0, 0, WIDE, HIGH, sizes=((HIGH, WIDE),))
    mask = np.where(alpha > 0.3, np.uint8(255), np.uint8(0))
    true = Template(alpha, colour, mask, rule, Quality(0, 0, 0, 0.01, 0.6, 0, 0, 0, 0, 0))
    found, best = remove(given, template, noise=3), remove(given, true, noise=3)
    assert found is not None and best is not None
    zone = alpha > 0.02
    assert psnr(found.pixels, original, zone) > psnr(best.pixels, original, zone) - 1.5
    assert psnr(given, original, zone) + 6 < psnr(found.pixels, original, zone)


@pytest.mark.parametrize("opacity", [0.35, 0.6, 0.85])
def test_opacity_is_read_through_jpeg(opacity: float) -> None:
    mark, original = logo(60), look_alike(2, np.random.default_rng(5))
    given, _, _ = laid(mark, opacity, (100, 50), original)
    strength, error = strength_of(given, mark.coverage, mark.colour, 100, 50)
    assert strength == pytest.approx(opacity, rel=0.03)
    assert error < 0.03


def test_a_logo_is_not_found_in_photos_on_white_without_one() -> None:
    rng, file = np.random.default_rng(6), logo(60)
    with pytest.raises(TemplateRefused):
        from_logo(file.coverage, file.colour, samples([look_alike(number, rng) for number in range(3)]))


def hit(owner: int, width: int, cosine: float, z: float) -> Found:
    shape = Shape(np.ones((4, 4), np.float32), np.zeros((4, 4, 3), np.float32))
    return Found(owner, Hit(0, 0, shape, 0.5, cosine, z), (width, width), Tone(0, 1))


def test_hits_of_one_size_in_three_pictures_count_where_each_alone_does_not() -> None:
    unsure = [[hit(owner, 100, 0.45, 10), hit(owner, 50 + 7 * owner, 0.5, 12)] for owner in range(4)]
    assert [one.size for one in agreed(unsure)] == [(100, 100)] * 4
    assert agreed(unsure[:2]) == []
    # A certain hit needs no others.
    assert [one.owner for one in agreed([*unsure[:2], [hit(7, 80, 0.8, 25)]])] == [7]

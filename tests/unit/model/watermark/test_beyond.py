"""A mark that goes on where the samples could not have shown it: the template says so, pictures that show it too."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from model.watermark.beyond import could_show, goes_on
from model.watermark.estimate import estimate
from model.watermark.remove import remove
from model.watermark.sighting import Sighting
from model.watermark.template import Rule, Template
from tests.unit.model.watermark.scenes import samples, texture
from tests.unit.model.watermark.test_lacking import HALF, HIGH, WIDE, half_hidden

Values = NDArray[np.float32]
RULE = Rule("top-left", "pixels", 0, 0, WIDE, HIGH)


def first_part(alpha: Values, colour: Values) -> Sighting:
    """The mark up to where the last of the products ends that lie on its colour."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    view = slice(rows[0], rows[-1] + 1), slice(columns[0], HALF + 20)
    return Sighting(rows[0], columns[0], alpha[view], colour[view], 1.0, (0, 0), 20.0, RULE)


def test_a_picture_that_shows_more_of_the_mark_is_told() -> None:
    pictures, alpha, colour = half_hidden(255, 8, shapes=6)
    known = first_part(alpha, colour)
    # Every fourth picture has no white under the right half.
    shown = [goes_on(one, known, (0, 0, 0, 90)) for one in pictures]
    assert shown == [True, False, False, False] * 2
    assert not any(goes_on(one, known, (0, 0, 0, 0)) for one in pictures)


def test_goods_beside_a_whole_mark_are_no_part_of_it() -> None:
    pictures, alpha, colour = half_hidden(255, 16, shapes=6)
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    view = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    whole = Sighting(rows[0], columns[0], alpha[view], colour[view], 1.0, (0, 0), 20.0, RULE)
    assert not any(goes_on(one, whole, (24, 30, 24, 30)) for one in pictures[::4])


@pytest.mark.parametrize(("showing", "expected"), [(0, {"right": 0}), (1, {"right": 1}), (2, {})])
def test_sides_that_hardly_a_picture_could_show_are_named(showing: int, expected: dict[str, int]) -> None:
    alpha, colour = np.zeros((40, 100), np.float32), np.full((40, 100, 3), 255, np.float32)
    alpha[12:28, 20:80] = 0.5
    windows = [texture(np.random.default_rng(number), 40, 100).astype(np.float32) * 0.7 for number in range(6)]
    for one in windows[showing:]:
        one[:, 70:] = 255
    found = could_show([[one] for one in windows], alpha[:, 10:90], colour[:, 10:90], (12, 10), (12, 10, 12, 10))
    assert found == expected


def test_a_template_says_where_its_mark_may_go_on_and_flags_the_picture_that_shows_it() -> None:
    pictures, _, _ = half_hidden(255, 48, shapes=6)
    hidden = [one for number, one in enumerate(pictures) if number % 4]
    made = estimate(samples([pictures[0], *hidden]), force=True)
    (template,) = made.templates
    assert template.unseen[3] > 0
    (said,) = [one for one in made.warnings if one.code == "end_unseen"]
    assert said.params["side"] == "right"
    assert Template.from_bytes(template.to_bytes()).unseen == template.unseen
    shows, whole = remove(pictures[0], template, noise=0.6), remove(hidden[0], template, noise=0.6)
    assert shows is not None and shows.residual
    assert whole is not None and not whole.residual

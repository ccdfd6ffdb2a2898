"""Finds a template's mark in a picture: its presence, exact place and strength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.alignment import NULL_PX, match
from model.watermark.fields import field_of, gradients, normalised
from model.watermark.frames import resized
from model.watermark.lattice import phases
from model.watermark.place import place_of
from model.watermark.placings import placings
from model.watermark.poisson import continued
from model.watermark.search import Searched, Shape
from model.watermark.strength import Edges
from model.watermark.template import Rule, Template

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]

#: Search distance around the place of the rule, in px of the template.
REACH = 5
#: Least deviation above chance, and least share of the expected gradients, for a mark to count as best.
PRESENT_Z, PRESENT_SHARE = 6.0, 0.25
#: The same for a search by many rules, one of which may agree by chance.
_GUESSED_Z, _GUESSED_SHARE = 7.0, 0.35
#: Longest side of a picture in which the mark is searched anywhere, in px; least agreement and deviation of a hit.
_SEARCHED_PX, _HIT_COSINE, _HIT_Z = 720, 0.5, 11.0
#: Deviation above chance from which a mark is certainly there, whatever its strength comes out as (bench/catalogue.py:
#: clean pictures reach 6).
_CERTAIN_Z = 8.0
#: Plausible range of the strength.
_WEAKEST, _STRONGEST = 0.35, 1.8
#: Rounds of conjugate gradients for the continuation under the mark.
_ROUNDS = 12
#: Error of a strength from the guess of the background.
_GUESSED = 0.05


@dataclass(frozen=True)
class Sighting:
    """A mark in a picture: the part of it that lies in the picture."""

    top: int
    left: int
    #: Opacity times the picture's strength, ``float32 [h, w]``, and colour, ``float32 [h, w, 3]``.
    alpha: Values
    colour: Values
    strength: float
    #: Shift from the place of the rule, in rows and columns.
    shift: tuple[int, int]
    #: Deviations above chance.
    z: float
    #: The rule of its place: the template's, or another that fits the template's samples.
    rule: Rule
    #: For a repeated mark, the middle of one of its cells, as (x, y).
    begin: tuple[float, float] = (0.0, 0.0)

    @property
    def view(self) -> tuple[slice, slice]:
        """The slices of the picture that it covers."""
        return slice(self.top, self.top + self.alpha.shape[0]), slice(self.left, self.left + self.alpha.shape[1])

    @property
    def certainty(self) -> float:
        """How sure the mark is there: 0 where pictures without a mark reach as far, 1 where it is certain."""
        return min(max((self.z - PRESENT_Z) / (_CERTAIN_Z - PRESENT_Z), 0.0), 1.0)

    def stronger(self, factor: float) -> Sighting:
        """The same sighting with ``factor`` times its strength."""
        alpha = np.asarray(np.clip(self.alpha * np.float32(factor), 0, 1), np.float32)
        return replace(self, alpha=alpha, strength=self.strength * factor)

    def placed(self, pixels: Pixels) -> Sighting:
        """The same sighting where the mark lies in ``pixels`` to a part of a pixel."""
        place = place_of(pixels[self.view].astype(np.float32), self.alpha, self.colour)
        if not np.any(place.values):
            return self
        alpha, colour = place.laid(self.alpha, self.colour)
        return replace(self, alpha=np.clip(alpha, 0, 1), colour=np.clip(colour, 0, 255))


def look(pixels: Pixels, template: Template) -> Sighting | None:
    """The mark in ``pixels`` (``uint8 [H, W, 3]``); ``None`` if it is absent or invisible."""
    rule = template.rule
    if rule.lattice is not None:
        return _repeated(pixels, template)
    size, mark = (int(pixels.shape[0]), int(pixels.shape[1])), (template.alpha.shape[0], template.alpha.shape[1])
    rules = [*placings(rule, mark, size), *rule.mirrored(mark)]
    if len(rules) == 1:
        best = _at(pixels, template, rules[0])
    else:
        sightings = [_at(pixels, template, one, guessed=True) for one in rules]
        best = max((one for one in sightings if one is not None), key=lambda one: one.z, default=None)
    if best is None and rule.anywhere:
        best = search(pixels, template, [rule.factor(*size)])
    return best


def search(pixels: Pixels, template: Template, factors: Sequence[float]) -> Sighting | None:
    """The mark anywhere in ``pixels``, in one of the sizes ``factors`` (px of the picture per px of the template)."""
    size = int(pixels.shape[0]), int(pixels.shape[1])
    reduced = min(1.0, _SEARCHED_PX / max(size))
    searched = Searched(resized(pixels, reduced) if reduced < 1 else pixels)
    shape = Shape(template.alpha, template.colour)
    hits = [(hit, factor) for factor in factors for hit in searched.hits(shape.scaled(factor * reduced))]
    sure = [(hit, factor) for hit, factor in hits if hit.cosine > _HIT_COSINE and hit.z > _HIT_Z]
    if not sure:
        return None
    hit, factor = max(sure, key=lambda one: one[0].cosine)
    top, left = hit.top / reduced, hit.left / reduced
    # A rule for this one place: nothing scales it but the picture it is made for.
    there = Rule("top-left", "width", top / factor, left / factor, size[1] / factor, size[0] / factor, sizes=(size,))
    return _at(pixels, template, there, guessed=True)


def strength_of(pixels: Pixels, alpha: Values, colour: Values, top: int, left: int) -> tuple[float, float]:
    """The strength of a mark (``float32 [h, w]`` and ``[h, w, 3]``) at this place, and its standard error."""
    around = NULL_PX + 2
    window = _window(pixels, top - around, left - around, alpha.shape[0] + 2 * around, alpha.shape[1] + 2 * around)
    padded = ((around, around), (around, around))
    values, wide = window.astype(np.float32), np.pad(alpha, padded)
    return Edges(wide, np.pad(colour, (*padded, (0, 0)))).fit(values, _guessed(values, _reached(wide, 1)))


def shown_mask(size: tuple[int, ...], template: Template, sighting: Sighting) -> NDArray[np.bool_]:
    """The template's mask at the sighted place, over a picture of this size: ``bool [H, W]``."""
    if template.rule.lattice is not None:
        return _laid(replace(template, alpha=template.mask.astype(np.float32)), size, sighting.begin)[0] > 127
    factor = sighting.rule.factor(size[0], size[1])
    mask: Values = template.mask.astype(np.float32) / np.float32(255)
    mask = _scaled(mask, factor) if abs(factor - 1) > 1e-3 else mask
    top, left = sighting.rule.corner(size[0], size[1])
    top, left = top + sighting.shift[0], left + sighting.shift[1]
    rows, columns = sighting.view
    out = np.zeros(size[:2], np.bool_)
    out[sighting.view] = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] > 0.5
    return out


def _at(pixels: Pixels, template: Template, rule: Rule, *, guessed: bool = False) -> Sighting | None:
    """The mark at the place of ``rule``. ``guessed``: one of many rules, with higher thresholds."""
    factor = rule.factor(pixels.shape[0], pixels.shape[1])
    alpha, colour = template.alpha, template.colour
    if abs(factor - 1) > 1e-3:
        alpha, colour = _scaled(alpha, factor), _scaled(colour, factor)
    reach = max(REACH, round(REACH * factor)) if rule.scale != "pixels" else REACH
    top, left = rule.corner(*pixels.shape[:2])
    around = NULL_PX + 2
    window = _window(pixels, top - around, left - around, alpha.shape[0] + 2 * around, alpha.shape[1] + 2 * around)
    padded = ((around, around), (around, around))
    wide_alpha = np.pad(alpha, padded)
    wide_colour = np.pad(colour, (*padded, (0, 0)))
    values = window.astype(np.float32)
    guess = _guessed(values, _reached(wide_alpha, reach))
    best = match(field_of(window), _expected(guess, wide_alpha, wide_colour), reach)
    least_z, least_share = (_GUESSED_Z, _GUESSED_SHARE) if guessed else (PRESENT_Z, PRESENT_SHARE)
    if best.z < least_z or (best.agreement < least_share and best.z < _CERTAIN_Z):
        return None
    top, left = top + best.down, left + best.across
    box = _clipped(pixels, top, left, *alpha.shape)
    if box is None:
        return None
    part = slice(box[0] - top, box[1] - top), slice(box[2] - left, box[3] - left)
    moved = (
        np.roll(wide_alpha, (best.down, best.across), (0, 1)),
        np.roll(wide_colour, (best.down, best.across), (0, 1)),
    )
    strength, error = Edges(*moved).fit(values, _guessed(values, _reached(moved[0], 1)))
    if not _WEAKEST < strength < _STRONGEST:
        if best.z < _CERTAIN_Z:
            return None
        # The mark is certainly there: the template's own strength is tried, and what remains is judged and told.
        strength, error = 1.0, 0.0
    strength = _drawn(strength, error, template.quality.strength_spread)
    return Sighting(
        box[0],
        box[2],
        np.clip(alpha[part] * strength, 0, 1),
        colour[part],
        strength,
        (best.down, best.across),
        best.z,
        rule,
    )


def _drawn(strength: float, error: float, spread: float) -> float:
    """The strength, shrunk towards 1 by its uncertainty if the samples' strengths hardly differ."""
    own = max(spread**2 - _GUESSED**2, 0.01**2)
    return 1 + (strength - 1) * own / (own + error**2 + _GUESSED**2)


def _repeated(pixels: Pixels, template: Template) -> Sighting | None:
    lattice = template.rule.lattice
    assert lattice is not None
    field = field_of(pixels)
    cell = _laid(template, pixels.shape[:2], (0.0, 0.0))
    values = pixels.astype(np.float32)
    expected = _expected(np.full_like(values, 110), *cell)
    begin = phases(lattice, [expected[0], field[0]], rounds=1)
    # Whole pixels, as patterns are usually placed: sub-pixel shifts would only blur the template.
    start = float(np.rint(begin[1][0] - begin[0][0])), float(np.rint(begin[1][1] - begin[0][1]))
    alpha, colour = _laid(template, pixels.shape[:2], start)
    guess = _guessed(values, _reached(alpha, 2))
    expected = _expected(guess, alpha, colour)
    best = match(field, expected, REACH)
    if best.down or best.across:
        start = start[0] + best.across, start[1] + best.down
        alpha, colour = _laid(template, pixels.shape[:2], start)
        guess = _guessed(values, _reached(alpha, 1))
    if best.z < PRESENT_Z or (best.agreement < PRESENT_SHARE and best.z < _CERTAIN_Z):
        return None
    strength, error = Edges(alpha, colour).fit(values, guess)
    if not _WEAKEST < strength < _STRONGEST:
        if best.z < _CERTAIN_Z:
            return None
        strength, error = 1.0, 0.0
    strength = _drawn(strength, error, template.quality.strength_spread)
    shift = best.down, best.across
    return Sighting(0, 0, np.clip(alpha * strength, 0, 1), colour, strength, shift, best.z, template.rule, start)


def _laid(template: Template, size: tuple[int, ...], begin: tuple[float, float]) -> tuple[Values, Values]:
    """A repeated mark over a whole picture."""
    lattice = template.rule.lattice
    assert lattice is not None
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    across, down = lattice.reduced(x - begin[0], y - begin[1])
    # The template and the cell have the same middle.
    across = across + np.float32(template.alpha.shape[1] // 2 + template.rule.across)
    down = down + np.float32(template.alpha.shape[0] // 2 + template.rule.down)
    alpha = cv2.remap(template.alpha, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    colour = cv2.remap(template.colour, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(alpha, np.float32), np.asarray(colour, np.float32)


def _window(pixels: Pixels, top: int, left: int, height: int, width: int) -> Pixels:
    """A part of the picture; beyond its border the last row and column repeat."""
    rows = np.clip(np.arange(top, top + height), 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(left, left + width), 0, pixels.shape[1] - 1)
    return np.asarray(pixels[np.ix_(rows, columns)], np.uint8)


def _clipped(pixels: Pixels, top: int, left: int, height: int, width: int) -> tuple[int, int, int, int] | None:
    bottom, right = min(top + height, pixels.shape[0]), min(left + width, pixels.shape[1])
    top, left = max(top, 0), max(left, 0)
    return (top, bottom, left, right) if bottom > top and right > left else None


def _reached(alpha: Values, reach: int) -> NDArray[np.bool_]:
    """The pixels that the mark may cover."""
    side = 2 * (reach + 1) + 1
    return np.asarray(cv2.dilate((alpha > 0).astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def _guessed(values: Values, hidden: NDArray[np.bool_]) -> Values:
    """``values`` with the hidden pixels continued from their surroundings, by a fast approximation."""
    rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
    out = values.copy()
    if not rows.size:
        return out
    box = slice(max(int(rows[0]) - 6, 0), int(rows[-1]) + 7), slice(max(int(columns[0]) - 6, 0), int(columns[-1]) + 7)
    part, inside = values[box], hidden[box]
    start = _spread(part * ~inside[..., None], (~inside).astype(np.float32))
    out[box] = continued(part, start, inside, _ROUNDS)
    return out


def _spread(weighted: Values, weight: Values) -> Values:
    """A smooth continuation of ``weighted / weight``, level by level (push-pull, Gortler et al. 1996)."""
    height, width = weight.shape
    if min(height, width) == 1:
        mean = weighted.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
        return np.broadcast_to(mean.astype(np.float32), weighted.shape)
    size = (width + 1) // 2, (height + 1) // 2
    less = [np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32) for part in (weighted, weight)]
    coarse = cv2.resize(_spread(less[0], less[1]), (width, height), interpolation=cv2.INTER_LINEAR)
    known = np.minimum(weight, 1)[..., None]
    return np.asarray(known * weighted / np.maximum(weight, 1e-6)[..., None] + (1 - known) * coarse, np.float32)


def _expected(guess: Values, alpha: Values, colour: Values) -> Values:
    """The normalised gradients of the mark over this background."""
    steps = gradients(_planes(alpha[..., None] * (colour - guess)))
    return np.asarray(np.where(np.abs(steps) > 0.5, normalised(steps), 0), np.float32)


def _planes(picture: Values) -> Values:
    red, green, blue = (picture[..., index] for index in range(3))
    return np.stack(((red + green + blue) / 3, (red - green) / 2, (blue - (red + green) / 2) / 2))


def _scaled(values: Values, factor: float) -> Values:
    size = max(1, round(values.shape[1] * factor)), max(1, round(values.shape[0] * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    most = 1.0 if values.ndim == 2 else 255.0
    return np.asarray(np.clip(cv2.resize(values, size, interpolation=how), 0, most), np.float32)

"""A window of a marked picture with a guess of the picture below, and what is known of the guess's errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.opacity import Flags, Values, continued, fill_error, texture_of
from model.repair.seam import spread
from model.repair.unblending import without_light

Mask = NDArray[np.uint8]
#: Mean step between neighbours of the surroundings, in levels: larger ones are edges of the picture.
_MOST_STEP, _LEAST_STEP = 100.0, 0.8
#: Plain ground: most known pixels are this near to their mean, in levels (in rounds that leave out the others), the
#: share that is enough, the most deviation of the guess from the mean, the sigma of these means, and the depth to which
#: a hole hides nothing else, in px.
_NEARER, _MOST_OF, _AWAY, _PLAIN_PX, SHALLOW_PX = (40.0, 20.0, 4.0), 0.85, 3.0, 6.0, 12.0


class Below(NamedTuple):
    """The picture below a mark as guessed (``float32 [H, W, 3]``, levels), and its standard error (``[H, W]``)."""

    guess: Values
    error: Values


@dataclass(frozen=True)
class Ground:
    """A window of a marked picture, with a guess of the picture below."""

    #: ``float32 [H, W, 3]``, levels of 255.
    marked: Values
    #: The same with the hole filled.
    guess: Values
    #: ``uint8 [H, W]``: 255 where a person painted, and the wider hole that the fill covers.
    painted: Mask
    hole: Mask
    #: Error of the picture's coding, in levels.
    noise: float

    @cached_property
    def inside(self) -> Flags:
        return np.asarray(self.hole > 0)

    @cached_property
    def texture(self) -> Values:
        return texture_of(self.marked, self.inside)

    @cached_property
    def depth(self) -> Values:
        return depth_in(self.inside)

    @cached_property
    def error(self) -> Values:
        """Standard error of the guess, in levels."""
        return fill_error(self.texture, self.depth)

    @cached_property
    def colour_error(self) -> Values:
        """The same of the guess's colour, which varies less than its brightness."""
        return fill_error(texture_of(without_light(self.marked), self.inside), self.depth)

    @cached_property
    def within(self) -> Values:
        """Distance to the painted mask's border in px: over 0 inside it."""
        # Beyond the picture's border the paint goes on.
        wider = cv2.copyMakeBorder(self.painted, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        inner = cv2.distanceTransform(wider, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
        outer = cv2.distanceTransform(255 - self.painted, cv2.DIST_L2, cv2.DIST_MASK_5)
        return np.where(self.painted > 0, inner - 0.5, 0.5 - outer).astype(np.float32)

    @cached_property
    def step(self) -> Values:
        """Mean step from one pixel to the next in the surroundings, in levels, continued into the hole."""
        steps = np.zeros(self.hole.shape, np.float32)
        across = np.abs(self.marked[:, 1:] - self.marked[:, :-1]).mean(axis=2)
        down = np.abs(self.marked[1:] - self.marked[:-1]).mean(axis=2)
        steps[:, :-1] = across
        steps[:-1] += down
        known = (cv2.dilate(self.hole, np.ones((5, 5), np.uint8)) == 0).astype(np.float32)
        return np.maximum(continued(np.minimum(steps / 2, _MOST_STEP), known, sigma=5), _LEAST_STEP)

    @cached_property
    def plain(self) -> Flags:
        """``bool [H, W]``: where plain ground surely goes on in the hole: the guess is right there."""
        known = np.where(self.inside, np.float32(0), np.float32(1))
        count = np.maximum(_local(known), 1e-3)
        mean: Values = np.zeros_like(self.marked)
        near = known
        for most in _NEARER:
            weighted = _local(self.marked * near[..., None])
            mean = np.asarray(weighted / np.maximum(_local(near), 1e-3)[..., None], np.float32)
            near = np.where(np.abs(self.marked - mean).max(axis=2) < most, known, np.float32(0))
        off = _local(np.square(self.guess - mean) * (1 - known)[..., None]) / np.maximum(1 - count, 1e-3)[..., None]
        calm = (_local(near) > _MOST_OF * count) & (off.max(axis=2) < _AWAY**2)
        return np.asarray(self.inside & calm & (self.depth < SHALLOW_PX))

    @property
    def below(self) -> Below:
        return Below(self.guess, self.error)

    def refined(self, marked: Flags) -> tuple[Below, Values]:
        """The picture below and the depth, if only these pixels are marked: the others of the hole are known."""
        known = ~marked
        step = np.where((known & (self.depth < 64))[..., None], self.marked - self.guess, 0).astype(np.float32)
        moved = self.guess + spread(step, known.astype(np.float32))
        depth = depth_in(marked)
        guess = np.where(known[..., None], self.marked, moved).astype(np.float32)
        return Below(guess, np.minimum(self.error, fill_error(self.texture, depth))), depth


def _local(values: Values) -> Values:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _PLAIN_PX), np.float32)


def depth_in(flags: Flags) -> Values:
    """``float32 [H, W]``: the distance of each pixel of ``flags`` to the nearest other pixel, in px."""
    return np.asarray(cv2.distanceTransform(flags.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)

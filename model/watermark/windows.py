"""Aligned windows of the samples around the mark: the input of the outline and of the regression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.watermark.frames import Size
from model.watermark.place import Place
from model.watermark.template import Rule

Values = NDArray[np.float32]
#: Called with the stage, the finished and the total steps. An exception that it raises ends the work and propagates.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Placement:
    """A box in one sample: the place of its corner, and px of the sample per px of the box."""

    owner: int
    top: float
    left: float
    factor: float
    #: Factors on ``factor`` along rows and columns.
    stretch: tuple[float, float] = (1.0, 1.0)

    def inner(self, top: int, left: int) -> Placement:
        """A box that begins at this row and column of this one."""
        down, across = (self.factor * own for own in self.stretch)
        return replace(self, top=self.top + down * top, left=self.left + across * left)

    def beside(self, place: Place, alpha: Values) -> Placement:
        """The box of the mark of ``alpha`` (``float32 [h, w]``), which lies at this place beside the placement."""
        starts, stretch = [], []
        for start, own, move, growth in zip(
            (self.top, self.left), self.stretch, place.starts(alpha), place.growths(alpha), strict=True
        ):
            starts.append(start + self.factor * own * move)
            stretch.append(own * growth)
        return replace(self, top=starts[0], left=starts[1], stretch=(stretch[0], stretch[1]))

    def free(self, picture: Size, size: Size) -> tuple[float, float, float, float]:
        """The distances to the picture's upper, left, lower and right border, in px of the box; of ``size`` there."""
        before = [max(start, 0.0) / self.factor for start in (self.top, self.left)]
        after = [
            max(whole - start - side * self.factor, 0.0) / self.factor
            for start, whole, side in zip((self.top, self.left), picture, size, strict=True)
        ]
        return before[0], before[1], after[0], after[1]

    def room(self, picture: Size, size: Size) -> tuple[float, float]:
        """The larger distance to the picture's borders above or below, and left or right, in px of the box."""
        top, left, bottom, right = self.free(picture, size)
        return max(top, bottom), max(left, right)


@dataclass(frozen=True)
class Windows:
    """One window of each sample, or several for a repeated mark, shifted so that the mark lies at the same place."""

    #: ``uint8 [N, h, w, 3]``, on disk.
    pixels: NDArray[np.uint8]
    #: The sample of each window.
    owners: NDArray[np.intp]
    #: The place of each window in its sample.
    places: list[Placement]
    #: Spread of the marks' places around the rule's, in px.
    jitter: float
    #: The frame of the window.
    rule: Rule
    #: Samples that do not carry the mark.
    without: int
    #: The score of the rule over the runner-up's; 0 with a single candidate.
    margin: float
    #: Which windows are of pictures that look alike: ``bool [N, N]``.
    alike: NDArray[np.bool_]

    def rule_of(self, top: int, left: int) -> Rule:
        """The rule for the part of the window that begins at this row and column."""
        return replace(self.rule, down=self.rule.down + top, across=self.rule.across + left)

"""Aligned windows of the samples around the mark: the input of the outline and of the regression."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.watermark.template import Rule


@dataclass(frozen=True)
class Windows:
    """One window of each sample, or several for a repeated mark, shifted so that the mark lies at the same place."""

    #: ``uint8 [N, h, w, 3]``, on disk.
    pixels: NDArray[np.uint8]
    #: The sample of each window.
    owners: NDArray[np.intp]
    #: Shift of each window in rows and columns: ``[N, 2]``.
    shifts: NDArray[np.intp]
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

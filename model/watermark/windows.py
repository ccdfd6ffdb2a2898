"""Aligned windows of the samples around the mark: what the outline and the regression are made from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.watermark.template import Rule


@dataclass(frozen=True)
class Windows:
    """One or, of a repeated mark, several windows of each sample, so shifted that the mark lies at one place."""

    #: ``uint8 [N, h, w, 3]``, on disk.
    pixels: NDArray[np.uint8]
    #: The sample that each was cut from.
    owners: NDArray[np.intp]
    #: Rows and columns by which each was moved: ``[N, 2]``.
    shifts: NDArray[np.intp]
    #: Where the window sits in a picture.
    rule: Rule
    #: Samples that do not carry the mark.
    without: int
    #: The score of the placing rule over the runner-up's; 0 where there was but one.
    margin: float

    def rule_of(self, top: int, left: int) -> Rule:
        """The rule of a part of the window that begins at this row and column."""
        return replace(self.rule, down=self.rule.down + top, across=self.rule.across + left)

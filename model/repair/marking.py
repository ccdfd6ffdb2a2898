"""What a mask asks for on pictures of one size: hole and plan. Many pictures share one, which is then made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from model.engine.costs import Costs
from model.engine.plan import Plan, make_plan
from model.repair.hole import Mask, rim, split_soft
from model.shared import Shared

#: Markings in memory, and bytes of each of them: larger ones are made again for each picture.
_MOST, _MOST_BYTES = 4, 64 << 20


@dataclass(frozen=True)
class Marking:
    """A mask, and what follows from it. Its arrays are shared and cannot be written to."""

    #: ``uint8 [H, W]``: as painted, the hole that the network fills, and the strength of what was painted softly.
    painted: Mask = field(repr=False)
    hole: Mask = field(repr=False)
    soft: Mask | None = field(repr=False)
    plan: Plan
    dilation_px: int
    feather_px: int
    #: Whether each picture has its own hole in the place of this one (:mod:`model.repair.reach`).
    is_fitted: bool

    @property
    def nbytes(self) -> int:
        return self.painted.nbytes + self.hole.nbytes + (0 if self.soft is None else self.soft.nbytes)


def marking_of(painted: Mask, dilation_px: int | None, feather_px: int | None, costs: Costs | None) -> Marking:
    """The marking of a mask (``uint8 [H, W]``, over half = repair); ``dilation_px`` ``None``: by each picture."""
    height, width = painted.shape
    reach, feather = rim(height, width, dilation_px, feather_px)
    hole, soft = split_soft(painted, reach)
    for array in (painted, hole, soft):
        if array is not None:
            array.flags.writeable = False
    is_fitted = dilation_px is None and feather_px is None and soft is None
    return Marking(painted, hole, soft, make_plan(hole, costs), reach, feather, is_fitted)


class Markings:
    """The last markings of a process. Threads may share it."""

    def __init__(self) -> None:
        self._shared: Shared[Hashable, Marking] = Shared(_MOST)

    def get(self, key: Hashable, make: Callable[[], Marking]) -> Marking:
        """The marking that follows from ``key``, by ``make`` where it is not there."""
        marking = self._shared.get(key, make)
        if marking.nbytes > _MOST_BYTES:
            self._shared.drop(key)
        return marking

"""The cost of a network's pass on a kind of device: plans minimise it.

``costs.json`` beside this file is written by ``python -m bench.plan --write``. A network or device that was not
measured is planned for like the shipped network on a CPU: plans only compare costs, so their scale does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).with_name("costs.json")
#: Pixels of the pass of a mark in a corner, with the picture around it.
_USUAL_PASS_PX = 256 * 256


@dataclass(frozen=True)
class Costs:
    """A pass over ``p`` pixels takes ``pass_ms + p * ns_per_px / 1e6`` milliseconds."""

    pass_ms: float
    ns_per_px: float
    #: Most pixels of one pass, limited by the memory of its activations.
    most_px: int
    #: Most pixels of a pass in which tiles are cheaper together than one by one; ``None``: as many as fit.
    batch_px: int | None = None
    #: Whether passes compiled by Inductor were measured to be faster.
    compiled: bool = False

    def of(self, pixels: int) -> float:
        """Milliseconds of one pass."""
        return self.pass_ms + pixels * self.ns_per_px / 1e6


@lru_cache(maxsize=1)
def _table() -> dict[str, Costs]:
    return {key: Costs(**row) for key, row in json.loads(TABLE.read_text()).items()}


def costs_for(architecture: str, device_type: str) -> Costs:
    """The costs of ``architecture``, as named in a weights file, on ``device_type``: ``cpu`` or ``cuda``."""
    table = _table()
    return table.get(f"{architecture}/{device_type}", table["fourier-unet/cpu"])


def times_slower(devices: Iterable[str]) -> int | None:
    """How many times longer than the shipped network the large one takes for a usual pass, about: a mark in a corner.

    ``devices``: their names, as ``cpu`` and ``cuda0``. ``None``: they are of several kinds, or of one that was not
    measured.
    """
    kinds = {name.rstrip("0123456789") for name in devices}
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    small, large = (_table().get(f"{name}/{kind}") for name in ("fourier-unet", "lama"))
    return round(large.of(_USUAL_PASS_PX) / small.of(_USUAL_PASS_PX)) if large and small else None

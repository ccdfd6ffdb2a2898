"""How doubtful a result is, as one number that the ledger sorts by."""

from __future__ import annotations

from cleanplate.base.image_records import ImageRecord

#: Steps of a correlation, and of a share of the picture.
_GHOST_STEPS = 10_000
_HOLE_STEPS = 100_000


def doubt_of(record: ImageRecord) -> int:
    """The doubt about a result: a mark that still shows counts most, then its ghost, then the share that was invented.

    Every result with a larger doubt comes before one with a smaller one.
    """
    ghost = round(_GHOST_STEPS * _share(record.ghost))
    invented = _share(record.masked_share) * (1 - _share(record.recovered))
    flagged = int(bool(record.residual_mark))
    return (flagged * (_GHOST_STEPS + 1) + ghost) * (_HOLE_STEPS + 1) + round(_HOLE_STEPS * invented)


def _share(value: float | None) -> float:
    return min(1.0, max(0.0, value or 0.0))

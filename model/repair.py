"""One picture from bytes to bytes in three steps that different threads may take: ``read``, the network, ``write``.

``read`` and ``write`` are pure CPU work and import no torch; between them :class:`model.inpainter.Inpainter` runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.imaging import Limits, Picture, decode, decode_mask, encode
from model.masks import Mask, default_dilation, dilate, lay
from model.plan import Plan, make_plan

DEFAULT_FEATHER_PX = 2


@dataclass(frozen=True)
class Task:
    """A picture that is ready for the network."""

    picture: Picture
    #: The widened mask: what the network fills. Nothing outside it changes.
    hole: Mask
    plan: Plan
    dilation_px: int
    feather_px: int

    @property
    def height(self) -> int:
        return int(self.hole.shape[0])

    @property
    def width(self) -> int:
        return int(self.hole.shape[1])

    @property
    def tiles_total(self) -> int:
        return self.plan.tiles_total

    @property
    def nbytes(self) -> int:
        """Memory it holds, in bytes."""
        alpha = self.picture.alpha
        return self.picture.pixels.nbytes + self.hole.nbytes + (0 if alpha is None else alpha.nbytes)


@dataclass(frozen=True)
class Repaired:
    """A finished file."""

    data: bytes
    content_type: str
    #: With its dot: ``.jpg``.
    extension: str
    #: What was done, for the image's record.
    record: dict[str, Any]


def read(
    source: bytes,
    mask: bytes,
    *,
    limits: Limits,
    dilation_px: int | None = None,
    feather_px: int | None = None,
) -> Task:
    """Decode a picture and its mask and plan the work. ``dilation_px`` ``None``: by the size of the picture.

    Raises:
        ImageRejected: the picture cannot be worked on.
        MaskRejected: the mask does not fit it.
    """
    picture = decode(source, limits)
    height, width = picture.pixels.shape[:2]
    painted = decode_mask(mask, limits, width=width, height=height)
    reach = default_dilation(height, width) if dilation_px is None else dilation_px
    # The feather lies in the widened rim, so that what was painted is replaced in full.
    feather = min(DEFAULT_FEATHER_PX if feather_px is None else feather_px, max(reach - 1, 0))
    hole = dilate(painted, reach)
    return Task(picture, hole, make_plan(hole), reach, feather)


def composite(task: Task, fill: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``fill`` (``uint8 [H, W, 3]``) laid into the picture under the feathered hole; outside it nothing changes."""
    return lay(task.picture.pixels, fill, task.hole, task.feather_px)


def write(task: Task, pixels: NDArray[np.uint8]) -> Repaired:
    """The result ``pixels`` (``uint8 [H, W, 3]``) as a file of the source's kind."""
    facts = task.picture.probe
    return Repaired(
        data=encode(task.picture, pixels),
        content_type=facts.content_type,
        extension=facts.extension,
        record={
            "regions": len(task.plan.regions),
            "tiles": task.tiles_total,
            "dilation_px": task.dilation_px,
            "feather_px": task.feather_px,
            "masked_share": round(float(np.count_nonzero(task.hole)) / task.hole.size, 6),
        },
    )

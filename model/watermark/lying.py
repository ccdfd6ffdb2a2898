"""Where a mark without a fixed place lies: over the background and the goods, or over the goods alone.

What goods carry, as a maker's print or a label, lies at another place in each picture as such a mark does. But it moves
with the goods: it never lies over the background, or is a thing of which nothing behind it shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.samples import Spool
from model.watermark.search import Searched, Shape
from model.watermark.template import Template
from model.watermark.windows import Placement

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

#: A picture has a background if this share of its border is of one colour, to so many levels.
_BORDER, _SAME = 0.4, 8
#: Ring around a mark that tells where it lies, from and to this distance in px; share of the ring on the background
#: from which the mark lies over it, and up to which it lies over the goods.
_RING_FROM, _RING_TO, _OVER_GROUND, _OVER_GOODS = 3, 8, 0.25, 0.1
#: Least share and number of the pictures in which a mark lies over the background, and over the goods; and most opacity
#: of what is no thing in the pictures (bench/catalogue.py, draws 3 to 7: .53 and .22 of them or more; in none where a
#: print is kept to the goods).
_LEAST_OVER, _FEWEST_OVER, _MOST_OPACITY = 0.1, 3, 0.9
#: Pictures in which a second mark is looked for, and its least agreement and deviation.
_SEARCHED, _SECOND_COSINE, _SECOND_Z = 6, 0.5, 11.0


@dataclass(frozen=True)
class Lying:
    """Where a mark lies in its pictures."""

    pictures: int
    #: Pictures in which it lies over the background, and over the goods alone.
    over_ground: int
    over_goods: int
    #: Whether most pictures show it more than once, as a pattern.
    repeated: bool
    opacity: float

    @property
    def laid(self) -> bool:
        """Whether it is laid over the pictures: what belongs to goods lies on them alone, or is opaque."""
        least = max(_FEWEST_OVER, _LEAST_OVER * self.pictures)
        seen = min(self.over_ground, self.over_goods) >= least
        return seen and self.opacity <= _MOST_OPACITY and not self.repeated


def lying_of(spool: Spool, template: Template, places: list[Placement]) -> Lying:
    """Where the mark of ``template`` lies, at these places of its samples."""
    shares = [_share_of_ground(spool[one.owner], template.alpha > 0, one) for one in places]
    shape, twice = Shape(template.alpha, template.colour), 0
    for one in places[:_SEARCHED]:
        hits = Searched(spool[one.owner]).hits(shape.scaled(one.factor), _SEARCHED)
        sure = [hit for hit in hits if hit.cosine > _SECOND_COSINE and hit.z > _SECOND_Z]
        far = [abs(hit.top - one.top) + abs(hit.left - one.left) for hit in sure]
        twice += max(far, default=0.0) > one.factor * min(template.alpha.shape)
    return Lying(
        len(places),
        sum(share >= _OVER_GROUND for share in shares),
        sum(share <= _OVER_GOODS for share in shares),
        2 * twice > min(len(places), _SEARCHED),
        template.quality.opacity,
    )


def _share_of_ground(pixels: Pixels, mark: Mask, place: Placement) -> float:
    """The share of the ring around the mark (``bool [h, w]``) that is the picture's background."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    ground = np.median(border, axis=0)
    if (np.abs(border - ground) <= _SAME).all(axis=1).mean() < _BORDER:
        return 0.0
    same = (np.abs(pixels.astype(np.int16) - ground) <= _SAME).all(axis=2)
    labels = cv2.connectedComponents(same.astype(np.uint8))[1]
    outer = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    known = np.zeros(pixels.shape[:2], np.uint8)
    wide, tall = (max(1, round(side * place.factor)) for side in mark.shape[::-1])
    top, left = max(round(place.top), 0), max(round(place.left), 0)
    part = known[top : top + tall, left : left + wide]
    part[:] = cv2.resize(mark.astype(np.uint8), (wide, tall), interpolation=cv2.INTER_NEAREST)[
        : part.shape[0], : part.shape[1]
    ]
    inner, whole = (cv2.dilate(known, np.ones((2 * px + 1, 2 * px + 1), np.uint8)) for px in (_RING_FROM, _RING_TO))
    ring = (whole > 0) & (inner == 0)
    return float((same & np.isin(labels, outer[outer > 0]))[ring].mean()) if ring.any() else 0.0

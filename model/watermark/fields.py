"""Gradients of pictures made comparable: divided by the local contrast, clipped, and summed over many pictures.

Shared gradients add up, others cancel. A sum is measured in standard deviations of a sum without a mark (``z``), so
that one threshold serves 10 samples and 200.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]

#: Side of the window of the local contrast, in px, and the constant added to the contrast, in levels, for grain.
_WINDOW, _FLOOR = 21, 2.0
#: Reach of a normalised gradient around its pixel, in px.
LOCAL_PX = _WINDOW // 2 + 2
#: Limit of normalised gradients: one strong edge of one picture must not dominate the sum.
_MOST = 2.5
_OPPONENTS = np.array(((1 / 3, 1 / 3, 1 / 3), (1 / 2, -1 / 2, 0), (-1 / 4, -1 / 4, 1 / 2)), np.float32)
#: Least mean square of normalised gradients, for the rounding on blank backgrounds.
_LEAST_SQUARE = 0.004


def opponents(pixels: Pixels) -> Values:
    """``uint8 [H, W, 3]`` to luma, red-green and blue-yellow, ``float32 [3, H, W]``: nearly independent in photos."""
    return np.stack(cv2.split(cv2.transform(pixels.astype(np.float32), _OPPONENTS)))


def gradients(planes: Values) -> Values:
    """Forward differences of ``[C, H, W]``: ``[C, 2, H, W]``, x first; the last column and row are 0."""
    out = np.zeros((planes.shape[0], 2, *planes.shape[1:]), np.float32)
    np.subtract(planes[:, :, 1:], planes[:, :, :-1], out=out[:, 0, :, :-1])
    np.subtract(planes[:, 1:], planes[:, :-1], out=out[:, 1, :-1])
    return out


def normalised(steps: Values) -> Values:
    """Gradients ``[C, 2, H, W]`` over the local contrast of their plane, clipped."""
    out = np.empty_like(steps)
    for plane, result in zip(steps, out, strict=True):
        energy = np.asarray(cv2.boxFilter(_energy(plane), -1, (_WINDOW, _WINDOW)), np.float32)
        energy *= np.float32(0.5)
        np.maximum(energy, 0, out=energy)
        np.sqrt(energy, out=energy)
        energy += np.float32(_FLOOR)
        np.divide(plane, energy, out=result)
        np.clip(result, -_MOST, _MOST, out=result)
    return out


def _energy(plane: Values) -> Values:
    """The squared length of gradients ``[2, H, W]``."""
    out = cv2.multiply(plane[0], plane[0])
    return np.asarray(cv2.accumulateSquare(plane[1], out), np.float32)


def field_of(pixels: Pixels) -> Values:
    """The normalised gradients of a picture: ``float32 [3, 2, H, W]``."""
    return normalised(gradients(opponents(pixels)))


def luma_field(pixels: Pixels) -> Values:
    """Of luma alone: ``float32 [2, H, W]``."""
    luma = np.asarray(cv2.transform(pixels.astype(np.float32), _OPPONENTS[:1]), np.float32)
    return np.asarray(normalised(gradients(luma[None]))[0], np.float32)


@dataclass
class Sum:
    """Normalised gradients of aligned pictures, summed: memory does not grow with their number."""

    shape: tuple[int, int]
    planes: int = 3
    count: int = 0
    _total: Values = field(init=False, repr=False)
    _square: Values = field(init=False, repr=False)
    _energy: Values = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._total = np.zeros((self.planes, 2, *self.shape), np.float32)
        self._square = np.zeros((self.planes, *self.shape), np.float32)
        self._energy = np.zeros(self.shape, np.float32)

    def add(self, one: Values, count: int = 1) -> None:
        """``one``: ``float32 [C, 2, H, W]``, the sum over ``count`` pictures that count as one in the deviation."""
        self._total += one
        for index, plane in enumerate(one):
            energy = _energy(plane)
            if index == 0:
                self._energy += np.sqrt(energy)
            cv2.accumulate(cv2.boxFilter(energy, -1, (_WINDOW, _WINDOW)) / 2, self._square[index])
        self.count += count

    def z(self) -> Values:
        """How far each sum lies from 0, in its standard deviations without a mark: ``float32 [C, 2, H, W]``."""
        # Per pixel: where most pictures are blank, only the others contribute to chance.
        deviation = np.sqrt(np.maximum(self._square, 0) + _LEAST_SQUARE * self.count)
        return np.asarray(self._total / deviation[:, None], np.float32)

    def mean(self) -> Values:
        """The mean normalised gradient: ``float32 [C, 2, H, W]``."""
        return np.asarray(self._total / max(self.count, 1), np.float32)

    def energy_z(self) -> Values:
        """Excess of edge energy over the surroundings, in deviations of the picture: ``float32 [H, W]``.

        A mark whose colour lies amid the backgrounds brightens some and darkens others: its edges cancel in the sum,
        and show here. Borders of JPEG blocks show too, so a pixel is compared with the same position in other blocks.
        """
        mean = self._energy / max(self.count, 1)
        wide = cv2.blur(mean, (61, 61))
        excess = np.asarray(mean - wide, np.float32)
        for row in range(8):
            for column in range(8):
                part = excess[row::8, column::8]
                if part.size:
                    part -= np.median(part)
        spread = 1.4826 * float(np.median(np.abs(excess)))
        return np.asarray(excess / max(spread, 1e-3), np.float32)


def strength_map(z: Values) -> Values:
    """The length of ``z`` over directions, the largest over planes: ``float32 [H, W]``."""
    return np.asarray(np.sqrt((z**2).sum(axis=1)).max(axis=0), np.float32)


def significant(z: Values, high: float, low: float, least: int) -> NDArray[np.bool_]:
    """Hysteresis: connected places over ``low`` that hold ``least`` px over ``high``: ``bool [H, W]``."""
    weak = (z > low).astype(np.uint8)
    count, labels = cv2.connectedComponents(weak, connectivity=8)
    strong = np.bincount(labels[z > high], minlength=count)
    kept = strong >= least
    kept[0] = False
    return np.asarray(kept[labels])

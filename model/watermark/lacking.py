"""Parts of a mark that its template lacks: what all carriers share around it, once it is taken off.

The shared gradients of the samples do not show a part that lies on grounds of its own colour in most of them, as the
end of a white text does on white. The mark's colour is known by then. A pixel's steps, over its distance from that
colour, are the steps of the opacity: pictures that could not show the part count for nothing, and dark marks on darker
goods have the right sign.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.outline import enclosed
from model.watermark.palette import palette_of

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Window of the local contrast and of the deviations, in px; the contrast's floor, in levels.
_WINDOW, _FLOOR = 15, 2.0
#: Blur that makes a picture its own ground, in px.
_GROUND = 6.0
#: Distance of the mark's colour from the ground, in local contrasts, beyond which a picture counts no more.
_MOST = 8.0
#: Limit of a step beside that of a mark of the template's opacity, in local contrasts.
_BESIDE = 1.0
#: Least number of pictures, look-alikes as one, that inform about a pixel: two that do about alike.
_LEAST = 1.9
#: Deviations above chance of a pixel at an edge, and of a connected edge: the root of the sum of their squares
#: (outlines of goods that look alike pass at 12: tests/unit/model/watermark/test_look_alikes.py).
_LOW, _FAR = 2.5, 30.0
#: Least steps in an edge, as a share of the template's opacity.
_STEEP = 0.12
#: Error of the template's opacity in its palette.
_COLOUR_ERROR = 0.02


class Agreement:
    """The steps of the mark's opacity at each pixel, by regression over pictures that are added one by one."""

    def __init__(self, shape: tuple[int, int], tint: Values, opacity: float) -> None:
        """``tint``: the colour that is looked for, ``float32 [3]``, at about this ``opacity``."""
        self._tint, self._opacity = tint, np.float32(opacity)
        steps = (2, *shape)
        self._product, self._square = np.zeros(steps, np.float32), np.zeros(shape, np.float32)
        self._products, self._both = np.zeros(shape, np.float32), np.zeros(steps, np.float32)
        self._squares = np.zeros(shape, np.float32)

    def add(self, group: Sequence[tuple[Values, Values]]) -> None:
        """Pictures that look alike, which count as one: each as given and without the mark, ``float32 [h, w, 3]``."""
        product, square = np.zeros_like(self._product), np.zeros_like(self._square)
        for given, clean in group:
            one, own = self._leverage(given, clean)
            product += one
            square += own
        # Many that look alike must not outweigh the others: together they show the part as one picture does at most.
        less = np.minimum(1, _MOST**2 / np.maximum(square, 1e-6))
        product, square = product * less, square * less
        self._product += product
        self._square += square
        self._products += np.square(product).sum(axis=0)
        self._both += product * square
        self._squares += np.square(square)

    def _leverage(self, given: Values, clean: Values) -> tuple[Values, Values]:
        apart = self._tint - np.asarray(cv2.GaussianBlur(clean, (0, 0), _GROUND), np.float32)
        steps = np.zeros((2, *given.shape), np.float32)
        steps[0, :, :-1] = given[:, 1:] - given[:, :-1]
        steps[1, :-1] = given[1:] - given[:-1]
        contrast = np.sqrt(_averaged(np.square(steps).sum(axis=(0, 3)) / 6)) + np.float32(_FLOOR)
        distance = np.sqrt(np.square(apart).sum(axis=2))
        unit = apart / np.maximum(distance, 1)[..., None]
        size = np.minimum(distance / contrast, _MOST)
        # Steps of opacity, times ``size``.
        along = (steps * unit).sum(axis=3) * (size / np.maximum(distance, 1))
        most = self._opacity * size + np.float32(_BESIDE)
        return np.clip(along, -most, most) * size, np.square(size)

    def steps(self) -> Values:
        """The steps of the opacity to the right and down: ``float32 [2, h, w]``."""
        return np.asarray(self._product / np.maximum(self._square, 1e-3), np.float32)

    def z(self) -> Values:
        """How far the steps lie from 0, in their standard deviations: ``float32 [h, w]``; 0 where nothing informs."""
        steps = self.steps()
        rest = self._products - 2 * (steps * self._both).sum(axis=0) + np.square(steps).sum(axis=0) * self._squares
        enough = np.square(self._square) / np.maximum(self._squares, 1e-6)
        # Residuals are smaller than errors the fewer pictures they come from.
        deviation = np.sqrt(np.maximum(_averaged(rest), 0) / 2) / np.maximum(1 - 1 / np.maximum(enough, 1), 0.1)
        z = np.sqrt(np.square(self._product).sum(axis=0)) / (deviation + np.sqrt(self._square) * 0.2 + 1e-3)
        return np.asarray(np.where(enough >= _LEAST, z, 0), np.float32)


def _averaged(values: Values) -> Values:
    return np.asarray(cv2.blur(values, (_WINDOW, _WINDOW)), np.float32)


class Shown:
    """Windows of samples, as given and without the mark of a template."""

    def __init__(self, windows: Pixels, alpha: Values, colour: Values) -> None:
        """``windows``: ``uint8 [N, h, w, 3]``, aligned; the template over a window, 0 beyond it."""
        self._windows, self._mark = windows, alpha[..., None] * colour
        self._through = np.maximum(1 - alpha, 0.05)[..., None]

    def __call__(self, index: np.intp) -> tuple[Values, Values]:
        """One window as given, and without the mark: ``float32 [h, w, 3]``."""
        given = self._windows[index].astype(np.float32)
        return given, np.asarray(np.clip((given - self._mark) / self._through, 0, 255), np.float32)


def parts(shown: Shown, groups: Sequence[NDArray[np.intp]], alpha: Values, colour: Values) -> Mask:
    """The pixels of the mark in the template and around it, with those that it lacks: ``bool [h, w]``.

    ``groups``: indices of windows, look-alikes together; ``alpha`` (``[h, w]``) and ``colour`` (``[h, w, 3]``): the
    template over a window, 0 beyond it.
    """
    where = alpha > 0.05
    level = float(np.percentile(alpha[where], 75))
    found = np.zeros(alpha.shape, np.bool_)
    error = np.full(int(where.sum()), _COLOUR_ERROR, np.float32)
    for tint in palette_of(alpha[where], colour[where] * alpha[where, None], error):
        agreement = Agreement((alpha.shape[0], alpha.shape[1]), tint, level)
        for members in groups:
            agreement.add([shown(index) for index in members])
        steps = agreement.steps()
        steep = np.sqrt(np.square(steps).sum(axis=0)) > _STEEP * level
        edge = _significant(agreement.z() * steep)
        found |= enclosed([steps], edge)
    return found


def _significant(z: Values) -> Mask:
    """Pixels over the least deviation, in connected parts that together stand far enough above chance."""
    above = z > _LOW
    count, labels = cv2.connectedComponents(cv2.dilate(above.astype(np.uint8), np.ones((3, 3), np.uint8)))
    size = np.sqrt(np.bincount(labels[above], np.square(z[above]), minlength=count))
    return np.asarray(above & (size > _FAR)[labels])

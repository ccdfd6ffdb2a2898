"""The rest of a mark: painted pixels that its veil leaves as they are, although they are not the picture's.

Outlines, shadows and soft edges lie beside the body of a mark. Its veil does not explain them, and kept as they are
they would stay as a ghost. They lie at one distance from the body and on one side of it. Such a cell has many pixels,
and their mean difference from the guess tells even a faint line. Between the un-blended body and the picture outside
the guess is good, and takes their place.
"""

from __future__ import annotations

import cv2
import numpy as np

from model.repair.ground import Ground
from model.repair.opacity import Flags, Values

#: Distance from the body up to which its rest is sought, in px, and the sides of the body that are told apart.
REACH_PX, _SIDES = 8, 8
#: Least pixels of a cell. The difference of its mean that shows, in levels and in its own standard errors. The most
#: that one pixel counts, in errors of the guess.
_FEW, _SHOWS, _CLEAR, _MOST = 16, 2.0, 3.0, 3.0
#: Errors of the guess are alike over so many pixels.
_ALIKE = 4
#: Side of the windows by which a shade is judged, in px; fewest of them; and the most that one pixel counts, in errors
#: of the guess.
_WINDOW, _FEW_WINDOWS, _MOST_SHADE = 32, 4, 4.0
_SQUARE = np.ones((3, 3), np.uint8)


def rest_of(ground: Ground, marked: Flags, pixels: Values) -> tuple[Flags, Values, float]:
    """``bool [H, W]``: pixels of the hole beside ``marked`` that are neither the picture's nor under its veil.

    And ``float32 [H, W, 3]``: the picture there, as guessed from what is known around them. ``pixels``: ``float32
    [H, W, 3]``, the picture without the veil.
    """
    hard = marked.astype(np.uint8)
    core = cv2.erode(hard, _SQUARE) > 0
    unknown = ground.inside & ~core
    guess = guess_around(ground, pixels, unknown)
    signed = cv2.GaussianBlur(hard.astype(np.float32), (0, 0), 1.5)
    across, down = cv2.Sobel(signed, cv2.CV_32F, 1, 0), cv2.Sobel(signed, cv2.CV_32F, 0, 1)
    side = np.floor((np.arctan2(down, across) / (2 * np.pi) + 0.5) * _SIDES).astype(np.int64) % _SIDES
    away = cv2.distanceTransform(1 - hard, cv2.DIST_L2, cv2.DIST_MASK_5)
    ring = np.ceil(away).astype(np.int64)
    there = ground.inside & (ring > 0) & (ring <= REACH_PX)
    cell = (side * (REACH_PX + 1) + ring)[there]
    error = np.hypot(ground.error, np.float32(ground.noise))[there]
    shows = np.zeros(_SIDES * (REACH_PX + 1), np.bool_)
    count = np.maximum(np.bincount(cell, minlength=len(shows)), 1)
    for channel in range(3):
        off = np.clip((ground.marked - guess)[there][:, channel], -_MOST * error, _MOST * error)
        mean = np.bincount(cell, off, len(shows)) / count
        spread = np.bincount(cell, np.square(off), len(shows)) / count - mean**2
        shows |= (np.abs(mean) > _CLEAR * np.sqrt(np.maximum(spread, 0) * _ALIKE / count)) & (np.abs(mean) > _SHOWS)
    shows &= count >= _FEW
    # From the body outwards; one ring in which a light edge and a dark one cancel out is no end.
    rings = shows.reshape(_SIDES, -1)
    rings[:, :-1] |= rings[:, 1:]
    rings[:, 0] = True
    rest = np.zeros(marked.shape, np.bool_)
    rings = np.logical_and.accumulate(rings, axis=1)
    rest[there] = rings.ravel()[cell]
    instead = guess if not rest.any() else guess_around(ground, pixels, rest | (unknown & marked))
    return rest, instead, float(rings[:, 1].mean())


def shade_of(ground: Ground, clean: Values, where: Flags) -> tuple[float, float]:
    """The mean opacity of a black mark that is left in ``clean`` (``float32 [H, W, 3]``), and its standard error.

    ``where``: ``bool [H, W]``, the pixels that count. A shadow lies under every letter, a wrong guess under few: the
    error is that of windows' means. Few windows tell nothing: 0 and 1.
    """
    weight = 1 / (np.square(ground.error[where]) + ground.noise**2)
    guess = ground.guess[where].mean(axis=1)
    most = _MOST_SHADE / np.sqrt(weight)
    darker = np.clip(guess - clean[where].mean(axis=1), -most, most)
    rows, columns = np.nonzero(where)
    window = rows // _WINDOW * (where.shape[1] // _WINDOW + 1) + columns // _WINDOW
    _, window = np.unique(window, return_inverse=True)
    shade, light = (np.bincount(window, weight * guess * values) for values in (darker, guess))
    if len(light) < _FEW_WINDOWS:
        return 0.0, 1.0
    total = max(float(light.sum()), 1e-9)
    opacity = float(shade.sum()) / total
    return opacity, float(np.sqrt(np.square(shade - opacity * light).sum())) / total


def guess_around(ground: Ground, pixels: Values, unknown: Flags) -> Values:
    """``float32 [H, W, 3]``: the picture in ``unknown`` (``bool [H, W]``), if ``pixels`` are right elsewhere."""
    known = Ground(pixels, ground.guess, ground.painted, ground.hole, ground.noise)
    return known.refined(unknown)[0].guess

"""Difference of colours: CIEDE2000, and the step across a hole's border measured with it.

Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula", Color Research & Application 30 (2005), eq. 2 to 22.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.hole import Mask
from model.repair.seam import Pixels, lab_of

Values = NDArray[np.float64]

#: Width of the strips on both sides of the border, and of the window over which each is averaged, in px.
STRIP_PX = 3


def delta_e_2000(first: Values, second: Values) -> Values:
    """CIEDE2000 between CIELAB colours, ``[..., 3]`` each; ``[...]``."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(np.asarray(lab, np.float64), -1, 0) for lab in (first, second))
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0
    turn = np.where(grey, 0, (h2 - h1 + 180) % 360 - 180)
    turn = np.where(~grey & (h2 - h1 == 180), 180, turn)
    d_l, d_c = l2 - l1, c2 - c1
    d_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    far = np.abs(h1 - h2) > 180
    h_mean = np.where(grey, h1 + h2, np.where(far, (h1 + h2 + np.where(h1 + h2 < 360, 360, -360)) / 2, (h1 + h2) / 2))
    t = (
        1
        - 0.17 * np.cos(np.radians(h_mean - 30))
        + 0.24 * np.cos(np.radians(2 * h_mean))
        + 0.32 * np.cos(np.radians(3 * h_mean + 6))
        - 0.20 * np.cos(np.radians(4 * h_mean - 63))
    )
    s_l = 1 + 0.015 * (l_mean - 50) ** 2 / np.sqrt(20 + (l_mean - 50) ** 2)
    s_c, s_h = 1 + 0.045 * c_mean, 1 + 0.015 * c_mean * t
    rotation = (
        -2 * np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((h_mean - 275) / 25) ** 2))))
    )
    terms = (d_l / s_l) ** 2 + (d_c / s_c) ** 2 + (d_h / s_h) ** 2 + rotation * (d_c / s_c) * (d_h / s_h)
    return np.asarray(np.sqrt(np.maximum(terms, 0)), np.float64)


def border_steps(pixels: Pixels, hole: Mask) -> Values:
    """CIEDE2000 across the border of ``hole``, for each of its border pixels.

    It compares the mean colours, within a few pixels of the place, of a strip of 3 px inside and one of 3 px outside.
    """
    inside = hole > 0
    kernel = np.ones((2 * STRIP_PX + 1,) * 2, np.uint8)
    outer = (cv2.dilate(hole, kernel) > 0) & ~inside
    inner = inside & (cv2.erode(hole, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=255) == 0)
    edge = inside & (cv2.erode(hole, np.ones((3, 3), np.uint8)) == 0)
    lab = lab_of(pixels)
    window = (4 * STRIP_PX + 1,) * 2
    means, there = [], edge
    for ring in (outer, inner):
        weight = cv2.boxFilter(ring.astype(np.float32), -1, window, normalize=False)
        total = cv2.boxFilter(lab * ring[..., None], -1, window, normalize=False)
        there = there & (weight > 0.5)
        means.append(total / np.maximum(weight, 0.5)[..., None])
    return delta_e_2000(means[0][there], means[1][there])

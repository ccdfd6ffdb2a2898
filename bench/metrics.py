"""Distance of a repair from the original: masked PSNR, SSIM, colour, border; LPIPS is in ``bench/lpips.py``."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.colour_difference import border_steps, delta_e_2000
from model.repair.seam import lab_of

Pixels = NDArray[np.uint8]


def masked_psnr(result: Pixels, original: Pixels, mask: Pixels) -> float:
    """Peak signal-to-noise ratio over the pixels of ``mask`` alone, in dB."""
    error = (result.astype(np.float64) - original)[mask > 0]
    return float(10 * np.log10(255**2 / max(np.mean(error**2), 1e-10)))


def ssim(result: Pixels, original: Pixels) -> float:
    """Structural similarity of the luma of whole pictures (Wang et al., 2004): Gaussian of 1.5 px, 11 px wide."""
    a, b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64) for picture in (result, original))

    def mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5), np.float64)

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    likeness = likeness / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))
    return float(likeness[5:-5, 5:-5].mean())  # only windows that lie inside the picture


def colour_error(result: Pixels, original: Pixels, mask: Pixels) -> float:
    """Mean CIEDE2000 over the pixels of ``mask``."""
    there = mask > 0
    return float(delta_e_2000(lab_of(result)[there], lab_of(original)[there]).mean())


def border_ratio(result: Pixels, original: Pixels, hole: Pixels) -> float:
    """The colour step across the border of ``hole`` over the same step in the original: 1 without a seam."""
    return float(border_steps(result, hole).mean() / max(border_steps(original, hole).mean(), 0.1))


def detail_ratio(result: Pixels, original: Pixels, mask: Pixels) -> float:
    """Fine detail under ``mask`` (``uint8 [H, W]``) over the original's: mean |Laplacian| of all channels."""
    marked = mask > 0
    after, before = (np.abs(cv2.Laplacian(one, cv2.CV_32F))[marked].mean() for one in (result, original))
    return float(after / max(float(before), 0.1))

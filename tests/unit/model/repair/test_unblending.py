"""A known mark is taken off exactly, also where a JPEG keeps colour at half the resolution."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from model.repair.opacity import Values
from model.repair.unblending import unblended

SAMPLES = Path(__file__).parents[4] / "samples"
RED = np.float32((200, 20, 30))


def scene() -> tuple[Values, Values]:
    """A photo, and the opacity of a text over it."""
    stored = cv2.imread(str(next((SAMPLES / "originals").glob("garment-dfd99721.png"))))
    assert stored is not None
    letters = np.zeros(stored.shape[:2], np.uint8)
    cv2.putText(letters, "SHOP", (40, 250), cv2.FONT_HERSHEY_DUPLEX, 2.5, 255, 6, cv2.LINE_8)
    return np.ascontiguousarray(stored[..., ::-1]).astype(np.float32), letters.astype(np.float32) / 510


def coded(pixels: Values, sampling: int) -> Values:
    flags = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    file = cv2.imencode(".jpg", np.rint(pixels[..., ::-1]).astype(np.uint8), flags)[1]
    shown = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert shown is not None
    return np.ascontiguousarray(shown[..., ::-1]).astype(np.float32)


def along(alpha: Values) -> NDArray[np.bool_]:
    inside = (alpha > 0).astype(np.uint8)
    return cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0


def error(result: Values, original: Values, where: NDArray[np.bool_]) -> float:
    return float(np.sqrt(np.square(result - original)[where].mean()))


def test_blending_is_inverted() -> None:
    original, alpha = scene()
    marked = original * (1 - alpha[..., None]) + RED * alpha[..., None]
    clean, seen = unblended(marked, alpha, RED, along(alpha))
    assert clean == pytest.approx(original, abs=1e-2)
    assert (seen == alpha).all()


@pytest.mark.parametrize(
    "sampling", [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422], ids=["4:2:0", "4:2:2"]
)
def test_colour_of_half_resolution_leaves_no_coloured_rim(sampling: int) -> None:
    original, alpha = scene()
    marked = coded(original * (1 - alpha[..., None]) + RED * alpha[..., None], sampling)
    rim = cv2.dilate(along(alpha).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    clean, seen = unblended(marked, alpha, RED, along(alpha))
    naive = (marked - alpha[..., None] * RED) / (1 - alpha[..., None])
    assert error(clean, original, rim) < 0.6 * error(naive, original, rim)
    assert (seen != alpha).any()


def test_full_resolution_keeps_the_opacity_of_each_pixel() -> None:
    original, alpha = scene()
    marked = coded(original * (1 - alpha[..., None]) + RED * alpha[..., None], cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    _, seen = unblended(marked, alpha, RED, along(alpha))
    assert (seen == alpha).all()

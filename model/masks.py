"""From the mask a user gives to the hole the network fills and the weights its result is laid in with.

A mask is ``uint8 [H, W]``, 255 = repair, 0 = keep. It is widened a little, because marks have soft edges and JPEG
smears them; the seam is feathered inside the widened rim, so that nothing outside it ever changes.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]


def default_dilation(height: int, width: int) -> int:
    """3 px for small pictures to 5 px for large ones (from about 2,000 px of mean side on)."""
    return int(np.clip(round(3 + 2 * (np.sqrt(height * width) - 500) / 1500), 3, 5))


def dilate(mask: Mask, px: int | None = None) -> Mask:
    """``mask`` widened by ``px`` in every direction (``None``: by the size of the picture)."""
    reach = default_dilation(*mask.shape) if px is None else px
    if reach == 0:
        return mask
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(mask, kernel), np.uint8)


def blend_weights(hole: Mask, feather_px: int) -> NDArray[np.float32]:
    """``float32 [H, W]`` in [0, 1]: 0 outside ``hole``, rising to 1 over ``feather_px`` inwards of its border."""
    if feather_px == 0:
        return (hole > 0).astype(np.float32)
    # Beyond the picture's own border there is nothing to blend with: pad with "inside".
    padded = cv2.copyMakeBorder(hole, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    return np.asarray(np.clip(depth / (feather_px + 1), 0, 1), np.float32)


def lay(pixels: Mask, fill: Mask, hole: Mask, feather_px: int) -> Mask:
    """``fill`` (``uint8 [H, W, C]``) laid into ``pixels`` under the feathered ``hole``; outside it nothing changes."""
    result = pixels.copy()
    left, top, width, height = cv2.boundingRect(hole)
    # One pixel more on each side, so that distances to the hole's border are seen from within the window.
    window = np.s_[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1]
    inside = hole[window] > 0
    weights = blend_weights(hole[window], feather_px)[inside][:, None]
    blended = pixels[window][inside] * (1 - weights) + fill[window][inside] * weights
    result[window][inside] = np.rint(blended).astype(np.uint8)
    return result

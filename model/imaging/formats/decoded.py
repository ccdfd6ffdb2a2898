"""Reads AVIF and HEIC: 8 bits a sample by Pillow, more by a deeper decoder as 16."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from model.errors import ImageRejected
from model.imaging.picture import Page, Samples
from model.imaging.probing import DAMAGE, damaged, load


def page_of(image: Image.Image, deep: Callable[[], Samples | None]) -> Page:
    """The picture; ``deep`` hands out ``uint16 [H, W, C]`` where it has more than 8 bits a sample, else ``None``.

    Raises:
        ImageRejected: the pixels are damaged.
    """
    try:
        samples = deep()
    except DAMAGE as error:
        raise damaged(error, ImageRejected, "image") from None
    if samples is None:
        load(image, ImageRejected, "image")
        if image.mode not in ("L", "RGB", "RGBA"):
            image = image.convert("RGBA" if "A" in image.mode else "RGB")
        samples = np.array(image, np.uint8).reshape(image.height, image.width, -1)
    channels = samples.shape[2]
    return Page(samples, "grey" if channels < 3 else "rgb", alpha=channels in (2, 4))


def with_channels(samples: Samples, channels: int) -> Samples:
    """``samples`` of grey in ``channels`` of red, green and blue, or the other way round; alpha stays alpha."""
    order = {(1, 3): [0, 0, 0], (2, 4): [0, 0, 0, 1], (3, 1): [0], (4, 2): [0, 3]}.get((samples.shape[2], channels))
    return samples if order is None else samples[..., order]

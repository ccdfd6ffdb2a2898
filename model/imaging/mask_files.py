"""A mask's file, picture or JSON, as ``uint8 [H, W]`` of the picture's size.

The mask is the alpha channel where that varies, else the luminance. A mask of another size is scaled when
its shape is the picture's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import MaskRejected
from model.imaging import shapes
from model.imaging.placing import Placement, place
from model.imaging.probing import Limits, check_sound, load, opened, orientation, probe_picture_mask
from model.imaging.turning import as_seen


@dataclass(frozen=True)
class MaskProbe:
    """The facts of a mask's header."""

    content_type: str
    #: Width and height as a person sees it; ``None`` for shapes measured in the picture's own pixels.
    size: tuple[int, int] | None


def probe_mask(data: bytes, limits: Limits) -> MaskProbe:
    """Read the header of a mask that is a picture, or the whole of one that is JSON.

    Raises:
        MaskRejected: not a mask, or over ``limits``.
    """
    if shapes.is_json(data):
        if len(data) > limits.max_bytes:
            raise MaskRejected("mask_too_large", f"The mask has {len(data)} bytes; the limit is {limits.max_bytes}.")
        return MaskProbe("application/json", _held(shapes.parse(data).measured_in, limits))
    facts = probe_picture_mask(data, limits)
    return MaskProbe(facts.content_type, (facts.width, facts.height))


def check_fit(size: tuple[int, int] | None, *, width: int, height: int) -> None:
    """Raises:
    MaskRejected: a mask of ``size`` is not of the shape of a picture of ``width`` x ``height``.
    """
    if size is None or size == (width, height):
        return
    # Both sides of a scaled copy, the smaller of the two, are rounded. One side equal and the other not is no copy.
    (wide, tall), (less_wide, less_tall) = sorted(((width, height), size), reverse=True)
    off = abs(less_wide * tall / wide - less_tall)
    if size[0] == width or size[1] == height or off > 0.5 + 0.5 * tall / wide:
        raise MaskRejected(
            "mask_size_mismatch",
            f"The mask is {size[0]}x{size[1]}, its picture {width}x{height}: "
            "send a mask of the picture's size or shape.",
        )


def decode_mask(
    data: bytes,
    limits: Limits,
    *,
    width: int,
    height: int,
    inverted: bool = False,
    placement: Placement | None = None,
) -> NDArray[np.uint8]:
    """A mask's file as ``uint8 [height, width]``, 0 keep to 255 repair; between them lie soft edges.

    ``inverted``: black is what is repaired. ``placement``: how a mask of another picture's size is laid on this one;
    without it such a mask must have the picture's shape.

    Raises:
        MaskRejected: not a mask, not of the picture's shape, or nothing of it is half marked or more.
    """
    size = probe_mask(data, limits).size
    if placement is None:
        check_fit(size, width=width, height=height)
    if shapes.is_json(data):
        wide, tall = size or (width, height)
        values = shapes.drawn(shapes.parse(data), width=wide, height=tall)
    else:
        values = pixel_mask(data, limits)
    if inverted:
        values = 255 - values
    if placement is not None:
        values = place(values, placement, width=width, height=height)
    if values.shape != (height, width):
        # Bilinear with a support that grows where it shrinks: thin strokes do not fall between the samples.
        values = np.array(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR), np.uint8)
    if values.max() < 128:
        raise MaskRejected("mask_empty", "The mask marks nothing: paint what is to be removed in white.")
    return values


def pixel_mask(data: bytes, limits: Limits) -> NDArray[np.uint8]:
    """A mask that is a picture, as ``uint8 [H, W]`` in the size of its file, as a person sees it.

    Raises:
        MaskRejected: not a picture, over ``limits``, or damaged.
    """
    with opened(data, limits, MaskRejected, "mask") as image:
        turn = orientation(data, image)
        check_sound(data, image, MaskRejected, "mask")
        load(image, MaskRejected, "mask")
        if "A" in image.getbands() or "transparency" in image.info:
            alpha = np.asarray(image.convert("RGBA"), np.uint8)[..., 3]
            if alpha.min() != alpha.max():
                return np.ascontiguousarray(as_seen(alpha, turn))
        if image.mode.startswith("I;16"):
            return np.ascontiguousarray(as_seen((np.asarray(image) >> 8).astype(np.uint8), turn))
        return np.ascontiguousarray(as_seen(np.asarray(_plain(image).convert("L"), np.uint8), turn))


def _plain(image: Image.Image) -> Image.Image:
    """``image`` without its constant alpha."""
    return image.convert("RGB") if image.mode in ("P", "PA", "RGBA", "LA") else image


def _held(size: tuple[int, int] | None, limits: Limits) -> tuple[int, int] | None:
    if size is not None and size[0] * size[1] > limits.max_pixels:
        raise MaskRejected(
            "mask_too_many_pixels", f"The mask is {size[0]}x{size[1]}; the limit is {limits.max_pixels} pixels in all."
        )
    return size

"""A mask's file, picture or JSON, as ``uint8 [H, W]`` of the picture's size.

The mask is the alpha channel where that is drawn, else the luminance (:func:`_drawn_alpha` states the rule). A mask
of another size is scaled when its shape is the picture's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import MaskRejected
from model.imaging import shapes
from model.imaging.formats import png_chunks
from model.imaging.placing import Placement, place
from model.imaging.probing import Limits, check_sound, load, opened, orientation, probe_picture_mask
from model.imaging.turning import as_seen

#: Largest share of a picture that a mask may mark, unless another limit is asked for.
MAX_MARKED_SHARE = 0.9
#: Alpha with a smaller share of transparent pixels is not the mask where the other pixels are black and white.
_LEAST_TRANSPARENT_SHARE = 0.01
#: Black and white: this share of the pixels lies within so many levels of 0 or 255.
_DRAWING_SHARE, _DRAWING_LEVELS = 0.95, 8
#: A photo: this share of the pixels is coloured and of medium brightness, in more than so many different colours.
_PHOTO_SHARE, _PHOTO_COLOURS = 0.03, 32
#: Coloured: the channels differ by more than this. Of medium brightness: their mean lies between these.
_LEAST_CHROMA, _DARK, _LIGHT = 12, 32, 224
#: Every n-th pixel of every n-th row tells a photo.
_PHOTO_STEP = 2
#: The least value that marks.
MARKED = 128


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
    threshold: int | None = None,
    max_marked_share: float = MAX_MARKED_SHARE,
    placement: Placement | None = None,
) -> NDArray[np.uint8]:
    """A mask's file as ``uint8 [height, width]``, 0 keep to 255 repair; between them lie soft edges.

    ``inverted``: black is what is repaired. ``threshold``: see :func:`pixel_mask`. ``max_marked_share``: the largest
    share of the picture that the mask may mark. ``placement``: how a mask of another picture's size is laid on this
    one; without it such a mask must have the picture's shape.

    Raises:
        MaskRejected: not a mask, not of the picture's shape, nothing of it is half marked or more, or too much is.
    """
    size = probe_mask(data, limits).size
    if placement is None:
        check_fit(size, width=width, height=height)
    if shapes.is_json(data):
        wide, tall = size or (width, height)
        stored: NDArray[Any] = shapes.drawn(shapes.parse(data), width=wide, height=tall)
        values = np.asarray(stored, np.uint8)
    else:
        stored = _stored_mask(data, limits, any_colour=threshold is not None)
        values = _eight_bits(stored, threshold)
    if inverted:
        values = 255 - values
    if placement is not None:
        values = place(values, placement, width=width, height=height)
    if values.shape != (height, width):
        # Bilinear with a support that grows where it shrinks: thin strokes do not fall between the samples.
        values = np.array(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR), np.uint8)
    if values.max() < MARKED:
        raise MaskRejected("mask_empty", f"The mask marks nothing: {_advice(data, stored, threshold, inverted)}.")
    marked_share = np.count_nonzero(values >= MARKED) / values.size
    if marked_share > max_marked_share:
        other_way = "without mask_inverted" if inverted else "with mask_inverted"
        raise MaskRejected(
            "mask_covers_nearly_all",
            f"The mask marks {marked_share:.1%} of the picture; the limit is {max_marked_share:.0%}. If black, or what "
            f"is transparent, is to be removed, send it {other_way}; if nearly all is meant, raise max_marked_share.",
        )
    return values


def pixel_mask(data: bytes, limits: Limits, threshold: int | None = None) -> NDArray[np.uint8]:
    """A mask that is a picture, as ``uint8 [H, W]`` in the size of its file, as a person sees it.

    ``threshold``: the least value, in the file's own depth, that marks, in full; 1: all that is not zero. ``None``:
    values are scaled to 8 bits and kept, soft edges too.

    Raises:
        MaskRejected: not a picture, over ``limits``, or damaged; a photo, and no threshold.
    """
    return _eight_bits(_stored_mask(data, limits, any_colour=threshold is not None), threshold)


def _eight_bits(stored: NDArray[Any], threshold: int | None) -> NDArray[np.uint8]:
    if threshold is not None:
        return np.where(stored >= threshold, np.uint8(255), np.uint8(0))
    return (stored >> 8).astype(np.uint8) if stored.dtype == np.uint16 else np.asarray(stored, np.uint8)


def _stored_mask(data: bytes, limits: Limits, *, any_colour: bool) -> NDArray[Any]:
    """The mask's values in the file's depth, ``uint8`` or ``uint16 [H, W]``, as a person sees it."""
    with opened(data, limits, MaskRejected, "mask") as image:
        turn = orientation(data, image)
        check_sound(data, image, MaskRejected, "mask")
        load(image, MaskRejected, "mask")
        values = _drawn_alpha(image)
        if values is None:
            if not any_colour and _is_photo(image):
                raise MaskRejected(
                    "mask_unreadable",
                    "The mask is coloured as a photo is: paint what is to be removed in white on black, or on a "
                    "transparent ground. To take its brightness all the same, ask for a mask_threshold.",
                )
            values = _luminance(image)
        return np.ascontiguousarray(as_seen(values, turn))


def _luminance(image: Image.Image) -> NDArray[Any]:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    return np.asarray(_plain(image).convert("L"), np.uint8)


def _drawn_alpha(image: Image.Image) -> NDArray[np.uint8] | None:
    """The alpha channel where that is the mask; ``None``: the luminance is.

    Alpha is not the mask where it is constant, or no pixel is half transparent. Nor is it where less than 1 % of the
    pixels are and the others are a drawing in both black and white: some stray pixels of alpha do not tip a mask.
    """
    if "A" not in image.getbands() and "transparency" not in image.info:
        return None
    alpha = np.asarray(image.convert("RGBA"), np.uint8)[..., 3]
    opaque = alpha >= MARKED
    transparent_share = 1 - np.count_nonzero(opaque) / opaque.size
    if alpha.min() == alpha.max() or transparent_share == 0:
        return None
    if transparent_share < _LEAST_TRANSPARENT_SHARE:
        shown = _luminance(image)[opaque]
        black, white = shown <= _DRAWING_LEVELS, shown >= 255 - _DRAWING_LEVELS
        if black.any() and white.any() and np.mean(black | white) >= _DRAWING_SHARE:
            return None
    return alpha


def _is_photo(image: Image.Image) -> bool:
    """Whether the picture is coloured as photos are; one without colour cannot be told from a softly painted mask."""
    if image.mode in ("1", "L", "LA") or image.mode.startswith(("I", "F")):
        return False
    colours = np.asarray(_plain(image).convert("RGB"), np.uint8)[::_PHOTO_STEP, ::_PHOTO_STEP].reshape(-1, 3)
    chroma = colours.max(axis=1) - colours.min(axis=1)
    mean = colours.mean(axis=1)
    coloured = colours[(chroma > _LEAST_CHROMA) & (mean > _DARK) & (mean < _LIGHT)]
    if len(coloured) < _PHOTO_SHARE * len(colours):
        return False
    _, counts = np.unique((coloured >> 4).astype(np.intp) @ (256, 16, 1), return_counts=True)
    return int(np.count_nonzero(counts >= max(2, len(colours) / 10_000))) > _PHOTO_COLOURS


def _advice(data: bytes, stored: NDArray[Any], threshold: int | None, inverted: bool) -> str:
    """What helps where a mask marks nothing."""
    top = np.iinfo(stored.dtype).max
    most, least = int(stored.max()), int(stored.min())
    if inverted:
        return f"with mask_inverted, black marks, and its lowest value is {least} of {top}"
    if most == 0 and data.startswith(png_chunks.SIGNATURE) and png_chunks.header(data).depth == 16:
        return "all of its values are near 0 of 65535. Save it with 8 bits a sample, white where it marks"
    if most == 0:
        return "all of it is black. Paint what is to be removed in white"
    if threshold is not None:
        return f"its highest value, {most} of {top}, is under the mask_threshold of {threshold}"
    return (
        f"its highest value is {most} of {top}, and half of that or more marks. Ask for a mask_threshold of {most} "
        "or less (1: all that is not zero), or paint what is to be removed in white"
    )


def _plain(image: Image.Image) -> Image.Image:
    """``image`` without its alpha."""
    return image.convert("RGB") if image.mode in ("P", "PA", "RGBA", "LA") else image


def _held(size: tuple[int, int] | None, limits: Limits) -> tuple[int, int] | None:
    if size is not None and size[0] * size[1] > limits.max_pixels:
        raise MaskRejected(
            "mask_too_many_pixels", f"The mask is {size[0]}x{size[1]}; the limit is {limits.max_pixels} pixels in all."
        )
    return size

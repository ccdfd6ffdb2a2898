"""Masks of every kind: what they mark, how they are scaled, and what is refused."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.errors import MaskRejected
from model.imaging import Limits
from model.imaging.mask_files import check_fit, decode_mask, probe_mask
from model.repair.hole import split_soft

LIMITS = Limits(max_bytes=10_000_000, max_pixels=1_000_000)
WIDTH, HEIGHT = 64, 48


def half() -> NDArray[np.uint8]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, :32] = 255
    return mask


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def mask_file(mode: str) -> bytes:
    """A mask whose left half is marked, in each way people write one."""
    grey = Image.fromarray(half())
    if mode in ("RGBA", "LA"):
        black = Image.new(mode, grey.size, (0,) * len(mode))
        black.putalpha(grey)
        return file_of(black)
    if mode == "opaque RGBA":
        return file_of(grey.convert("RGBA"))
    if mode == "16 bits":
        return file_of(Image.fromarray(half().astype(np.uint16) * 257))
    if mode in ("JPEG", "WEBP", "BMP", "GIF", "TIFF"):
        return file_of(grey, mode)
    return file_of(grey.convert(mode))


def decoded(data: bytes, **options: Any) -> NDArray[np.uint8]:
    return decode_mask(data, LIMITS, width=WIDTH, height=HEIGHT, **options)


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "RGB", "P", "RGBA", "LA", "opaque RGBA", "16 bits", "JPEG", "WEBP", "BMP", "GIF", "TIFF"],
)
def test_masks_are_read_from_alpha_or_luminance(mode: str) -> None:
    mask = decoded(mask_file(mode))
    assert (mask[:, :30] > 250).all()
    assert (mask[:, 34:] < 5).all()


def test_inverted_masks_mark_what_is_black() -> None:
    assert np.array_equal(decoded(mask_file("L"), inverted=True), 255 - half())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_masks_own_orientation_is_respected(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = Image.fromarray(half())
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    if orientation in stored:
        turned = turned.transpose(stored[orientation])
    assert np.array_equal(decoded(file_of(turned, exif=exif)), half())


@pytest.mark.parametrize("scale", [0.5, 2, 3.3])
def test_masks_of_the_same_shape_are_scaled(scale: float) -> None:
    size = round(WIDTH * scale), round(HEIGHT * scale)
    mask = decoded(file_of(Image.fromarray(half()).resize(size)))
    assert mask.shape == (HEIGHT, WIDTH)
    assert (mask[:, :30] > 200).all()
    assert (mask[:, 34:] < 50).all()


@pytest.mark.parametrize(
    ("whole", "copy"), [((4000, 2667), (160, 107)), ((145, 160), (73, 80)), ((1333, 2000), (200, 300))]
)
def test_a_rounded_copy_fits_its_picture_and_a_picture_its_rounded_copy(
    whole: tuple[int, int], copy: tuple[int, int]
) -> None:
    check_fit(copy, width=whole[0], height=whole[1])
    check_fit(whole, width=copy[0], height=copy[1])
    for other in ((copy[0], copy[1] + 2), (copy[0] + 3, copy[1])):
        for size, (width, height) in ((other, whole), (whole, other)):
            with pytest.raises(MaskRejected):
                check_fit(size, width=width, height=height)


def test_shapes_mark_what_they_cover() -> None:
    shapes = {
        "boxes": [[2, 3, 10, 5]],
        "polygons": [[30, 10, 50, 10, 50, 30, 30, 30]],
        "rle": [{"size": [HEIGHT, WIDTH], "counts": [0, 2, HEIGHT * WIDTH - 2]}],
    }
    mask = decoded(json.dumps(shapes).encode())
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    wanted[3:8, 2:12] = 255
    wanted[10:31, 30:51] = 255
    wanted[:2, 0] = 255
    assert np.array_equal(mask, wanted)


def packed(counts: list[int]) -> str:
    """COCO's compressed string, written after its definition: 5 bits a character, differences from the third on."""
    out = ""
    for index, count in enumerate(counts):
        value = count - (counts[index - 2] if index > 2 else 0)
        while True:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            out += chr((bits | (0x20 if more else 0)) + 48)
            if not more:
                break
    return out


def test_compressed_run_lengths_are_those_of_coco() -> None:
    flat = half().T.reshape(-1) > 0
    changes = np.flatnonzero(np.diff(np.concatenate(([False], flat, [not flat[-1]]))))
    counts = [int(count) for count in np.diff(np.concatenate(([0], changes)))]
    shapes = {"rle": [{"size": [HEIGHT, WIDTH], "counts": packed(counts)}]}
    assert np.array_equal(decoded(json.dumps(shapes).encode()), half())
    # The example of cocoapi's documentation: M = [0 0 1 1 1 0 1] has counts 2 3 1 1.
    assert packed([2, 3, 1, 1]) == "231N"


def test_shapes_of_a_stated_size_are_scaled() -> None:
    mask = decoded(json.dumps({"size": [128, 96], "boxes": [[0, 0, 64, 96]]}).encode())
    assert (mask[:, :30] == 255).all()
    assert not mask[:, 34:].any()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"nothing", "mask_unreadable"),
        (file_of(Image.new("L", (64, 47), 255)), "mask_size_mismatch"),
        (file_of(Image.new("L", (48, 64), 255)), "mask_size_mismatch"),
        (file_of(Image.new("L", (64, 48), 0)), "mask_empty"),
        (b'{"boxes": [[1, 2, 3]]}', "mask_unreadable"),
        (b'{"boxes": [[1, 2, 3, NaN]]}', "mask_unreadable"),
        (b'{"circles": []}', "mask_unreadable"),
        (b'{"polygons": [[1, 2, 3, 4, 5, 6, 7]]}', "mask_unreadable"),
        (b'{"boxes": []}', "mask_empty"),
        (b'{"size": [10, 48], "boxes": [[0, 0, 5, 5]]}', "mask_size_mismatch"),
        (b'{"rle": [{"size": [48, 64], "counts": [5]}]}', "mask_unreadable"),
        (b'{"rle": [{"size": [48, 64], "counts": "\\u00ff"}]}', "mask_unreadable"),
        (b'{"size": [60000, 60000], "boxes": [[0, 0, 5, 5]]}', "mask_too_many_pixels"),
        (b'{"boxes": ' + b"[" * 5000, "mask_unreadable"),
    ],
)
def test_masks_that_do_not_fit_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(MaskRejected) as refusal:
        decoded(data)
    assert refusal.value.code == code


def test_a_mask_is_probed_without_its_picture() -> None:
    assert probe_mask(mask_file("L"), LIMITS).size == (WIDTH, HEIGHT)
    assert probe_mask(b'{"boxes": []}', LIMITS).content_type == "application/json"


def test_soft_edges_beyond_the_widened_mark_join_the_hole_by_their_strength() -> None:
    painted = np.zeros((40, 80), np.uint8)
    painted[:, 30:] = np.clip(255 - 8 * np.arange(50), 0, 255)
    hole, soft = split_soft(painted, reach=3)
    assert soft is not None
    assert (hole[:, 30:58] == 255).all()
    assert not hole[:, 60:].any()
    assert (soft[hole == 0] == 0).all()
    assert (soft[:, 50:58] > 0).all()
    hard, none = split_soft(half(), reach=3)
    assert none is None
    assert (hard[:, :35] == 255).all()


def product(erased: bool = False) -> Image.Image:
    """A picture of goods with an alpha channel; ``erased``: its mark is erased to transparent."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    colours = np.stack((columns * 3, rows * 4, 255 - rows * 3, np.full_like(rows, 255)), axis=2).astype(np.uint8)
    if erased:
        colours[40:44, 50:60, 3] = 0
    return Image.fromarray(colours, "RGBA")


def test_a_mark_that_is_erased_to_transparent_is_the_mask_when_inverted() -> None:
    data = file_of(product(erased=True))
    mask = decoded(data, inverted=True)
    assert (mask[40:44, 50:60] == 255).all()
    assert np.count_nonzero(mask) == 40
    assert refused(data) == "mask_covers_nearly_all"


@pytest.mark.parametrize("alpha", [0, 100, 254])
def test_a_stray_pixel_of_alpha_does_not_tip_a_mask(alpha: int) -> None:
    drawing = Image.fromarray(half()).convert("RGBA")
    drawing.putpixel((60, 3), (0, 0, 0, alpha))
    assert np.array_equal(decoded(file_of(drawing)), half())


def test_a_small_mark_on_a_transparent_ground_is_the_mask_whatever_its_colour() -> None:
    for colour in ((0, 0, 0), (255, 255, 255), (200, 30, 30)):
        for ground in ((0, 0, 0, 0), (255, 255, 255, 0)):
            layer = Image.new("RGBA", (WIDTH, HEIGHT), ground)
            layer.paste((*colour, 255), (50, 40, 54, 43))
            mask = decoded(file_of(layer))
            assert (mask[40:43, 50:54] == 255).all()
            assert np.count_nonzero(mask) == 12


def test_a_photo_is_no_mask() -> None:
    painted = product().convert("RGB")
    painted.paste((255, 0, 0), (4, 4, 20, 9))
    data = file_of(painted)
    with pytest.raises(MaskRejected, match="photo") as refusal:
        decoded(data)
    assert refusal.value.code == "mask_unreadable"
    assert decoded(data, threshold=128).any()


def test_a_mask_of_nearly_all_is_refused_unless_it_is_asked_for() -> None:
    data = file_of(Image.new("L", (WIDTH, HEIGHT), 255))
    assert refused(data) == "mask_covers_nearly_all"
    assert refused(b'{"units": "relative", "boxes": [[0, 0, 1, 0.95]]}') == "mask_covers_nearly_all"
    assert decoded(data, max_marked_share=1).min() == 255
    assert refused(mask_file("L"), max_marked_share=0.4) == "mask_covers_nearly_all"


@pytest.mark.parametrize(
    ("values", "most"),
    [
        (half() // 255, "1 of 255"),
        (half() // 2, "127 of 255"),
        (half().astype(np.uint16), "255 of 65535"),
        (half().astype(np.uint16) // 255, "1 of 65535"),
    ],
)
def test_faint_masks_are_read_on_request_and_else_refused_with_advice(values: NDArray[Any], most: str) -> None:
    data = file_of(Image.fromarray(values))
    with pytest.raises(MaskRejected, match=f"highest value is {most}.*mask_threshold") as refusal:
        decoded(data)
    assert refusal.value.code == "mask_empty"
    assert np.array_equal(decoded(data, threshold=1), half())
    assert np.array_equal(decoded(data, threshold=int(values.max()), inverted=True), 255 - half())


def refused(data: bytes, **options: Any) -> str:
    with pytest.raises(MaskRejected) as refusal:
        decoded(data, **options)
    return refusal.value.code

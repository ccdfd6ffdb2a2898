"""Cut-outs: a mark on transparent ground becomes transparent, the outline of the goods stays, nothing else changes."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from bench.corpus.mark import png
from model.imaging import Limits
from model.imaging.coding import decode
from model.repair.preview import preview
from model.repair.task import Repaired, Task, read, write

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
HEIGHT, WIDTH = 120, 160
CENTRE, RADIUS = (70, 60), 40


def goods() -> NDArray[np.uint8]:
    """A disc of one colour with a smooth outline, black under transparency: ``uint8 [H, W, 4]``."""
    large = np.zeros((HEIGHT * 8, WIDTH * 8), np.uint8)
    cv2.circle(large, (CENTRE[0] * 8, CENTRE[1] * 8), RADIUS * 8, 255, -1)
    alpha = np.asarray(cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
    colour = np.where(alpha[..., None] > 0, np.array((200, 60, 40), np.uint8), np.uint8(0))
    return np.dstack((colour, alpha))


def mark() -> NDArray[np.uint8]:
    """A bar over the ground and the lower outline of the goods, 255 where it lies."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[88:97, 20:150] = 255
    return drawn


def marked(strength: int) -> NDArray[np.uint8]:
    """The goods with a white mark of ``strength`` of 255 over them."""
    layer = Image.new("RGBA", (WIDTH, HEIGHT), "white")
    layer.putalpha(Image.fromarray(np.where(mark() > 0, np.uint8(strength), np.uint8(0))))
    picture = Image.fromarray(goods())
    picture.alpha_composite(layer)
    return np.array(picture)


def file_of(samples: NDArray[np.uint8], kind: str) -> bytes:
    image, out = Image.fromarray(samples), io.BytesIO()
    match kind:
        case "png deep":
            return bytes(imagecodecs.png_encode(samples.astype(np.uint16) * 257))
        case "png grey":
            image.convert("LA").save(out, "PNG")
        case "png key":
            keyed = np.where(samples[..., 3:] > 0, samples[..., :3], np.uint8(0))
            Image.fromarray(keyed).save(out, "PNG", transparency=(0, 0, 0))
        case "png palette":
            image.quantize(64, method=Image.Quantize.FASTOCTREE).save(out, "PNG")
        case "webp":
            image.save(out, "WEBP", lossless=True, exact=True)
        case "webp lossy":
            image.save(out, "WEBP", quality=90, exact=True)
        case "avif":
            image.save(out, "AVIF", quality=90)
        case "heic":
            image.save(out, "HEIF", quality=90)
        case "tiff" | "tiff premultiplied":
            extra = "unassalpha" if kind == "tiff" else "assocalpha"
            tifffile.imwrite(out, samples, photometric="rgb", extrasamples=[extra])
        case _:
            image.save(out, kind.upper())
    return out.getvalue()


def results(task: Task, alpha: NDArray[np.uint8] | None = None) -> list[NDArray[np.uint8]]:
    """What a network could give: one colour in the hole, and ``alpha`` where it is asked for alpha."""
    out = []
    for number, part in enumerate(task.parts):
        is_alpha = number > 0
        assert not (is_alpha and alpha is None), "the network is not needed for alpha"
        fill = np.full(part.picture.pixels.shape, (200, 60, 40), np.uint8)
        if is_alpha and alpha is not None:
            fill = np.repeat(alpha[..., None], 3, axis=2)
        out.append(np.where(part.hole[..., None] > 0, fill, part.picture.pixels))
    return out


def repaired(data: bytes, alpha: NDArray[np.uint8] | None = None) -> tuple[Repaired, Task]:
    task = read(data, png(mark()), limits=LIMITS)
    return write(task, results(task, alpha)), task


def samples_of(data: bytes) -> NDArray[Any]:
    return decode(data, LIMITS).pages[0].samples


#: By kind: how far alpha of ground and goods may be off, how far the outline.
KINDS = {
    "png": (0, 40), "png deep": (0, 40), "png grey": (0, 40), "png palette": (0, 70), "png key": (0, 255),
    "gif": (0, 255), "webp": (0, 40), "webp lossy": (0, 40), "tiff": (0, 40), "avif": (6, 60), "heic": (8, 90),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_over_ground_and_goods_leaves_alpha_as_if_it_had_never_been(kind: str) -> None:
    exactly, outline = KINDS[kind]
    strength = 255 if kind in ("gif", "png key") else 160
    data = file_of(marked(strength), kind)
    result, task = repaired(data, goods()[..., 3])
    assert result.record["alpha"] == "repaired"
    before, after = samples_of(data), samples_of(result.data)
    inside, depth = task.hole > 0, np.iinfo(after.dtype).max // 255
    true = goods()[..., 3].astype(int)
    error = np.abs(after[..., -1] // depth - true)
    border = cv2.dilate(((true > 0) & (true < 255)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert error[inside & ~border].max() <= exactly
    assert error[inside & border].max() <= outline
    if exactly == 0 and kind != "webp lossy":
        assert np.array_equal(after[~inside], before[~inside])
        stayed_clear = inside & (after[..., -1] == 0)
        assert not (after[stayed_clear][:, :-1] == np.iinfo(after.dtype).max).all(axis=1).any(), (
            "the mark is still there"
        )


def test_a_mark_of_one_strength_needs_no_network_for_alpha() -> None:
    _, task = repaired(file_of(marked(160), "png"))
    assert len(task.parts) == 1


def test_alpha_under_opaque_paint_is_continued_by_the_network_and_its_outline_cleaned() -> None:
    blurred = np.asarray(cv2.GaussianBlur(goods()[..., 3], (0, 0), 2.5), np.uint8)
    # An island far from the goods, as networks draw them.
    blurred[90:94, 130:136] = 180
    result, task = repaired(file_of(marked(255), "png"), blurred)
    assert len(task.parts) == 2
    alpha = samples_of(result.data)[..., -1]
    true = goods()[..., 3]
    assert not alpha[(task.hole > 0) & (cv2.dilate(true, np.ones((7, 7), np.uint8)) == 0)].any()
    assert (alpha[(task.hole > 0) & (cv2.erode(true, np.ones((7, 7), np.uint8)) == 255)] == 255).all()
    between = np.count_nonzero((alpha > 8) & (alpha < 247) & (task.hole > 0))
    assert between < np.count_nonzero((blurred > 8) & (blurred < 247) & (task.hole > 0)) / 2


def test_a_soft_shadow_is_not_made_an_outline() -> None:
    shadow = np.dstack([np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))])
    layer = Image.new("RGBA", (WIDTH, HEIGHT), "white")
    layer.putalpha(Image.fromarray(mark()))
    picture = Image.fromarray(shadow)
    picture.alpha_composite(layer)
    result, _ = repaired(file_of(np.array(picture), "png"), shadow[..., 3])
    assert np.abs(samples_of(result.data)[..., -1].astype(int) - shadow[..., 3]).max() <= 12


def test_the_network_sees_the_goods_go_on_under_transparency() -> None:
    task = read(file_of(marked(160), "png"), png(mark()), limits=LIMITS)
    seen = task.picture.pixels[task.hole == 0]
    assert np.abs(seen.astype(int) - (200, 60, 40)).max() <= 3


def test_opaque_pictures_with_alpha_are_filled_as_without() -> None:
    opaque = goods()
    opaque[..., 3] = 255
    with_alpha = read(file_of(opaque, "png"), png(mark()), limits=LIMITS)
    without = read(file_of(np.ascontiguousarray(opaque[..., :3]), "png"), png(mark()), limits=LIMITS)
    assert len(with_alpha.parts) == 1
    assert np.array_equal(with_alpha.picture.pixels, without.picture.pixels)
    assert "alpha" not in write(with_alpha, results(with_alpha)).record


def animation(kind: str, **options: Any) -> bytes:
    """Two frames with the mark at one place, the goods in two places."""
    moved = np.roll(goods(), 4, axis=1)
    layer = Image.new("RGBA", (WIDTH, HEIGHT), "white")
    layer.putalpha(Image.fromarray(mark()))
    frames = [Image.fromarray(goods()), Image.fromarray(moved)]
    for frame in frames:
        frame.alpha_composite(layer)
    out = io.BytesIO()
    lossless: dict[str, Any] = {"lossless": True} if kind == "webp" else {}
    frames[0].save(out, kind.upper(), save_all=True, append_images=frames[1:], duration=100, **lossless, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("gif", {"disposal": 2}), ("gif", {"disposal": 1}), ("png", {"blend": 0}), ("png", {"blend": 1, "disposal": 1}),
     ("webp", {})],
)  # fmt: skip
def test_each_frame_of_an_animation_loses_the_mark_on_transparent_ground(kind: str, options: dict[str, Any]) -> None:
    data = animation(kind, **options)
    task = read(data, png(mark()), limits=LIMITS)
    # Opaque paint over an outline: alpha of goods without the mark, as a network may give it.
    fills = []
    for part, following in zip(task.parts, (*task.parts[1:], None), strict=True):
        is_alpha = part.page < 2 and (following is None or following.page != part.page) and part.cutout is None
        true = np.roll(goods(), 4 * part.page, axis=1)
        fill = np.repeat(true[..., 3:], 3, axis=2) if is_alpha else np.full_like(part.picture.pixels, (200, 60, 40))
        fills.append(np.where(part.hole[..., None] > 0, fill, part.picture.pixels))
    result = write(task, fills)
    assert result.record["alpha"] == "repaired"
    for number, page in enumerate(decode(result.data, LIMITS).pages):
        true = np.roll(goods(), 4 * number, axis=1)[..., 3]
        ground = cv2.dilate(true, np.ones((7, 7), np.uint8)) == 0
        assert not page.samples[..., 3][ground & (task.hole > 0)].any()
        assert (page.samples[..., 3][cv2.erode(true, np.ones((7, 7), np.uint8)) == 255] == 255).all()


def bmp_with_alpha(samples: NDArray[np.uint8]) -> bytes:
    body = samples[::-1, :, [2, 1, 0, 3]].tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, WIDTH, HEIGHT, 1, 32, 3, len(body), 2835, 2835, 0, 0)
    head += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head += bytes(124 - len(head))
    return struct.pack("<2sIHHI", b"BM", 138 + len(body), 0, 0, 138) + head + body


@pytest.mark.parametrize("kind", ["tiff premultiplied", "bmp"])
def test_alpha_that_is_stored_in_other_ways_is_repaired(kind: str) -> None:
    samples = marked(160)
    if kind == "bmp":
        data = bmp_with_alpha(samples)
    else:
        multiplied = np.rint(samples[..., :3] * (samples[..., 3:] / 255)).astype(np.uint8)
        data = file_of(np.dstack((multiplied, samples[..., 3])), kind)
    result, task = repaired(data)
    assert result.record["alpha"] == "repaired"
    before, after, inside = samples_of(data), samples_of(result.data), task.hole > 0
    true = goods()
    border = cv2.dilate(((true[..., 3] > 0) & (true[..., 3] < 255)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.array_equal(after[~inside], before[~inside])
    assert np.array_equal(after[inside & ~border][:, 3], true[inside & ~border][:, 3])
    opaque = inside & ~border & (true[..., 3] == 255)
    assert (after[opaque][:, :3] == (200, 60, 40)).all()


def test_a_preview_shows_alpha_before_and_after() -> None:
    task = read(file_of(marked(160), "png"), png(mark()), limits=LIMITS)
    shown = preview(task, results(task))
    with Image.open(io.BytesIO(shown.data)) as image:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    assert alpha[92, 140] > 100
    assert alpha[HEIGHT + 92, 140] < 10

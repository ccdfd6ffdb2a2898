"""BMP: repaired pixels are written into the source's own bytes; files whose rows are coded are made anew."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from model.errors import ImageRejected
from model.imaging.formats.palettes import Palette
from model.imaging.picture import Edit, Page, Written
from model.imaging.probing import load

_UNCOMPRESSED = 0


def read(image: Image.Image) -> list[Page]:
    """The picture.

    Raises:
        ImageRejected: the pixels are damaged.
    """
    load(image, ImageRejected, "image")
    if image.mode in ("1", "L"):
        return [Page(np.array(image.convert("L"), np.uint8)[..., None], "grey")]
    alpha = image.mode == "RGBA"
    return [Page(np.array(image.convert("RGBA" if alpha else "RGB"), np.uint8), "rgb", alpha)]


def write(data: bytes, edit: Edit) -> Written:
    """``data`` with ``edit`` (as stored) laid in."""
    start = struct.unpack_from("<I", data, 10)[0]
    header = struct.unpack_from("<I", data, 14)[0]
    if header >= 40:
        width, rows = struct.unpack_from("<ii", data, 18)
        depth, coding = struct.unpack_from("<HI", data, 28)
        row = (width * depth + 31) // 32 * 4
        if coding == _UNCOMPRESSED and depth in (8, 24, 32) and start + row * abs(rows) <= len(data):
            rows_at = slice(start, start + row * abs(rows))
            return Written(_laid_in(data, edit, rows_at, depth, upside_down=rows > 0), "lossless")
    with Image.open(io.BytesIO(data)) as source:
        mode, density = source.mode, source.info.get("dpi", (96, 96))
    samples = np.ascontiguousarray(edit.samples[..., 0] if edit.samples.shape[2] == 1 else edit.samples)
    out = io.BytesIO()
    image = Image.fromarray(samples)
    if mode == "1":
        image = image.point(lambda value: 255 * (value > 127)).convert("1", dither=Image.Dither.NONE)
    image.save(out, "BMP", dpi=density)
    return Written(out.getvalue(), "lossless", "Its rows were coded; they are stored plainly now.")


def _laid_in(data: bytes, edit: Edit, rows_at: slice, depth: int, *, upside_down: bool) -> bytes:
    out = np.frombuffer(data, np.uint8).copy()
    rows = out[rows_at].reshape(edit.hole.shape[0], -1)
    if upside_down:
        rows = rows[::-1]
    inside = edit.hole > 0
    width = edit.hole.shape[1]
    if depth == 8:
        indices = rows[:, :width]
        head = 14 + struct.unpack_from("<I", data, 14)[0]
        count = struct.unpack_from("<I", data, 46)[0] or min(256, (rows_at.start - head) // 4)
        table = np.frombuffer(data[head : head + 4 * count], np.uint8).reshape(-1, 4)
        samples = edit.samples if edit.samples.shape[2] >= 3 else edit.samples.repeat(3, axis=2)
        Palette.of(table[:, 2::-1].tobytes()).paint(indices, samples, inside)
    else:
        pixels = rows[:, : width * depth // 8].reshape(rows.shape[0], width, depth // 8)
        pixels[..., :3][inside] = edit.samples[..., 2::-1][inside]
    return out.tobytes()

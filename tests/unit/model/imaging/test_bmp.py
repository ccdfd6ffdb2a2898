"""BMP of every depth: the file keeps its length, its header and every bit outside the mask."""

from __future__ import annotations

import io
import struct
from itertools import groupby

import numpy as np
import pytest
from PIL import Image

from model.imaging import Limits
from model.imaging.formats.palettes import packed_bits
from model.repair.task import Repaired, read, write

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
WIDTH, HEIGHT = 37, 23
FILL = (214, 60, 41)
#: 565, as masks of their own; the others are what a depth means without any.
GREENER, RGBA = (0xF800, 0x07E0, 0x001F), (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def photo() -> Image.Image:
    ramp = np.linspace(0, 255, WIDTH * HEIGHT * 3).reshape(HEIGHT, WIDTH, 3)
    return Image.fromarray((ramp * np.array([1, 0.7, 0.4])).astype(np.uint8)[::-1])


def bmp(
    depth: int,
    *,
    masks: tuple[int, ...] = (),
    header: int = 40,
    down: bool = False,
    rle: bool = False,
    lacking: int = 0,
) -> bytes:
    """Written by hand: encoders write three of these kinds."""
    pixels = np.asarray(photo())
    table = b""
    if depth <= 8:
        few = photo().quantize(1 << depth)
        colours = np.resize(np.array(few.getpalette(), np.uint8).reshape(-1, 3), (1 << depth, 3))
        table = b"".join(bytes((*colour[::-1], 0))[: 3 if header == 12 else 4] for colour in colours)
        rows = np.asarray(few) if rle else packed_bits(np.asarray(few), depth)
    elif depth == 16:
        red, green, blue = (pixels[..., channel].astype(np.uint16) >> 3 for channel in range(3))
        rows = (
            ((red << 11 | green << 6 | blue) if masks else (red << 10 | green << 5 | blue)).astype("<u2").view(np.uint8)
        )
    else:
        alpha = pixels[..., :1] if len(masks) == 4 else pixels[..., :1] * 0
        rows = np.dstack((pixels[..., ::-1], alpha))[..., : depth // 8].reshape(HEIGHT, -1)
    rows = rows if down else rows[::-1]
    body = run_lengths(rows, depth) if rle else np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()
    coding = (1 if depth == 8 else 2) if rle else 3 if masks else 0
    if header == 12:
        head = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, depth)
    else:
        tall = -HEIGHT if down else HEIGHT
        head = struct.pack("<IiiHHIIiiII", header, WIDTH, tall, 1, depth, coding, len(body), 2835, 2835, 0, 0)
        head += struct.pack(f"<{len(masks)}I", *masks)
        head += b"\0" * (header - len(head))
    start = 14 + len(head) + len(table)
    return (struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start) + head + table + body)[: -lacking or None]


def run_lengths(rows: np.ndarray, depth: int) -> bytes:
    coded = b""
    for row in rows:
        for value, run in groupby(row.tolist()):
            coded += bytes((len(list(run)), value if depth == 8 else value << 4 | value))
        coded += b"\0\0"
    return coded + b"\0\1"


def filled(data: bytes) -> tuple[Repaired, np.ndarray]:
    task = read(data, b'{"boxes": [[9, 7, 12, 6]]}', limits=LIMITS, dilation_px=0)
    result = task.picture.pixels.copy()
    result[task.hole > 0] = FILL
    return write(task, [result, *(part.picture.pixels for part in task.following)]), task.hole > 0


def shown(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


KINDS = {
    "1": bmp(1), "4": bmp(4), "8": bmp(8), "16": bmp(16), "24": bmp(24), "32": bmp(32), "565": bmp(16, masks=GREENER),
    "alpha": bmp(32, masks=RGBA, header=124), "OS/2": bmp(24, header=12), "OS/2, 4": bmp(4, header=12),
    "from above, 1": bmp(1, down=True), "from above, 16": bmp(16, down=True), "from above, 24": bmp(24, down=True),
    "unfilled": bmp(24, lacking=1), "version 4": bmp(32, masks=RGBA[:3], header=108),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_pixels_of_the_mask_changes(kind: str) -> None:
    data = KINDS[kind]
    repaired, hole = filled(data)
    before, after = shown(data), shown(repaired.data)
    assert repaired.record["written"] == "lossless"
    assert "reason" not in repaired.record
    assert len(repaired.data) == len(data)
    start = struct.unpack_from("<I", data, 10)[0]
    assert repaired.data[:start] == data[:start]
    assert np.array_equal(after[~hole], before[~hole])
    assert np.array_equal(after[hole][:, 3], before[hole][:, 3])
    assert (after[hole] == after[hole][0]).all() or kind == "alpha"
    if (data[24] if data[14] == 12 else data[28]) > 8:
        assert np.abs(after[hole][:, :3] - FILL).max() < 8


@pytest.mark.parametrize("depth", [4, 8])
def test_coded_rows_come_back_plainly_in_their_depth(depth: int) -> None:
    data = bmp(depth, rle=True)
    repaired, hole = filled(data)
    assert np.array_equal(shown(repaired.data)[~hole], shown(data)[~hole])
    assert repaired.record["reason"] == "Its rows were coded; they are stored plainly now."
    assert struct.unpack_from("<HI", repaired.data, 28) == (depth, 0)
    assert struct.unpack_from("<I", repaired.data, 2)[0] == len(repaired.data)

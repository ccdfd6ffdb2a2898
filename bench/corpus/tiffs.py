"""TIFF: packings, depths, inks, tiles, planes, pages."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from bench.corpus.content import (
    DENSITY,
    ICC,
    XMP,
    Pixels,
    Recipe,
    deep_of,
    file_of,
    frames_of,
)


def by_encoders(photo: Image.Image) -> Iterator[Recipe]:
    packings = {"plain": None, "lzw": "tiff_lzw", "deflate": "tiff_adobe_deflate", "packbits": "packbits"}
    metadata: dict[str, Any] = {
        "dpi": DENSITY,
        "icc_profile": ICC,
        "tiffinfo": {700: XMP, 33723: b"\x1c\x02\x78\0\5shirt"},
    }
    for name, packing in packings.items():
        yield f"tiff-rgb-{name}", lambda packing=packing: file_of(photo, "TIFF", compression=packing, **metadata)  # type: ignore[misc]
    for mode, name in (("L", "grey"), ("CMYK", "cmyk"), ("RGBA", "rgba"), ("1", "1"), ("P", "palette")):
        image = photo.quantize(200) if mode == "P" else photo.convert(mode)
        yield f"tiff-{name}", lambda image=image: file_of(image, "TIFF", compression="tiff_lzw", dpi=DENSITY)  # type: ignore[misc]
    deep = deep_of(photo)

    def written(samples: NDArray[Any], **options: Any) -> Callable[[], bytes]:
        def make() -> bytes:
            out = io.BytesIO()
            tifffile.imwrite(out, samples, metadata=None, iccprofile=ICC, **options)
            return out.getvalue()

        return make

    yield "tiff-rgb-16", written(deep, photometric="rgb", compression="lzw", predictor=True, rowsperstrip=16)
    yield "tiff-rgb-16-big-endian", written(deep, photometric="rgb", byteorder=">")
    yield (
        "tiff-rgb-16-planes",
        written(deep.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", compression="zlib"),
    )
    yield "tiff-cmyk-16", written(np.dstack((deep, deep[..., :1] // 4)), photometric="separated")
    yield (
        "tiff-grey-16-tiles",
        written(deep[..., 0], photometric="minisblack", tile=(64, 64), compression="zlib", predictor=True),
    )
    yield "tiff-bigtiff", written(np.asarray(photo), photometric="rgb", bigtiff=True, compression="lzw")
    for mode, name in (("RGB", "rgb"), ("L", "grey"), ("CMYK", "cmyk")):
        image = photo.convert(mode)
        yield f"tiff-jpeg-{name}", lambda image=image: file_of(image, "TIFF", compression="jpeg", quality=88)  # type: ignore[misc]
    yield "tiff-jpeg-ycc-tiles", written(np.asarray(photo), photometric="rgb", tile=(64, 64), compression="jpeg")
    yield (
        "tiff-pages",
        lambda: file_of(photo, "TIFF", save_all=True, append_images=frames_of(photo)[1:], compression="tiff_lzw"),
    )


def by_hand(photo: Image.Image) -> Iterator[Recipe]:
    """Depths that no library here writes."""
    grey = np.asarray(photo.convert("L")) >> 4
    yield "tiff-grey-4", lambda: _plain(grey, 4, 1)
    few = photo.quantize(16)
    table = np.array(few.getpalette() or [], np.uint16)[:48].reshape(16, 3).T * np.uint16(257)
    yield "tiff-palette-4", lambda: _plain(np.asarray(few), 4, 3, table)


def _plain(samples: Pixels, depth: int, kind: int, table: NDArray[np.uint16] | None = None) -> bytes:
    """Uncompressed strips of 16 rows, followed by their directory (TIFF 6.0, section 2)."""
    per = 8 // depth
    padded = np.pad(samples, ((0, 0), (0, -samples.shape[1] % per))).reshape(samples.shape[0], -1, per)
    shifts = (np.arange(per - 1, -1, -1) * depth).astype(np.uint8)
    rows = np.bitwise_or.reduce(padded.astype(np.uint8) << shifts, axis=2)
    strips = [rows[at : at + 16].tobytes() for at in range(0, len(rows), 16)]
    offsets = [8 + sum(map(len, strips[:index])) for index in range(len(strips))]
    data = b"".join(strips)
    data += b"\0" * (len(data) % 2)
    lists, at = b"", 8 + len(data)

    def listed(kind: str, values: list[int]) -> tuple[int, int]:
        nonlocal lists
        place = at + len(lists)
        lists += struct.pack(f"<{len(values)}{kind}", *values)
        return len(values), place

    tags = [(256, 3, 1, samples.shape[1]), (257, 3, 1, samples.shape[0]), (258, 3, 1, depth), (259, 3, 1, 1)]
    tags += [(262, 3, 1, kind), (273, 4, *listed("I", offsets)), (277, 3, 1, 1), (278, 3, 1, 16)]
    tags += [(279, 4, *listed("I", [len(strip) for strip in strips]))]
    if table is not None:
        tags += [(320, 3, *listed("H", table.reshape(-1).tolist()))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    return struct.pack("<2sHI", b"II", 42, at + len(lists)) + data + lists + directory

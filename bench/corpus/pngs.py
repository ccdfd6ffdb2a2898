"""PNG: every depth and kind, animated, interlaced."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.corpus.content import (
    ICC,
    JUMBF,
    XMP,
    Recipe,
    deep_of,
    exif,
    file_of,
    frames_of,
    moving,
)
from model.imaging.formats import png, png_chunks


def _described_png(data: bytes) -> bytes:
    """A PNG with all chunks of metadata."""
    parts = list(png_chunks.chunks(data))
    with Image.open(io.BytesIO(data)) as image:
        exif_data = exif(image)
    density = struct.pack(">IIB", 11811, 11811, 1)
    extra = [
        png.profile_chunk(ICC), (b"pHYs", density), (b"eXIf", exif_data),
        (b"iTXt", png_chunks.XMP_KEYWORD + b"\0" * 5 + XMP), (b"caBX", JUMBF),
    ]  # fmt: skip
    if data[25] in (0, 4):
        extra.pop(0)  # a grey picture may only have a grey profile
    return png_chunks.joined([parts[0], *extra, *parts[1:]])


def by_encoders(photo: Image.Image) -> Iterator[Recipe]:
    alpha = photo.convert("L").point(lambda value: 255 - value // 3)
    with_alpha = photo.copy()
    with_alpha.putalpha(alpha)
    grey_alpha = photo.convert("LA")
    grey_alpha.putalpha(alpha)
    stills = {
        "rgb-8": photo, "rgba-8": with_alpha, "grey-8": photo.convert("L"), "grey-alpha-8": grey_alpha,
        "grey-1": photo.convert("1"), "palette-8": photo.quantize(200),
    }  # fmt: skip
    for name, image in stills.items():
        yield f"png-{name}", lambda image=image: _described_png(file_of(image, "PNG"))  # type: ignore[misc]
    for bits, colours in ((1, 2), (2, 4), (4, 14)):
        image = photo.quantize(colours)
        yield f"png-palette-{bits}", lambda image=image, bits=bits: _described_png(file_of(image, "PNG", bits=bits))  # type: ignore[misc]
    clear = photo.quantize(120)
    yield "png-palette-transparent", lambda: _described_png(file_of(clear, "PNG", transparency=3))
    deep = deep_of(photo)
    planes = {"rgb": deep, "rgba": np.dstack((deep, deep[..., 0])), "grey": deep[..., 1].copy()}
    planes["grey-alpha"] = np.dstack((deep[..., 1], deep[..., 0]))
    for name, samples in planes.items():
        yield f"png-{name}-16", lambda samples=samples: _described_png(bytes(imagecodecs.png_encode(samples)))  # type: ignore[misc]
    frames = frames_of(photo)
    yield "png-animated", lambda: file_of(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=80)
    yield (
        "png-animated-parts",
        lambda: file_of(photo, "PNG", save_all=True, append_images=moving(photo), duration=[60, 90, 120], blend=1),
    )


def by_hand(photo: Image.Image) -> Iterator[Recipe]:
    """Files that no library here writes: low depths of grey, and interlacing (specification, section 8)."""
    grey = np.asarray(photo.convert("L"))
    for bits in (2, 4):
        yield f"png-grey-{bits}", lambda bits=bits: _described_png(_plain(grey >> (8 - bits), bits, 0))  # type: ignore[misc]
    yield "png-interlaced", lambda: _described_png(_plain(np.asarray(photo), 8, 2, interlaced=True))
    yield "png-interlaced-16", lambda: _described_png(_plain(deep_of(photo), 16, 2, interlaced=True))
    palette = photo.quantize(16)
    yield (
        "png-interlaced-palette-4",
        lambda: _described_png(
            _plain(np.asarray(palette), 4, 3, interlaced=True, table=bytes(palette.getpalette() or b"")[:48])
        ),
    )


def _plain(samples: NDArray[Any], depth: int, kind: int, *, interlaced: bool = False, table: bytes = b"") -> bytes:
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, across in passes:
        part = samples[top::down, left::across]
        if depth < 8:
            per = 8 // depth
            part = np.pad(part, ((0, 0), (0, -part.shape[1] % per))).reshape(part.shape[0], -1, per)
            shifts = np.arange(per - 1, -1, -1) * depth
            part = np.bitwise_or.reduce(part.astype(np.uint8) << shifts.astype(np.uint8), axis=2)
        if depth == 16:
            part = part.astype(">u2").view(np.uint8)
        flat = part.reshape(part.shape[0], -1) if part.size else part.reshape(0, 0)
        rows += np.pad(flat, ((0, 0), (1, 0))).astype(np.uint8).tobytes()
    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, kind, 0, 0, interlaced)
    middle = [(b"PLTE", table)] if table else []
    return png_chunks.joined([(b"IHDR", head), *middle, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])

"""Files as other programs write them in unusual ways, made here."""

from __future__ import annotations

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from numpy.typing import NDArray
from PIL import Image

from model.imaging.formats import boxes, png_chunks, segments


def noise(*shape: int, top: int = 256) -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, top, shape, dtype=np.uint8)


def tiff(samples: NDArray[np.uint8], bits: int, compression: int, fill_order: int) -> bytes:
    """One strip of grey or RGB, whose bits lie in ``fill_order``; 1 is the usual one."""
    height, width = samples.shape[:2]
    channels = samples.size // (height * width)
    rows = samples.reshape(height, -1)
    if bits < 8:
        rows = np.packbits(
            (rows[..., None] >> np.arange(bits - 1, -1, -1, dtype=np.uint8) & 1).reshape(height, -1), axis=1
        )
    strip = {
        1: bytes, 5: imagecodecs.lzw_encode, 8: imagecodecs.zlib_encode, 32773: imagecodecs.packbits_encode,
    }[compression](rows.tobytes())  # fmt: skip
    if fill_order == 2:
        strip = bytes(imagecodecs.bitorder_encode(bytes(strip)))
    tags = [
        (256, width), (257, height), (258, bits), (259, compression), (262, 1 if channels == 1 else 2),
        (266, fill_order), (273, 8), (277, channels), (278, height), (279, len(strip)),
    ]  # fmt: skip
    if channels == 3:
        # Three values of BitsPerSample do not fit into a tag.
        tags[2] = (258, 8 + len(strip))
    strip_end = strip + (struct.pack("<HHH", *(bits,) * 3) if channels == 3 else b"")
    strip_end += b"\0" * (len(strip_end) % 2)
    directory = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, 3 if tag == 258 else 4, channels if tag == 258 else 1, value) for tag, value in tags
    )
    return b"II*\0" + struct.pack("<I", 8 + len(strip_end)) + strip_end + directory + bytes(4)


def resource(kind: int, content: bytes) -> bytes:
    return (
        b"8BIM"
        + kind.to_bytes(2, "big")
        + b"\0\0"
        + len(content).to_bytes(4, "big")
        + content
        + b"\0" * (len(content) % 2)
    )


def thumbnail_resource(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "JPEG")
    return resource(1036, struct.pack(">IIIIIIHH", 1, *size, 0, 0, len(file.getvalue()), 24, 1) + file.getvalue())


def jpeg_with(parts: list[bytes]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(70, 64, 3)).save(file, "JPEG", quality=90)
    own = [segments.Segment(segments.APP13, segments.PHOTOSHOP + part) for part in parts]
    return segments.under([*segments.split(file.getvalue())[0][:1], *own], file.getvalue())


def animation(frames: int, said: int, shown_first: bool) -> bytes:
    """An animated PNG whose header (acTL) says ``said`` frames; ``shown_first``: the still picture is the first."""
    file = io.BytesIO()
    images = [Image.fromarray(noise(70, 64, 3) // (n + 1)) for n in range(frames + (not shown_first))]
    images[0].save(file, "PNG", save_all=True, append_images=images[1:], default_image=not shown_first)
    parts = [
        (name, said.to_bytes(4, "big") + content[4:] if name == b"acTL" else content)
        for name, content in png_chunks.chunks(file.getvalue())
    ]
    return png_chunks.joined(parts)


def cutout(turn: int = 0) -> Image.Image:
    """A disc on transparent ground, moved by ``turn`` pixels."""
    down, across = np.mgrid[0:70, 0:64]
    alpha = np.where((down - 30) ** 2 + (across - 30 - turn) ** 2 < 500, np.uint8(255), np.uint8(0))
    return Image.fromarray(np.dstack((noise(70, 64, 3), alpha)))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_alpha() -> list[bytes]:
    """Cut-outs, still and moving, in each format that has alpha."""
    moving = {"save_all": True, "append_images": [cutout(turn) for turn in range(1, 7)], "duration": 50}
    multiplied = io.BytesIO()
    tifffile.imwrite(multiplied, np.asarray(cutout()), photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    return [
        *(saved(cutout(), kind) for kind in ("PNG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF", "BMP")),
        saved(cutout(), "WEBP", lossless=True),
        saved(cutout().convert("LA"), "PNG"),
        saved(cutout().quantize(40, method=Image.Quantize.FASTOCTREE), "PNG"),
        multiplied.getvalue(),
        saved(cutout(), "GIF", disposal=2, **moving),
        saved(cutout(), "PNG", blend=1, disposal=1, **moving),
        saved(cutout(), "WEBP", lossless=True, **moving),
        saved(cutout(), "WEBP", quality=70, **moving),
        saved(cutout(), "TIFF", save_all=True, append_images=moving["append_images"], compression="tiff_lzw"),
    ]


def with_side_pictures() -> list[bytes]:
    """Pictures with others beside or behind them, and with what promises those."""
    picture, small = cutout().convert("RGB"), cutout().convert("L").resize((32, 35))
    jpeg, behind = saved(picture, "JPEG"), saved(small, "JPEG")
    own = [segment for segment in segments.split(jpeg)[0] if segments.describes(segment)]
    names = {"hdrgm": "adobe.com/hdr-gain-map", "C": "google.com/photos/1.0/container", "GDepth": "google.com/photos"}
    stated = "".join(f' xmlns:{name}="http://ns.{path}/" {name}:A="1"' for name, path in names.items()).encode()
    xmp = segments.Segment(segments.APP1, segments.XMP + b"<x:xmpmeta" + stated + b"><C:D>1</C:D></x:xmpmeta>")
    extension = segments.XMP_EXTENSION + b"0" * 40 + b'<x xmlns:G="http://ns.google.com/photos/1.0/image/"/>'
    heif = pillow_heif.from_pillow(picture)
    heif.add_from_pillow(small)
    several = io.BytesIO()
    heif.save(several)
    return [
        segments.under([*own, xmp], jpeg) + behind,
        segments.under([*own, xmp, segments.Segment(segments.APP1, extension)], jpeg),
        segments.under(own, jpeg) + b"\0\0\0\x18ftypmp42" + bytes(100),
        saved(picture, "MPO", save_all=True, append_images=[small.convert("RGB")]),
        saved(picture, "HEIF", thumbnails=[16]),
        several.getvalue(),
        boxes.described(saved(picture, "AVIF"), [], [boxes.Item(b"tmap", bytes(62))]),
    ]


def unusual_tiffs() -> list[bytes]:
    """Values without a white, CIELAB, and a coding that cannot be written."""
    floats, lab = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(floats, noise(70, 64).astype(np.float32), compression="lzw", predictor=3, metadata=None)
    tifffile.imwrite(lab, noise(70, 64, 3), photometric="cielab", metadata=None)
    return [floats.getvalue(), lab.getvalue(), saved(cutout(), "TIFF", compression="jpeg")]


def strangers() -> list[bytes]:
    """One of each kind."""
    resources = resource(1028, noise(60_000).tobytes()) + thumbnail_resource((9, 9))
    return [
        tiff(noise(70, 64, top=16), 4, 5, 2),
        jpeg_with([resources[:60_100], resources[60_100:]]),
        animation(3, 2, shown_first=True),
        bytes(imagecodecs.jpeg8_encode(noise(70, 64, 3), lossless=True)),
        *unusual_tiffs(),
    ]

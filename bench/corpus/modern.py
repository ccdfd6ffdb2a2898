"""WebP, AVIF and HEIC."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import imagecodecs
import pillow_heif
from PIL import Image

from bench.corpus.content import (
    ICC,
    JUMBF,
    XMP,
    Recipe,
    deep_of,
    exif,
    file_of,
    moving,
)
from model.imaging.formats import boxes, webp


def _described_webp(data: bytes) -> bytes:
    return webp.joined([*webp.chunks(data), (b"C2PA", JUMBF)])


def webps(photo: Image.Image) -> Iterator[Recipe]:
    alpha = photo.copy()
    alpha.putalpha(photo.convert("L"))
    metadata = {"icc_profile": ICC, "exif": b"Exif\0\0" + exif(photo), "xmp": XMP}
    for name, image in (("rgb", photo), ("alpha", alpha)):
        yield f"webp-lossy-{name}", lambda image=image: _described_webp(file_of(image, "WEBP", quality=82, **metadata))  # type: ignore[misc]
        yield (
            f"webp-lossless-{name}",
            lambda image=image: _described_webp(  # type: ignore[misc]
                file_of(image, "WEBP", lossless=True, exact=True, **metadata)
            ),
        )
    yield "webp-plain", lambda: file_of(photo, "WEBP", quality=82)
    for name, lossless in (("lossless", True), ("lossy", False)):
        yield (
            f"webp-animated-{name}",
            lambda lossless=lossless: file_of(  # type: ignore[misc]
                photo, "WEBP", save_all=True, append_images=moving(photo), duration=80, lossless=lossless, exact=True
            ),
        )


def coded_files(photo: Image.Image) -> Iterator[Recipe]:
    alpha = photo.copy()
    alpha.putalpha(photo.convert("L"))
    metadata = {"icc_profile": ICC, "exif": b"Exif\0\0" + exif(photo), "xmp": XMP}
    box = (24 + len(JUMBF)).to_bytes(4, "big") + b"uuid" + boxes.C2PA_BOX + JUMBF
    yield "avif-8", lambda: file_of(photo, "AVIF", quality=80, speed=9, **metadata) + box
    yield "avif-alpha", lambda: file_of(alpha, "AVIF", quality=80, speed=9)
    yield "avif-10", lambda: bytes(imagecodecs.avif_encode(deep_of(photo) >> 6, bitspersample=10, level=80, speed=9))
    turned = [(b"irot", b"\1"), (b"imir", b"\0"), (b"clli", bytes.fromhex("03e80190"))]
    items = [boxes.Item(b"Exif", bytes(4) + exif(photo, 5)), boxes.Item(b"mime", XMP, b"application/rdf+xml")]

    def deep_avif(sampling: str, bits: int) -> bytes:
        """An AVIF in Rec. 2020 and PQ, turned, with profile, EXIF, XMP and a C2PA manifest."""
        colours = {"primaries": 9, "transfer": 16, "matrix": 9}
        samples = deep_of(photo) >> (16 - bits)
        coded = imagecodecs.avif_encode(samples, bitspersample=bits, level=85, speed=9, pixelformat=sampling, **colours)
        properties = [struct.pack(">I4s", 8 + len(content), kind) + content for kind, content in turned]
        properties.append(struct.pack(">I4s4s", 12 + len(ICC), b"colr", b"prof") + ICC)
        return boxes.described(bytes(coded), [properties[-1], *properties[:-1]], items) + box

    yield "avif-10-described", lambda: deep_avif("420", 10)
    yield "avif-12-described-444", lambda: deep_avif("444", 12)
    yield "avif-444", lambda: file_of(photo, "AVIF", quality=85, speed=9, subsampling="4:4:4")
    yield "heic-444", lambda: file_of(photo, "HEIF", quality=85, chroma="444")
    display_p3 = {"color_primaries": 12, "transfer_characteristics": 13, "matrix_coefficients": 1, "full_range_flag": 1}
    yield "heic-display-p3", lambda: file_of(photo, "HEIF", quality=80, **display_p3)
    yield "heic-8", lambda: file_of(photo, "HEIF", quality=80, **metadata) + box
    yield "heic-alpha", lambda: file_of(alpha, "HEIF", quality=80)

    def ten_bits() -> bytes:
        out = io.BytesIO()
        pillow_heif.from_bytes("RGB;16", photo.size, deep_of(photo).tobytes()).save(out, quality=85)
        return out.getvalue()

    yield "heic-10", ten_bits

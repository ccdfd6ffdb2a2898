"""Metadata that every file of the corpus carries, and the pictures in it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="shop"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
#: An IPTC caption in Photoshop's resources, and the beginning of a C2PA manifest store.
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0a\x1c\x02\x78\0\5shirt"
JUMBF = b"\0\0\0\x1ejumb\0\0\0\x16jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71"
DENSITY = (300, 300)

Recipe = tuple[str, Callable[[], bytes]]


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    """``image`` encoded as a file of this format."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(image: Image.Image, orientation: int = 1) -> bytes:
    """EXIF with orientation, camera, copyright and a thumbnail of ``image``; begins with its byte order mark."""
    small = image.convert("RGB").copy()
    small.thumbnail((96, 96))
    thumbnail = file_of(small, "JPEG", quality=80)
    texts = {0x010F: b"Maker\0", 0x8298: b"The shop owns this\0"}
    count, at = 1 + len(texts), 8 + 2 + 12 * 3 + 4
    entries, behind = [], b""
    for tag, text in (*texts.items(), (0x0112, b"")):
        if tag == 0x0112:
            entries.append(struct.pack("<HHIHH", tag, 3, 1, orientation, 0))
        else:
            entries.append(struct.pack("<HHII", tag, 2, len(text), at + len(behind)))
            behind += text + b"\0" * (len(text) % 2)
    second = at + len(behind)
    first = struct.pack("<H", count) + b"".join(sorted(entries, key=lambda part: struct.unpack("<H", part[:2])))
    data_at = second + 2 + 12 * 3 + 4
    pairs = ((0x0103, 3, 6), (0x0201, 4, data_at), (0x0202, 4, len(thumbnail)))
    ifd1 = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in pairs)
    head = b"II*\0" + struct.pack("<I", 8) + first + struct.pack("<I", second) + behind
    return head + ifd1 + struct.pack("<I", 0) + thumbnail


def deep_of(photo: Image.Image) -> NDArray[np.uint16]:
    """The photo with 16 bits, all of them in use: ``[H, W, 3]``."""
    noise = np.random.default_rng(5).integers(0, 256, (photo.height, photo.width, 3))
    return (np.asarray(photo).astype(np.uint16) * 256 + noise).astype(np.uint16)


def frames_of(photo: Image.Image) -> list[Image.Image]:
    """Three frames that differ everywhere."""
    return [photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), photo.rotate(4)]


def moving(photo: Image.Image) -> list[Image.Image]:
    """Two frames in which only a small square moves, so that most of a frame repeats the one before."""
    frames = []
    for step in range(2):
        image = photo.copy()
        image.paste(
            (200, 40 + 90 * step, 60), (10 + 20 * step, photo.height // 2, 40 + 20 * step, photo.height // 2 + 20)
        )
        frames.append(image)
    return frames

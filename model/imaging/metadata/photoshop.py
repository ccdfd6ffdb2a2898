"""Photoshop image resources (APP13): the thumbnail among them is renewed, IPTC and all others stay as they are.

Adobe Photoshop File Formats Specification, "Image Resources Section".
"""

from __future__ import annotations

import io
import struct

from PIL import Image

from model.imaging.metadata.exif import Thumbnail

_THUMBNAIL, _OLD_THUMBNAIL = 1036, 1033
_SIDE, _QUALITY = 160, 75


def with_photoshop_thumbnail(resources: bytes, thumbnail: Thumbnail) -> bytes:
    """``resources`` with a new thumbnail where they have one; the format before Photoshop 5 is dropped."""
    out, at = [], 0
    while resources[at : at + 4] == b"8BIM" and at + 8 <= len(resources):
        kind = int.from_bytes(resources[at + 4 : at + 6], "big")
        name_end = at + 7 + resources[at + 6]
        name_end += (name_end - at) % 2
        size = int.from_bytes(resources[name_end : name_end + 4], "big")
        end = name_end + 4 + size
        if kind == _THUMBNAIL:
            content = _content(thumbnail)
            out.append(resources[at:name_end] + len(content).to_bytes(4, "big") + content + b"\0" * (len(content) % 2))
        elif kind != _OLD_THUMBNAIL:
            out.append(resources[at : end + size % 2])
        at = end + size % 2
    return b"".join(out) + resources[at:]


def _content(thumbnail: Thumbnail) -> bytes:
    jpeg = thumbnail(_SIDE, _QUALITY)
    with Image.open(io.BytesIO(jpeg)) as image:
        width, height = image.size
    row = (width * 24 + 31) // 32 * 4
    return struct.pack(">IIIIIIHH", 1, width, height, row, row * height, len(jpeg), 24, 1) + jpeg

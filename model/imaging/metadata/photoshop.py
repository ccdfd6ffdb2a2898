"""Photoshop image resources (APP13): the thumbnail among them is renewed, IPTC and all others stay as they are.

Adobe Photoshop File Formats Specification, "Image Resources Section".
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from model.imaging.metadata.exif import Thumbnail

_SIGNATURE = b"8BIM"
_THUMBNAIL, _OLD_THUMBNAIL = 1036, 1033
_SIDE, _QUALITY = 160, 75


@dataclass(frozen=True)
class _Resource:
    """Where an image resource lies; the size of its content, 4 bytes, follows its name."""

    kind: int
    start: int
    name_end: int
    end: int


def with_photoshop_thumbnail(resources: bytes, thumbnail: Thumbnail) -> bytes:
    """``resources`` with a new thumbnail where they have one; the format before Photoshop 5 is dropped."""
    out, at = [], 0
    for resource in _resources(resources):
        if resource.kind == _THUMBNAIL:
            content = _content(thumbnail)
            out.append(resources[resource.start : resource.name_end])
            out.append(len(content).to_bytes(4, "big") + content + b"\0" * (len(content) % 2))
        elif resource.kind != _OLD_THUMBNAIL:
            out.append(resources[resource.start : resource.end])
        at = resource.end
    return b"".join(out) + resources[at:]


def is_cut_off(resources: bytes) -> bool:
    """Whether the last resource goes on behind the end: in a JPEG, in the next segment."""
    end = max((resource.end for resource in _resources(resources)), default=0)
    rest = resources[end : end + len(_SIGNATURE)]
    return end > len(resources) or (rest != b"" and _SIGNATURE.startswith(rest))


def _resources(data: bytes) -> Iterator[_Resource]:
    at = 0
    while data[at : at + 4] == _SIGNATURE and at + 12 <= len(data):
        name_end = at + 7 + data[at + 6]
        name_end += (name_end - at) % 2
        size = int.from_bytes(data[name_end : name_end + 4], "big")
        end = name_end + 4 + size + size % 2
        yield _Resource(int.from_bytes(data[at + 4 : at + 6], "big"), at, name_end, end)
        at = end


def _content(thumbnail: Thumbnail) -> bytes:
    jpeg = thumbnail(_SIDE, _QUALITY)
    with Image.open(io.BytesIO(jpeg)) as image:
        width, height = image.size
    row = (width * 24 + 31) // 32 * 4
    return struct.pack(">IIIIIIHH", 1, width, height, row, row * height, len(jpeg), 24, 1) + jpeg

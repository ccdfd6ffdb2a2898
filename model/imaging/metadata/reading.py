"""A file's statements of origin: its XMP packet, and whether it carries a C2PA manifest."""

from __future__ import annotations

import io

from PIL import Image

from model.formats import READ
from model.imaging.formats import boxes, gif, png_chunks, segments, webp

_TIFF_XMP, _TIFF_C2PA = 700, 0xCD41


def xmp_of(data: bytes, format_name: str) -> bytes | None:
    """The XMP packet; ``None`` without one."""
    if format_name == "JPEG":
        headers, _ = segments.split(data)
        for segment in headers:
            if segment.marker == segments.APP1 and segment.content.startswith(segments.XMP):
                return segment.content[len(segments.XMP) :]
        return None
    if format_name == "WEBP":
        return dict(webp.chunks(data)).get(b"XMP ")
    if format_name == "GIF":
        return gif.xmp_of(data)
    if format_name == "PNG":
        return png_chunks.xmp_of(data)
    with Image.open(io.BytesIO(data), formats=[*READ]) as image:
        packet = image.tag_v2.get(_TIFF_XMP) if format_name == "TIFF" else image.info.get("xmp")  # type: ignore[attr-defined]
    return packet.encode() if isinstance(packet, str) else packet if isinstance(packet, bytes) else None


def has_c2pa(data: bytes, format_name: str) -> bool:
    """Whether the file carries a manifest (C2PA Technical Specification 2.1, appendix A)."""
    match format_name:
        case "JPEG":
            headers, _ = segments.split(data)
            present = any(part.marker == segments.APP11 and b"jumb" in part.content[:32] for part in headers)
        case "PNG":
            present = any(name == b"caBX" for name, _ in png_chunks.chunks(data))
        case "WEBP":
            present = any(name == b"C2PA" for name, _ in webp.chunks(data))
        case "AVIF" | "HEIF":
            present = bool(boxes.c2pa(data))
        case "TIFF":
            with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
                present = _TIFF_C2PA in image.tag_v2  # type: ignore[attr-defined]
        case _:
            present = format_name == "GIF" and b"\x21\xff\x0bC2PA_GIF" in data
    return present

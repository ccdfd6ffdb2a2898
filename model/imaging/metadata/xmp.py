"""Renews the thumbnails inside an XMP packet, which keeps its length: all other data keeps its place.

XMP specification part 2, section 1.2.2.4 (``xmpGImg``): each is a JPEG in base64, as a property or as an attribute.
"""

from __future__ import annotations

import base64
import binascii
import re

from model.imaging.metadata.exif import Thumbnail, attempts

#: Beginning of a list of thumbnails; code searches its end, so that a hostile packet is read only once.
_OPENING = re.compile(rb"<([\w.-]+:)Thumbnails(?:\s[^<>]*)?(?<!/)>")
_IMAGE = re.compile(rb"(?<=:image>)[^<]*(?=</)|(?<=:image=\")[^\"<]*(?=\")|(?<=:image=')[^'<]*(?=')")
#: Line ends, plain or escaped as in XML.
_SPACE = re.compile(rb"\s|&#(?:10|13|x[aAdD]);")


def with_xmp_thumbnails(packet: bytes, thumbnail: Thumbnail) -> bytes:
    """``packet`` with its thumbnails renewed; one that does not fit is blanked."""
    out, at = [], 0
    while opening := _OPENING.search(packet, at):
        end = packet.find(b"</" + opening[1] + b"Thumbnails", opening.end())
        end = packet.find(b">", end) + 1 if end >= 0 else 0
        if end == 0:
            break  # no reader can parse this packet
        out += [packet[at : opening.start()], _renewed(packet[opening.start() : end], thumbnail)]
        at = end
    return b"".join(out) + packet[at:]


def _renewed(thumbnails: bytes, thumbnail: Thumbnail) -> bytes:
    renewed = _IMAGE.sub(lambda image: _fitting(image[0], thumbnail), thumbnails)
    return renewed if renewed != thumbnails and len(renewed) == len(thumbnails) else b" " * len(thumbnails)


def _fitting(old: bytes, thumbnail: Thumbnail) -> bytes:
    """A new thumbnail in the same number of characters; empty if none is small enough."""
    try:
        jpeg = base64.b64decode(_SPACE.sub(b"", old))
    except binascii.Error:
        return b""
    coded = (base64.b64encode(new) for new in attempts(thumbnail, jpeg))
    return next((new.ljust(len(old)) for new in coded if len(new) <= len(old)), b"")

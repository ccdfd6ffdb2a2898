"""The fidelity corpus: one photo as every kind of file that Cleanplate reads.

Files carry a profile, EXIF with a thumbnail, XMP, IPTC, density and C2PA bytes wherever their format has a place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from bench.corpus import bitmaps, jpegs, modern, pngs, tiffs

FAMILIES = (
    jpegs.plain_and_progressive, jpegs.turned, jpegs.four_inks, pngs.by_encoders, pngs.by_hand, modern.webps,
    modern.coded_files, tiffs.by_encoders, tiffs.by_hand, bitmaps.bmps, bitmaps.gifs,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A file of the corpus."""

    #: ``jpeg-progressive-420`` and the like.
    name: str
    data: bytes


def cases(photo: Image.Image, kind: str = "") -> Iterator[Case]:
    """Each kind of file whose name begins with ``kind``, with ``photo`` (RGB) as its content."""
    for family in FAMILIES:
        for name, make in family(photo.convert("RGB")):
            if name.startswith(kind):
                yield Case(name, make())

"""The one table of picture formats: names, endings, media types, and which of them are read and written.

Command line, client, API and page are made from it. It imports nothing beyond the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Format:
    """One format of picture files."""

    #: Pillow's name for it.
    name: str
    content_type: str
    #: Ends of file names, in lower case, with their dot; results get the first.
    endings: tuple[str, ...]
    #: Further media types that files of this format are given.
    further_types: tuple[str, ...] = ()
    #: Whether its files are decoded. The others are known so that they can be named as left out.
    reads: bool = True
    #: Whether results are written in it.
    writes: bool = True
    #: Whether a file may hold several frames or pages, all of which are repaired.
    holds_several: bool = False
    #: The value of the option ``output`` that asks for it; empty where results come in it only if their source did.
    output: str = ""

    @property
    def ending(self) -> str:
        """The usual end of a name, with its dot."""
        return self.endings[0]


FORMATS = (
    Format("JPEG", "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), ("image/jpg", "image/pjpeg"), output="jpeg"),
    Format("PNG", "image/png", (".png", ".apng"), ("image/apng",), holds_several=True, output="png"),
    Format("WEBP", "image/webp", (".webp",), holds_several=True, output="webp"),
    Format("AVIF", "image/avif", (".avif",), output="avif"),
    Format("HEIF", "image/heic", (".heic", ".heif", ".hif"), ("image/heif",)),
    Format("TIFF", "image/tiff", (".tif", ".tiff"), holds_several=True, output="tiff"),
    Format("BMP", "image/bmp", (".bmp", ".dib"), ("image/x-ms-bmp",)),
    Format("GIF", "image/gif", (".gif",), holds_several=True),
    Format("JPEG2000", "image/jp2", (".jp2", ".j2k", ".jpx", ".jpf"), reads=False, writes=False),
    Format("JXL", "image/jxl", (".jxl",), reads=False, writes=False),
)

#: Formats that are read, by Pillow's name.
READ = {entry.name: entry for entry in FORMATS if entry.reads}
#: Formats that are written, by the value of the option ``output``.
OUTPUTS = {entry.output: entry for entry in FORMATS if entry.output and entry.writes}
#: Media types of the formats that are read, by ending.
TYPES_BY_ENDING = {ending: entry.content_type for entry in READ.values() for ending in entry.endings}
#: Endings that a result of a media type may keep, the usual one first.
ENDINGS_BY_TYPE = {
    content_type: entry.endings
    for entry in FORMATS
    if entry.writes
    for content_type in (entry.content_type, *entry.further_types)
}


def is_picture_name(name: str | PurePath) -> bool:
    """Whether a file of this name is taken for a picture; the file's bytes decide whether it is one."""
    return PurePath(name).suffix.lower() in TYPES_BY_ENDING

"""Files to pages and back: ``decode`` reads every page, ``encode`` writes the same format again.

Pages are handed out the way a person sees them (EXIF orientation applied) and go back into the file as they lay there.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from PIL import Image

from model.errors import ImageRejected
from model.imaging import turning
from model.imaging.formats import avif, bmp, gif, heic, jpeg, png, png_chunks, segments, tiff, webp
from model.imaging.metadata.exif import LONGEST_EXIF, Thumbnail, thumbnail_of, with_thumbnail
from model.imaging.metadata.reading import xmp_of
from model.imaging.metadata.xmp import with_xmp_thumbnails
from model.imaging.picture import Document, Edit, Page, Written
from model.imaging.probing import Limits, Probe, check_sound, facts, opened, orientation
from model.imaging.proof import read_back
from model.imaging.side_pictures import left_out, without_promises

_LOSSLESS = frozenset({"PNG", "TIFF", "BMP", "GIF"})
#: Results may be larger than sources may be.
ANY = Limits(max_bytes=1 << 40, max_pixels=1 << 40)


def decode(data: bytes, limits: Limits) -> Document:
    """Decode ``data`` in full.

    Raises:
        ImageRejected: see :func:`model.imaging.probing.probe`; ``image_truncated`` where the pixels end early,
            ``image_mode_unsupported`` where they are of a kind that could not be written back.
    """
    with opened(data, limits, ImageRejected, "image") as image:
        header = facts(data, image, ImageRejected, "image")
        turn = orientation(data, image)
        check_sound(data, image, ImageRejected, "image")
        whole = segments.ended(data) if header.format == "JPEG" else data
        pages = _pages(whole, image, header, limits)
        lossless = header.format in _LOSSLESS or (header.format == "WEBP" and webp.is_lossless(data))
    if header.format != "TIFF":
        pages = [replace(page, orientation=turn) for page in pages]
    mended = "" if whole is data else "The file had no end marker; all of its pixels are there."
    return Document(whole, header, tuple(_seen(page) for page in pages), lossless, mended)


def encode(document: Document, edits: list[Edit], xmp: bytes | None = None) -> Written:
    """The document's file with its pages edited; ``xmp`` replaces its XMP packet.

    ``edits``: one for each page, as seen. Side pictures are left out, with the metadata that promises them. The file
    is read back and compared.

    Raises:
        ImageRejected: the file's coding cannot be written back.
        ResultDiffers: the file, read back, is not what was to be written.
    """
    data = document.data
    side_pictures = left_out(data, document.probe.format)
    stored = [_as_stored(edit, page) for edit, page in zip(edits, document.pages, strict=True)]
    first = stored[0]
    thumbnail = _thumbnail(document, edits[0])
    xmp = _renewed_xmp(document, thumbnail, side_pictures) if xmp is None else without_promises(xmp, side_pictures)
    match document.probe.format:
        case "JPEG":
            written = jpeg.write(data, first, thumbnail, xmp)
        case "PNG":
            written = Written(_with_png_exif(png.write(data, stored, xmp), thumbnail), "lossless")
        case "WEBP":
            written = webp.write(data, stored, document.lossless, xmp)
            written = replace(written, data=_with_webp_exif(written.data, thumbnail))
        case "GIF":
            written = Written(gif.write(data, stored, xmp), "lossless")
        case "BMP":
            written = bmp.write(data, first)
        case "TIFF":
            written = tiff.write(data, stored, thumbnail, xmp)
        case "AVIF":
            written = avif.write(data, first, thumbnail, xmp)
        case _:
            written = heic.write(data, first, thumbnail, xmp)
    written = read_back(document, edits, written, lambda file: decode(file, ANY).pages)
    return replace(written, left_out=(*side_pictures, *written.left_out))


def _pages(data: bytes, image: Image.Image, header: Probe, limits: Limits) -> list[Page]:
    match header.format:
        case "JPEG":
            pages = jpeg.read(data, image)
        case "PNG":
            pages = png.read(data, image, header.frames)
        case "WEBP":
            pages = webp.read(image, header.frames)
        case "GIF":
            pages = gif.read(image, header.frames)
        case "BMP":
            pages = bmp.read(image)
        case "TIFF":
            pages = tiff.read(data, limits)
        case "AVIF":
            pages = avif.read(data, image)
        case _:
            pages = heic.read(data, image)
    return pages


def _seen(page: Page) -> Page:
    return replace(page, samples=np.ascontiguousarray(turning.as_seen(page.samples, page.orientation)))


def _as_stored(edit: Edit, page: Page) -> Edit:
    return Edit(
        np.ascontiguousarray(turning.as_stored(edit.samples, page.orientation)),
        np.ascontiguousarray(turning.as_stored(edit.hole, page.orientation)),
    )


def _thumbnail(document: Document, edit: Edit) -> Thumbnail:
    """Thumbnails of the first page's outcome, as stored (EXIF turns both alike); most files have none."""

    @functools.cache
    def reduced() -> Thumbnail:
        page = replace(document.pages[0], samples=edit.samples)
        return thumbnail_of(turning.as_stored(page.views()[0].pixels, page.orientation))

    def made(side: int, quality: int) -> bytes:
        return reduced()(side, quality)

    return made


def _renewed_xmp(document: Document, thumbnail: Thumbnail, side_pictures: tuple[str, ...]) -> bytes | None:
    """The XMP packet with its thumbnails renewed; ``None`` where it has none, or stays as it is."""
    packet = xmp_of(document.data, document.probe.format)
    renewed = without_promises(with_xmp_thumbnails(packet, thumbnail), side_pictures) if packet else None
    return None if renewed == packet else renewed


def _with_png_exif(data: bytes, thumbnail: Thumbnail) -> bytes:
    parts = list(png_chunks.chunks(data))
    if not any(name == b"eXIf" for name, _ in parts):
        return data
    return png_chunks.joined(
        [(name, with_thumbnail(part, thumbnail, LONGEST_EXIF) if name == b"eXIf" else part) for name, part in parts]
    )


def _with_webp_exif(data: bytes, thumbnail: Thumbnail) -> bytes:
    parts = webp.chunks(data)
    if not any(name == b"EXIF" for name, _ in parts):
        return data
    renewed = []
    for name, part in parts:
        lead = 6 if part.startswith(b"Exif\0\0") else 0
        if name == b"EXIF":
            renewed.append((name, part[:lead] + with_thumbnail(part[lead:], thumbnail, LONGEST_EXIF)))
        else:
            renewed.append((name, part))
    return webp.joined(renewed)

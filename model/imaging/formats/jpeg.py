"""JPEG: spliced in the DCT domain where that is possible, else encoded again with the source's tables and sampling.

Either way every segment that describes the picture (profile, EXIF, XMP, IPTC, C2PA, comments) is the source's own.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from model.errors import ImageRejected
from model.imaging.formats import segments
from model.imaging.formats.coefficients import NotSpliceable
from model.imaging.formats.segments import Segment
from model.imaging.formats.sizing import LEAST_DB
from model.imaging.formats.splice import prove, repaired
from model.imaging.loss import similarity_db
from model.imaging.metadata.exif import Thumbnail, with_thumbnail
from model.imaging.metadata.photoshop import is_cut_off, with_photoshop_thumbnail
from model.imaging.picture import Edit, Page, Written
from model.imaging.probing import damaged, load
from model.imaging.side_pictures import in_extended_xmp, without_extension

#: Divides every entry of a quantisation table to 1.
_FINEST = 1 << 16


def read(data: bytes, image: Image.Image) -> list[Page]:
    """The picture, in its own colours.

    Raises:
        ImageRejected: the pixels are damaged, or of a coding that could not be written back.
    """
    load(image, ImageRejected, "image")
    try:
        marker = segments.frame(segments.split(data)[0]).marker
    except ValueError as error:
        raise damaged(error, ImageRejected, "image") from None
    if marker in segments.LOSSLESS:
        raise ImageRejected(
            "image_mode_unsupported", "The image is a lossless JPEG, which is not supported: save it as PNG or TIFF."
        )
    samples = np.array(image, np.uint8).reshape(image.height, image.width, -1)
    channels = samples.shape[2]
    return [Page(samples, "grey" if channels == 1 else "rgb" if channels == 3 else "cmyk")]


def write(data: bytes, edit: Edit, thumbnail: Thumbnail, xmp: bytes | None = None) -> Written:
    """``data`` with ``edit`` (as stored) in place of its samples; ``xmp`` replaces its XMP packet."""
    headers, _ = segments.split(data)
    try:
        coefficients = repaired(data, edit.samples, edit.hole)
        file = segments.under(_described(headers, thumbnail, xmp), coefficients.written())
        prove(data, file, coefficients, edit.hole)
    except NotSpliceable as reason:
        return Written(_recoded(data, edit, thumbnail, xmp), "recoded", f"Not spliced: {reason}.")
    if segments.restarts(data) and not segments.restarts(file):
        return Written(file, "spliced", "Its restart markers are left out.", ("restart_markers",))
    return Written(file, "spliced")


def sampling_mcu(data: bytes) -> tuple[int, int]:
    """Width and height of an MCU in px."""
    content = segments.frame(segments.split(data)[0]).content
    if content[5] == 1:
        return 8, 8
    factors = [content[7 + 3 * index] for index in range(content[5])]
    return 8 * max(factor >> 4 for factor in factors), 8 * max(factor & 15 for factor in factors)


def _recoded(data: bytes, edit: Edit, thumbnail: Thumbnail, xmp: bytes | None) -> bytes:
    """All of it encoded again with the source's tables and sampling; with finer ones where those lose too much."""
    samples = edit.samples
    with Image.open(io.BytesIO(data)) as source:
        tables = source.quantization  # type: ignore[attr-defined]
        # A sampling without a name (-1) becomes 4:4:4, which loses nothing.
        subsampling = max(get_sampling(source), 0)
        progressive = bool(source.info.get("progressive"))
    image = Image.fromarray(
        np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples),
        {1: "L", 3: "RGB", 4: "CMYK"}[samples.shape[2]],
    )
    outside = np.where(edit.hole > 0, np.uint8(0), np.uint8(255))
    for divisor, sampling in ((1, subsampling), (2, subsampling), (4, 0), (_FINEST, 0)):
        finer = {number: [max(1, value // divisor) for value in table] for number, table in tables.items()}
        out = io.BytesIO()
        image.save(out, "JPEG", qtables=finer, subsampling=sampling, progressive=progressive, optimize=True)
        coded = out.getvalue()
        with Image.open(io.BytesIO(coded)) as written:
            after = np.array(written, np.uint8).reshape(samples.shape)
        if similarity_db(samples, after, outside, alpha=False) >= LEAST_DB:
            break
    own, _ = segments.split(coded)
    headers, _ = segments.split(data)
    # The new file's Adobe marker states how its colours are coded, not the source's.
    kept = [segment for segment in headers if segment.marker != segments.APP14]
    if samples.shape[2] == 3 and not segments.has_jfif(kept):
        kept = [*(segment for segment in own if segment.marker == segments.APP0), *kept]
    kept += [segment for segment in own if segment.marker == segments.APP14]
    return segments.under(_described(kept, thumbnail, xmp), coded)


def _described(headers: list[Segment], thumbnail: Thumbnail, xmp: bytes | None) -> list[Segment]:
    """The segments that describe the picture, with thumbnails renewed.

    What points at pictures behind the first (MPF, ISO 21496-1) goes, as those do: they would still show the mark. So
    does extended XMP with pictures in it.
    """
    if xmp is not None and len(segments.XMP) + len(xmp) > segments.LONGEST:
        xmp = None  # longer than a segment: the source's own stays
    drops_extension = bool(in_extended_xmp(headers))
    if drops_extension:
        own = next((part.content for part in headers if part.content.startswith(segments.XMP)), segments.XMP)
        xmp = without_extension(own[len(segments.XMP) :] if xmp is None else xmp) or None
    replaced = (*((segments.XMP,) if xmp is not None else ()), *((segments.XMP_EXTENSION,) if drops_extension else ()))
    kept: list[Segment] = []
    photoshop = _photoshop(headers, thumbnail)
    for segment in headers:
        content = segment.content
        points = segment.marker == segments.APP2 and content.startswith(segments.MPF)
        points |= segment.marker == segments.APP2 and content.startswith(segments.GAIN_MAP)
        if points or not segments.describes(segment):
            continue
        if segment.marker == segments.APP0:
            if content.startswith(b"JFXX\0"):
                continue
            if content.startswith(b"JFIF\0"):
                content = content[:12] + b"\0\0"
        elif segment.marker == segments.APP1 and content.startswith(segments.EXIF):
            content = segments.EXIF + with_thumbnail(content[6:], thumbnail, segments.LONGEST - 6)
        elif segment.marker == segments.APP1 and content.startswith(replaced):
            continue
        elif _is_photoshop(segment):
            kept += photoshop
            photoshop = []
            continue
        kept.append(Segment(segment.marker, content))
    if xmp is not None:
        at = sum(segment.marker in (segments.APP0, segments.APP1) for segment in kept)
        kept.insert(at, Segment(segments.APP1, segments.XMP + xmp))
    return kept


def _is_photoshop(segment: Segment) -> bool:
    return segment.marker == segments.APP13 and segment.content.startswith(segments.PHOTOSHOP)


def _photoshop(headers: list[Segment], thumbnail: Thumbnail) -> list[Segment]:
    """Photoshop's resources with their thumbnail renewed, over as many segments as they need.

    Resources that are longer than a segment go on in the next one.
    """
    joined: list[bytes] = []
    for segment in filter(_is_photoshop, headers):
        content = segment.content.removeprefix(segments.PHOTOSHOP)
        if joined and is_cut_off(joined[-1]):
            joined[-1] += content
        else:
            joined.append(content)
    room = segments.LONGEST - len(segments.PHOTOSHOP)
    renewed = [with_photoshop_thumbnail(resources, thumbnail) for resources in joined]
    return [
        Segment(segments.APP13, segments.PHOTOSHOP + resources[at : at + room])
        for resources in renewed
        for at in range(0, max(len(resources), 1), room)
    ]

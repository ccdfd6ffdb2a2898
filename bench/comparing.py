"""Compares a result with its source by other decoders than the pipeline's: pixels, DCT coefficients, metadata."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from typing import Any

import cv2
import imagecodecs
import jpeglib
import numpy as np
import pillow_heif
import tifffile
from numpy.typing import NDArray
from PIL import Image

from model.cells import touched_cells
from model.imaging.formats import boxes, jpeg, png_chunks, tiff_repacked, tiff_strips
from model.imaging.metadata.reading import has_c2pa
from model.imaging.turning import as_stored
from model.repair.hole import Mask
from model.repair.task import Task

Samples = NDArray[Any]
#: Tags with the positions of thumbnails and strips: these may change, and their contents are compared elsewhere.
_PLACES = {0x0201, 0x0202, 273, 279, 324, 325}


def changed_coefficients(source: bytes, result: bytes, hole: Mask) -> int:
    """Number of DCT coefficients that differ outside the MCUs touched by ``hole`` (in the stored orientation)."""
    across, down = jpeg.sampling_mcu(source)
    touched = touched_cells(hole, down, across)
    changed = 0
    for old, new in zip(_coefficients(source), _coefficients(result), strict=True):
        different = (old != new).any(axis=(2, 3))
        tall, wide = round(old.shape[0] / touched.shape[0] + 0.49), round(old.shape[1] / touched.shape[1] + 0.49)
        inside = touched.repeat(max(1, tall), axis=0).repeat(max(1, wide), axis=1)
        inside = inside[: old.shape[0], : old.shape[1]]
        changed += int(((old != new) & ~inside[..., None, None] & different[..., None, None]).sum())
    return changed


def changed_in_strips(source: bytes, result: bytes, hole: Mask) -> int:
    """The same for the first page of a TIFF whose strips or tiles are JPEG."""
    with tifffile.TiffFile(io.BytesIO(source)) as before, tifffile.TiffFile(io.BytesIO(result)) as after:
        old, new = before.pages[0], after.pages[0]
        parts = dict(tiff_strips.touched(old, hole[..., None], hole))
        changed = 0
        for index in range(len(old.dataoffsets)):  # type: ignore[union-attr]
            pair = tiff_strips.whole_jpeg(before, old, index), tiff_strips.whole_jpeg(after, new, index)
            changed += changed_coefficients(*pair, parts[index].hole) if index in parts else int(pair[0] != pair[1])
        return changed


def _coefficients(data: bytes) -> list[NDArray[np.int16]]:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(data)
        file.flush()
        read_back = jpeglib.read_dct(file.name)
        return [plane for plane in (read_back.Y, read_back.Cb, read_back.Cr, read_back.K) if plane is not None]


def holes_of(task: Task) -> list[Mask]:
    """The hole of each page, in the orientation of the stored samples."""
    assert task.document is not None
    firsts = {part.page: part for part in reversed(task.parts)}
    return [
        np.ascontiguousarray(as_stored(firsts[number].hole, page.orientation))
        for number, page in enumerate(task.document.pages)
    ]


def pixels_of(data: bytes) -> Iterator[Samples]:
    """The stored samples of every frame or page; depths over 8 bits are scaled to 16."""
    with Image.open(io.BytesIO(data)) as image:
        if image.format == "TIFF":
            with tifffile.TiffFile(io.BytesIO(data)) as file:
                if tiff_repacked.is_needed(list(file.pages)):
                    yield np.array(image)
                    return
                for page in file.pages:
                    samples = page.asarray()
                    planes = getattr(page, "planarconfig", 1) == 2 and samples.ndim == 3
                    yield samples.transpose(1, 2, 0) if planes else samples
            return
        if image.format == "PNG" and data[24] == 16:
            yield np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
            return
        if image.format == "HEIF" and image.info.get("bit_depth", 8) > 8:
            yield np.asarray(pillow_heif.open_heif(data, convert_hdr_to_8bit=False)).reshape(*image.size[::-1], -1)
            return
        if image.format == "AVIF" and (deep := np.asarray(imagecodecs.avif_decode(data))).dtype == np.uint16:
            yield deep << (
                4 if data[data.find(b"av1C") + 6] & 0x20 else 6
            )  # the flag is set for 12 bits, else there are 10
            return
        # Pictures behind a JPEG (MPO), and those beside the primary one of a HEIC, are left out of a result.
        frames = 1 if image.format in ("MPO", "HEIF") else getattr(image, "n_frames", 1)
        for frame in range(frames):
            if frames > 1:
                image.seek(frame)
            several = frames > 1
            shown = image.convert("RGBA") if several or image.mode == "P" else image
            yield np.array(shown)


def lost_of(source: bytes, result: bytes) -> list[str]:
    """Names of the metadata and properties of the picture that differ between ``source`` and ``result``."""
    lost = []
    with Image.open(io.BytesIO(source)) as before, Image.open(io.BytesIO(result)) as after:
        format_name = str(before.format)
        facts = {
            "format": (before.format, after.format),
            "mode": (before.mode, after.mode),
            "size": (before.size, after.size),
            "frames": (getattr(before, "n_frames", 1), getattr(after, "n_frames", 1)),
        }
        for name in ("icc_profile", "xmp", "photoshop", "dpi", "comment", "duration", "loop", "transparency"):
            facts[name] = (before.info.get(name), after.info.get(name))
        facts["exif"] = (_exif(before), _exif(after))
        if format_name == "HEIF":
            for name in ("chroma", "bit_depth", "nclx_profile"):
                facts[name] = (before.info.get(name), after.info.get(name))
        if format_name == "AVIF":
            facts["coding"] = tuple(file[file.find(b"av1C") + 6] & 0x7C for file in (source, result))
            facts["colours, turn, light"] = tuple(_of_avif(file) for file in (source, result))
        if format_name == "JPEG":
            facts["tables"] = (before.quantization, after.quantization)  # type: ignore[attr-defined]
            facts["progressive"] = (before.info.get("progressive"), after.info.get("progressive"))
        if format_name == "TIFF":
            facts["tags"] = (_tags(before), _tags(after))
        lost += [name for name, (old, new) in facts.items() if old != new]
    if format_name == "PNG" and (source[24:29] != result[24:29]):
        lost.append("depth or interlacing")
    if format_name == "PNG":
        kept = {b"caBX", b"iCCP", b"pHYs", b"iTXt", b"acTL"}
        old, new = ([part for part in png_chunks.chunks(file) if part[0] in kept] for file in (source, result))
        lost += ["chunks"] if old != new else []
    if has_c2pa(source, format_name) != has_c2pa(result, format_name):
        lost.append("c2pa")
    return lost


def _of_avif(data: bytes) -> list[bytes]:
    """The properties that must survive, sorted; those of the colours without their range."""
    kept = {b"irot", b"imir", b"clli", b"colr"}
    properties = [part for kind, part in boxes.properties(data) if kind in kept]
    return sorted(part[:18] if part[8:12] == b"nclx" else part for part in properties)


def _exif(image: Image.Image) -> dict[int, Any]:
    try:
        return {tag: value for tag, value in image.getexif().items() if tag not in _PLACES}
    except (ValueError, SyntaxError):
        return {}  # text of a PNG that says it is EXIF, and is not


def _tags(image: Image.Image) -> dict[int, Any]:
    return {tag: value for tag, value in image.tag_v2.items() if tag not in _PLACES}  # type: ignore[attr-defined]

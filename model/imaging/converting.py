"""Converts a picture to the requested format, upright, with profile, EXIF and XMP.

PNG and TIFF keep the depth. TIFF and JPEG keep CMYK, which becomes sRGB by its profile in other formats. For JPEG,
transparent pictures get a white background.
"""

from __future__ import annotations

import io
import math
import time
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms

from model.errors import ImageRejected, ResultDiffers
from model.formats import READ
from model.imaging.coding import ANY, decode
from model.imaging.formats import png, png_chunks
from model.imaging.loss import similarity_db
from model.imaging.metadata.exif import thumbnail_of
from model.imaging.metadata.reading import xmp_of
from model.imaging.metadata.xmp import with_xmp_thumbnails
from model.imaging.picture import Document, Edit, Page, Samples, Written
from model.imaging.probing import exif

_QUALITY = {"JPEG": 92, "WEBP": 90, "AVIF": 80}
_ORIENTATION = 0x0112
#: Least similarity of a lossless copy: an animation's transparent colours may change where frames are laid together.
_LOSSLESS_DB = 60.0


def convert(document: Document, edits: list[Edit], target: str, xmp: bytes | None = None) -> Written:
    """The pages as a file of the format ``target`` (Pillow's name), without the smaller copies after them.

    Raises:
        ImageRejected: the document has several pages and the format holds one.
        ResultDiffers: the file, read back, is not what was to be written.
    """
    data = _converted(document, edits, target, xmp)
    begun = time.perf_counter()
    similarity = _read_back(document, edits[: document.probe.frames], data, target)
    return Written(data, "converted", similarity_db=similarity, read_back_s=time.perf_counter() - begun)


def _read_back(document: Document, edits: list[Edit], data: bytes, target: str) -> float | None:
    """The similarity of the converted file to the edits outside the mask, in dB; ``None``: its colours are others.

    PNG and TIFF have to be equal where they have the source's depth and channels.
    """
    try:
        pages = decode(data, ANY).pages
    except ImageRejected as error:
        raise ResultDiffers(target) from error
    if [page.samples.shape[:2] for page in pages] != [edit.samples.shape[:2] for edit in edits]:
        raise ResultDiffers(target)
    least = math.inf
    for source, page, edit in zip(document.pages, pages, edits, strict=False):
        if (page.colour, page.samples.shape, page.samples.dtype) != (
            source.colour,
            edit.samples.shape,
            edit.samples.dtype,
        ):
            return None
        outside = np.where(edit.hole > 0, np.uint8(0), np.uint8(255))
        least = min(least, similarity_db(edit.samples, page.samples, outside, alpha=page.alpha))
    if target in ("PNG", "TIFF") and least < _LOSSLESS_DB:
        raise ResultDiffers(target, least)
    return least


def _converted(document: Document, edits: list[Edit], target: str, xmp: bytes | None) -> bytes:
    edits = edits[: document.probe.frames]
    if len(edits) > 1 and not READ[target].holds_several:
        raise ImageRejected(
            "image_output_unsupported",
            f"The image has {len(edits)} frames and {target} holds one: ask for png, webp or tiff.",
        )
    metadata, durations = _metadata(document)
    if xmp is not None:
        metadata["xmp"] = xmp
    elif "xmp" in metadata:
        shown = replace(document.pages[0], samples=edits[0].samples).views()[0].pixels
        metadata["xmp"] = with_xmp_thumbnails(metadata["xmp"], thumbnail_of(shown))
    pages = list(zip(document.pages, edits, strict=False))
    if len(pages) == 1 and edits[0].samples.dtype == np.uint16 and target in ("PNG", "TIFF"):
        return _deep(document.pages[0], edits[0].samples, target, metadata)
    images = [_image(page, edit.samples, target, metadata) for page, edit in pages]
    out = io.BytesIO()
    images[0].save(out, target, **_options(target, metadata, images, durations, lossless=document.lossless))
    return out.getvalue()


def _metadata(document: Document) -> tuple[dict[str, Any], list[int]]:
    """The picture's metadata, its EXIF orientation set to upright, and the durations of its frames in ms."""
    metadata: dict[str, Any] = {}
    durations = []
    with Image.open(io.BytesIO(document.data), formats=[*READ]) as source:
        metadata["icc_profile"] = source.info.get("icc_profile")
        metadata["dpi"] = source.info.get("dpi")
        metadata["xmp"] = xmp_of(document.data, document.probe.format)
        described = exif(document.data, source)
        if described:
            described[_ORIENTATION] = 1
            metadata["exif"] = described.tobytes()
        for index in range(document.probe.frames):
            source.seek(index)
            durations.append(int(source.info.get("duration") or 100))
    return {name: value for name, value in metadata.items() if value}, durations


def _image(page: Page, samples: Samples, target: str, metadata: dict[str, Any]) -> Image.Image:
    shallow = (samples >> 8).astype(np.uint8) if samples.dtype == np.uint16 else samples
    if page.colour == "cmyk":
        image = Image.fromarray(np.ascontiguousarray(shallow), "CMYK")
        return image if target in ("JPEG", "TIFF") else _as_srgb(image, metadata)
    image = Image.fromarray(np.ascontiguousarray(shallow[..., 0] if shallow.shape[2] == 1 else shallow))
    if page.alpha and target == "JPEG":
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("L" if page.colour == "grey" else "RGB")
    return image if target in ("PNG", "TIFF", "JPEG") else image.convert("RGBA" if page.alpha else "RGB")


def _as_srgb(image: Image.Image, metadata: dict[str, Any]) -> Image.Image:
    profile = metadata.pop("icc_profile", None)
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            changed = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            changed = None
        if changed is not None:
            return changed
    return image.convert("RGB")


def _options(
    target: str, metadata: dict[str, Any], images: list[Image.Image], durations: list[int], *, lossless: bool
) -> dict[str, Any]:
    options = dict(metadata)
    if target == "PNG" and "xmp" in options:
        from PIL.PngImagePlugin import PngInfo

        packet = PngInfo()
        packet.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode("utf-8", "replace"))
        options["pnginfo"] = packet
    if target == "TIFF":
        options.pop("exif", None)
        options["compression"] = "tiff_adobe_deflate"
        if "xmp" in options:
            options["tiffinfo"] = {700: options.pop("xmp")}
    if target in _QUALITY:
        options["quality"] = _QUALITY[target]
    if target == "WEBP":
        options |= {"lossless": lossless, "exact": True}
    if len(images) > 1:
        options |= {"save_all": True, "append_images": images[1:]}
        if target != "TIFF":
            options |= {"duration": durations, "loop": 0}
    return options


def _deep(page: Page, samples: Samples, target: str, metadata: dict[str, Any]) -> bytes:
    """Encode samples of 16 bits, which Pillow does not write."""
    flat = np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    profile = metadata.get("icc_profile")
    if target == "TIFF":
        out = io.BytesIO()
        shown = {"grey": "minisblack", "rgb": "rgb", "cmyk": "separated"}[page.colour]
        tifffile.imwrite(
            out, flat, photometric=shown, compression="adobe_deflate", iccprofile=profile, metadata=None,
            extrasamples=["unassalpha"] if page.alpha else None,
        )  # fmt: skip
        return out.getvalue()
    if page.colour == "cmyk":
        inks = Image.fromarray((flat >> 8).astype(np.uint8), "CMYK")
        flat = np.array(_as_srgb(inks, dict(metadata)), np.uint16) * 257
        profile = None
    parts = list(png_chunks.chunks(bytes(imagecodecs.png_encode(flat, level=6))))
    if profile:
        parts.insert(1, png.profile_chunk(profile))
    if "exif" in metadata:
        parts.insert(1, (b"eXIf", metadata["exif"].removeprefix(b"Exif\0\0")))
    return png_chunks.joined(parts)

"""One picture in every kind of file that Cleanplate takes, made here from a photo: what fidelity is measured on.

    python -m bench.corpus PHOTO FOLDER      writes the files, to look at them or to try them elsewhere

Files carry a profile, EXIF with a thumbnail, XMP, IPTC, density and C2PA bytes wherever their format has a place.
"""

from __future__ import annotations

import argparse
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from model.imaging.formats import coded, png, segments, webp
from model.imaging.formats.segments import Segment

Pixels = NDArray[np.uint8]
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="shop"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
#: An IPTC caption in Photoshop's resources, and the beginning of a C2PA manifest store.
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0a\x1c\x02\x78\0\5shirt"
JUMBF = b"\0\0\0\x1ejumb\0\0\0\x16jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71"
DENSITY = (300, 300)


@dataclass(frozen=True)
class Case:
    """A file of the corpus."""

    #: ``jpeg-progressive-420`` and the like.
    name: str
    data: bytes


def cases(photo: Image.Image) -> Iterator[Case]:
    """Every kind of file, each with ``photo`` (RGB) as its content."""
    for family in (_jpeg, _jpeg_turned, _jpeg_four, _png, _png_by_hand, _webp, _modern, _tiff, _bmp, _gif):
        for name, make in family(photo.convert("RGB")):
            yield Case(name, make())


Recipe = tuple[str, Callable[[], bytes]]


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    """``image`` as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(image: Image.Image, orientation: int = 1) -> bytes:
    """EXIF with orientation, camera, copyright and a thumbnail of ``image``, from its byte order on."""
    small = image.convert("RGB").copy()
    small.thumbnail((96, 96))
    thumbnail = file_of(small, "JPEG", quality=80)
    texts = {0x010F: b"Maker\0", 0x8298: b"The shop owns this\0"}
    count, at = 1 + len(texts), 8 + 2 + 12 * 3 + 4
    entries, behind = [], b""
    for tag, text in (*texts.items(), (0x0112, b"")):
        if tag == 0x0112:
            entries.append(struct.pack("<HHIHH", tag, 3, 1, orientation, 0))
        else:
            entries.append(struct.pack("<HHII", tag, 2, len(text), at + len(behind)))
            behind += text + b"\0" * (len(text) % 2)
    second = at + len(behind)
    first = struct.pack("<H", count) + b"".join(sorted(entries, key=lambda part: struct.unpack("<H", part[:2])))
    data_at = second + 2 + 12 * 3 + 4
    pairs = ((0x0103, 3, 6), (0x0201, 4, data_at), (0x0202, 4, len(thumbnail)))
    ifd1 = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in pairs)
    head = b"II*\0" + struct.pack("<I", 8) + first + struct.pack("<I", second) + behind
    return head + ifd1 + struct.pack("<I", 0) + thumbnail


def _described(jpeg: bytes, told: bytes) -> bytes:
    """A JPEG with everything that a shop's camera, editor and signing software leave in one."""
    headers, _ = segments.split(jpeg)
    described = [segment for segment in headers if segments.describes(segment)]
    icc = Segment(segments.APP2, b"ICC_PROFILE\0\1\1" + ICC)
    described += [
        Segment(segments.APP1, segments.EXIF + told), Segment(segments.APP1, segments.XMP + XMP),
        Segment(segments.APP13, IPTC), icc, Segment(segments.APP11, b"JP\0\1\0\0\0\1" + JUMBF),
        Segment(segments.COM, b"a comment"),
    ]  # fmt: skip
    return segments.under(described, jpeg)


def _jpeg(photo: Image.Image) -> Iterator[Recipe]:
    def make(image: Image.Image, **options: Any) -> Callable[[], bytes]:
        return lambda: _described(file_of(image, "JPEG", quality=86, dpi=DENSITY, **options), exif(image))

    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        yield f"jpeg-baseline-{name}", make(photo, subsampling=subsampling)
        yield f"jpeg-progressive-{name}", make(photo, subsampling=subsampling, progressive=True)
    yield "jpeg-optimised-420", make(photo, optimize=True)
    yield "jpeg-restart-markers-420", make(photo, restart_marker_blocks=4)
    yield "jpeg-restart-markers-444", make(photo, subsampling=0, restart_marker_rows=1)
    yield "jpeg-grey", make(photo.convert("L"))
    yield "jpeg-grey-progressive", make(photo.convert("L"), progressive=True)
    yield "jpeg-rgb", make(photo, keep_rgb=True)
    odd = photo.crop((0, 0, photo.width - 3, photo.height - 5))
    yield "jpeg-odd-size-420", make(odd)


def _jpeg_turned(photo: Image.Image) -> Iterator[Recipe]:
    def make(orientation: int) -> Callable[[], bytes]:
        return lambda: _described(file_of(photo, "JPEG", quality=86), exif(photo, orientation))

    for orientation in range(1, 9):
        yield f"jpeg-orientation-{orientation}", make(orientation)


def _jpeg_four(photo: Image.Image) -> Iterator[Recipe]:
    inks = photo.convert("CMYK")
    yield "jpeg-cmyk", lambda: _described(file_of(inks, "JPEG", quality=90), exif(photo))
    yield "jpeg-cmyk-progressive", lambda: _described(file_of(inks, "JPEG", quality=90, progressive=True), exif(photo))
    for name in ("444", "420"):
        yield f"jpeg-ycck-{name}", lambda name=name: _described(_ycck(inks, name), exif(photo))  # type: ignore[misc]


def _ycck(inks: Image.Image, subsampling: str) -> bytes:
    inverted = 255 - np.asarray(inks)
    return bytes(
        imagecodecs.jpeg8_encode(inverted, level=90, colorspace="CMYK", outcolorspace="YCCK", subsampling=subsampling)
    )


def _told_png(data: bytes) -> bytes:
    """A PNG with the chunks that carry what is told about a picture."""
    parts = list(png.chunks(data))
    with Image.open(io.BytesIO(data)) as image:
        told = exif(image)
    density = struct.pack(">IIB", 11811, 11811, 1)
    extra = [
        png.profile_chunk(ICC), (b"pHYs", density), (b"eXIf", told),
        (b"iTXt", png.XMP_KEYWORD + b"\0" * 5 + XMP), (b"caBX", JUMBF),
    ]  # fmt: skip
    if data[25] in (0, 4):
        extra.pop(0)  # a grey picture takes a grey profile only
    return png.joined([parts[0], *extra, *parts[1:]])


def _png(photo: Image.Image) -> Iterator[Recipe]:
    alpha = photo.convert("L").point(lambda value: 255 - value // 3)
    with_alpha = photo.copy()
    with_alpha.putalpha(alpha)
    grey_alpha = photo.convert("LA")
    grey_alpha.putalpha(alpha)
    stills = {
        "rgb-8": photo, "rgba-8": with_alpha, "grey-8": photo.convert("L"), "grey-alpha-8": grey_alpha,
        "grey-1": photo.convert("1"), "palette-8": photo.quantize(200),
    }  # fmt: skip
    for name, image in stills.items():
        yield f"png-{name}", lambda image=image: _told_png(file_of(image, "PNG"))  # type: ignore[misc]
    for bits, colours in ((1, 2), (2, 4), (4, 14)):
        image = photo.quantize(colours)
        yield f"png-palette-{bits}", lambda image=image, bits=bits: _told_png(file_of(image, "PNG", bits=bits))  # type: ignore[misc]
    clear = photo.quantize(120)
    yield "png-palette-transparent", lambda: _told_png(file_of(clear, "PNG", transparency=3))
    deep = deep_of(photo)
    planes = {"rgb": deep, "rgba": np.dstack((deep, deep[..., 0])), "grey": deep[..., 1].copy()}
    planes["grey-alpha"] = np.dstack((deep[..., 1], deep[..., 0]))
    for name, samples in planes.items():
        yield f"png-{name}-16", lambda samples=samples: _told_png(bytes(imagecodecs.png_encode(samples)))  # type: ignore[misc]
    frames = _frames(photo)
    yield "png-animated", lambda: file_of(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=80)
    yield (
        "png-animated-parts",
        lambda: file_of(photo, "PNG", save_all=True, append_images=_moving(photo), duration=[60, 90, 120], blend=1),
    )


def deep_of(photo: Image.Image) -> NDArray[np.uint16]:
    """16 bits of which all are used: ``[H, W, 3]``."""
    noise = np.random.default_rng(5).integers(0, 256, (photo.height, photo.width, 3))
    return (np.asarray(photo).astype(np.uint16) * 256 + noise).astype(np.uint16)


def _png_by_hand(photo: Image.Image) -> Iterator[Recipe]:
    """What no library at hand writes: low depths of grey, and interlacing (specification, section 8)."""
    grey = np.asarray(photo.convert("L"))
    for bits in (2, 4):
        yield f"png-grey-{bits}", lambda bits=bits: _told_png(_plain(grey >> (8 - bits), bits, 0))  # type: ignore[misc]
    yield "png-interlaced", lambda: _told_png(_plain(np.asarray(photo), 8, 2, interlaced=True))
    palette = photo.quantize(16)
    yield (
        "png-interlaced-palette-4",
        lambda: _told_png(
            _plain(np.asarray(palette), 4, 3, interlaced=True, table=bytes(palette.getpalette() or b"")[:48])
        ),
    )


def _plain(samples: Pixels, depth: int, kind: int, *, interlaced: bool = False, table: bytes = b"") -> bytes:
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, across in passes:
        part = samples[top::down, left::across]
        if depth < 8:
            per = 8 // depth
            part = np.pad(part, ((0, 0), (0, -part.shape[1] % per))).reshape(part.shape[0], -1, per)
            shifts = np.arange(per - 1, -1, -1) * depth
            part = np.bitwise_or.reduce(part.astype(np.uint8) << shifts.astype(np.uint8), axis=2)
        flat = part.reshape(part.shape[0], -1) if part.size else part.reshape(0, 0)
        rows += np.pad(flat, ((0, 0), (1, 0))).astype(np.uint8).tobytes()
    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, kind, 0, 0, interlaced)
    middle = [(b"PLTE", table)] if table else []
    return png.joined([(b"IHDR", head), *middle, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def _frames(photo: Image.Image) -> list[Image.Image]:
    return [photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), photo.rotate(4)]


def _moving(photo: Image.Image) -> list[Image.Image]:
    """The same picture with a small square that moves: most of a frame is what was there before."""
    found = []
    for step in range(2):
        image = photo.copy()
        image.paste(
            (200, 40 + 90 * step, 60), (10 + 20 * step, photo.height // 2, 40 + 20 * step, photo.height // 2 + 20)
        )
        found.append(image)
    return found


def _told_webp(data: bytes) -> bytes:
    return webp.joined([*webp.chunks(data), (b"C2PA", JUMBF)])


def _webp(photo: Image.Image) -> Iterator[Recipe]:
    alpha = photo.copy()
    alpha.putalpha(photo.convert("L"))
    told = {"icc_profile": ICC, "exif": b"Exif\0\0" + exif(photo), "xmp": XMP}
    for name, image in (("rgb", photo), ("alpha", alpha)):
        yield f"webp-lossy-{name}", lambda image=image: _told_webp(file_of(image, "WEBP", quality=82, **told))  # type: ignore[misc]
        yield (
            f"webp-lossless-{name}",
            lambda image=image: _told_webp(  # type: ignore[misc]
                file_of(image, "WEBP", lossless=True, exact=True, **told)
            ),
        )
    yield "webp-plain", lambda: file_of(photo, "WEBP", quality=82)
    for name, lossless in (("lossless", True), ("lossy", False)):
        yield (
            f"webp-animated-{name}",
            lambda lossless=lossless: file_of(  # type: ignore[misc]
                photo, "WEBP", save_all=True, append_images=_moving(photo), duration=80, lossless=lossless, exact=True
            ),
        )


def _modern(photo: Image.Image) -> Iterator[Recipe]:
    alpha = photo.copy()
    alpha.putalpha(photo.convert("L"))
    told = {"icc_profile": ICC, "exif": b"Exif\0\0" + exif(photo), "xmp": XMP}
    box = (24 + len(JUMBF)).to_bytes(4, "big") + b"uuid" + coded.C2PA_BOX + JUMBF
    yield "avif-8", lambda: file_of(photo, "AVIF", quality=80, speed=9, **told) + box
    yield "avif-alpha", lambda: file_of(alpha, "AVIF", quality=80, speed=9)
    yield "avif-10", lambda: bytes(imagecodecs.avif_encode(deep_of(photo) >> 6, bitspersample=10, level=80, speed=9))
    yield "heic-8", lambda: file_of(photo, "HEIF", quality=80, **told) + box
    yield "heic-alpha", lambda: file_of(alpha, "HEIF", quality=80)

    def ten_bits() -> bytes:
        out = io.BytesIO()
        pillow_heif.from_bytes("RGB;16", photo.size, deep_of(photo).tobytes()).save(out, quality=85)
        return out.getvalue()

    yield "heic-10", ten_bits


def _tiff(photo: Image.Image) -> Iterator[Recipe]:
    packings = {"plain": None, "lzw": "tiff_lzw", "deflate": "tiff_adobe_deflate", "packbits": "packbits"}
    told: dict[str, Any] = {"dpi": DENSITY, "icc_profile": ICC, "tiffinfo": {700: XMP, 33723: b"\x1c\x02\x78\0\5shirt"}}
    for name, packing in packings.items():
        yield f"tiff-rgb-{name}", lambda packing=packing: file_of(photo, "TIFF", compression=packing, **told)  # type: ignore[misc]
    for mode, name in (("L", "grey"), ("CMYK", "cmyk"), ("RGBA", "rgba"), ("1", "1"), ("P", "palette")):
        image = photo.quantize(200) if mode == "P" else photo.convert(mode)
        yield f"tiff-{name}", lambda image=image: file_of(image, "TIFF", compression="tiff_lzw", dpi=DENSITY)  # type: ignore[misc]
    deep = deep_of(photo)

    def written(samples: NDArray[Any], **options: Any) -> Callable[[], bytes]:
        def make() -> bytes:
            out = io.BytesIO()
            tifffile.imwrite(out, samples, metadata=None, iccprofile=ICC, **options)
            return out.getvalue()

        return make

    yield "tiff-rgb-16", written(deep, photometric="rgb", compression="lzw", predictor=True, rowsperstrip=16)
    yield "tiff-rgb-16-big-endian", written(deep, photometric="rgb", byteorder=">")
    yield (
        "tiff-rgb-16-planes",
        written(deep.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", compression="zlib"),
    )
    yield "tiff-cmyk-16", written(np.dstack((deep, deep[..., :1] // 4)), photometric="separated")
    yield (
        "tiff-grey-16-tiles",
        written(deep[..., 0], photometric="minisblack", tile=(64, 64), compression="zlib", predictor=True),
    )
    yield "tiff-bigtiff", written(np.asarray(photo), photometric="rgb", bigtiff=True, compression="lzw")
    yield (
        "tiff-pages",
        lambda: file_of(photo, "TIFF", save_all=True, append_images=_frames(photo)[1:], compression="tiff_lzw"),
    )


def _bmp(photo: Image.Image) -> Iterator[Recipe]:
    for name, image in (
        ("24", photo),
        ("8", photo.quantize(250)),
        ("grey", photo.convert("L")),
        ("1", photo.convert("1")),
    ):
        yield f"bmp-{name}", lambda image=image: file_of(image, "BMP", dpi=DENSITY)  # type: ignore[misc]
    yield "bmp-32", lambda: file_of(photo.convert("RGBA"), "BMP")


def _gif(photo: Image.Image) -> Iterator[Recipe]:
    yield "gif", lambda: file_of(photo.quantize(200), "GIF", comment=b"a comment")
    yield "gif-interlaced", lambda: file_of(photo.quantize(64), "GIF", interlace=True)
    frames = [frame.quantize(128) for frame in (photo, *_moving(photo))]
    yield (
        "gif-animated",
        lambda: file_of(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=[80, 120, 90], loop=0),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("folder", type=Path, help="where the files go; made if missing")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with Image.open(options.photo) as photo:
        for case in cases(photo):
            (options.folder / f"{case.name}.{case.name.split('-')[0]}").write_bytes(case.data)


if __name__ == "__main__":
    main()

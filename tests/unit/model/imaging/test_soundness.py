"""A damaged file is refused with a type, or its pixels are equal bit by bit: it is never half a picture."""

from __future__ import annotations

import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageRejected, MaskRejected, ModelError
from model.imaging import Limits, probe
from model.imaging.coding import decode
from model.imaging.formats import png_chunks, segments
from model.imaging.mask_files import decode_mask, pixel_mask
from model.imaging.metadata.reading import xmp_of
from model.imaging.view import view
from model.repair.task import read, write
from model.watermark.files import clean

LIMITS = Limits(max_bytes=10**7, max_pixels=10**6)
MASK = b'{"boxes": [[2, 2, 9, 7]]}'
ORIENTATION = 0x0112


def photo(height: int = 90, width: int = 70, seed: int = 0) -> NDArray[np.uint8]:
    steps = np.random.default_rng(seed).integers(-3, 4, (height, width, 3))
    return np.cumsum(steps, axis=0).astype(np.uint8)


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def animated() -> bytes:
    frames = [Image.fromarray(photo(40, 30, seed)) for seed in range(3)]
    return file_of(frames[0], "PNG", save_all=True, append_images=frames[1:])


def deep() -> bytes:
    done, coded = cv2.imencode(".png", photo(40, 30).astype(np.uint16) * 257)
    assert done
    return coded.tobytes()


PNGS = {
    "rgb": file_of(Image.fromarray(photo()), "PNG"),
    "grey": file_of(Image.fromarray(photo()).convert("L"), "PNG"),
    "bits": file_of(Image.fromarray(photo()).convert("1"), "PNG"),
    "palette": file_of(Image.fromarray(photo()).quantize(16), "PNG"),
    "deep": deep(),
    "animated": animated(),
}


def damaged(data: bytes, *, right_crc: bool) -> Iterator[bytes]:
    """``data`` with flipped bits, zeros or a cut at many places of its picture data."""
    parts = list(png_chunks.chunks(data))
    for number, (name, content) in enumerate(parts):
        if name not in (b"IDAT", b"fdAT"):
            continue
        lead = 4 if name == b"fdAT" else 0
        # Every byte of the last hundred, where Pillow alone misses the damage.
        places = {
            *range(lead, len(content), max(1, len(content) // 60)),
            *range(max(lead, len(content) - 100), len(content)),
        }
        for at in sorted(places):
            for change in (bytes((content[at] ^ 0x01,)), bytes((content[at] ^ 0x40,)), bytes(24)):
                changed = (content[:at] + change + content[at + len(change) :])[: len(content)]
                if changed == content:
                    continue
                joined = png_chunks.joined([*parts[:number], (name, changed), *parts[number + 1 :]])
                if not right_crc:
                    start = joined.index(changed) + len(changed)
                    joined = joined[:start] + zlib.crc32(name + content).to_bytes(4, "big") + joined[start + 4 :]
                yield joined


def same_pixels(data: bytes, other: bytes) -> bool:
    one, two = decode(data, LIMITS), decode(other, LIMITS)
    pairs = zip(one.pages, two.pages, strict=True)
    return all(np.array_equal(page.samples, also.samples) for page, also in pairs)


@pytest.mark.parametrize("right_crc", [True, False])
@pytest.mark.parametrize("name", PNGS)
def test_damaged_picture_data_of_a_png_gives_its_pixels_or_a_typed_refusal(name: str, right_crc: bool) -> None:
    ends: Counter[str] = Counter()
    for data in damaged(PNGS[name], right_crc=right_crc):
        try:
            assert same_pixels(data, PNGS[name])
            ends["same pixels"] += 1
        except ImageRejected as refusal:
            ends[refusal.code] += 1
    assert set(ends) <= {"same pixels", "image_unreadable", "image_truncated"}
    assert ends["image_unreadable"] + ends["image_truncated"] > 100


def holes(data: bytes) -> bytes:
    at = data.index(b"IDAT") + len(data) // 2
    return data[:at] + bytes(400) + data[at + 400 :]


READERS: dict[str, Callable[[bytes], object]] = {
    "picture": lambda data: decode(data, LIMITS),
    "repair": lambda data: read(data, MASK, limits=LIMITS),
    "templates": lambda data: clean(data, [], limits=LIMITS),
    "mask": lambda data: decode_mask(data, LIMITS, width=70, height=90, threshold=1, max_marked_share=1),
    "mask of a template": lambda data: pixel_mask(data, LIMITS, threshold=1),
    "view": lambda data: view(data, LIMITS),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_png_with_a_hole_in_its_data_is_refused_wherever_it_is_read(reader: str) -> None:
    READERS[reader](PNGS["rgb"])
    with pytest.raises((ImageRejected, MaskRejected)) as refusal:
        READERS[reader](holes(PNGS["rgb"]))
    assert refusal.value.code.endswith(("_unreadable", "_truncated"))


def test_probing_a_png_decodes_no_pixel() -> None:
    """Its header is right, and nothing else of it is: a decoder would complain."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = file_of(Image.fromarray(photo()), "PNG", exif=exif)
    facts = probe(holes(data), LIMITS)
    assert (facts.width, facts.height) == (90, 70)


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("kind", ["exif", "xmp"])
def test_orientation_of_a_png_is_read_before_and_behind_its_pixels(kind: str, late: bool) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    text = png_chunks.XMP_KEYWORD + b"\0" * 5 + packet
    chunk = (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) if kind == "exif" else (b"iTXt", text)
    parts = list(png_chunks.chunks(file_of(Image.fromarray(photo()), "PNG")))
    data = png_chunks.joined([*parts[:-1], chunk, parts[-1]] if late else [parts[0], chunk, *parts[1:]])
    assert probe(data, LIMITS).width == 90
    page = decode(data, LIMITS).pages[0]
    assert page.orientation == 6
    assert np.array_equal(page.samples, np.rot90(photo(), -1))
    assert xmp_of(data, "PNG") == (packet if kind == "xmp" else None)


def test_a_compressed_xmp_packet_of_a_png_is_read() -> None:
    parts = list(png_chunks.chunks(file_of(Image.fromarray(photo()), "PNG")))
    chunk = (b"iTXt", png_chunks.XMP_KEYWORD + b"\0\1\0en\0name\0" + zlib.compress(b"<x:xmpmeta/>"))
    assert png_chunks.xmp_of(png_chunks.joined([parts[0], chunk, *parts[1:]])) == b"<x:xmpmeta/>"


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}, {"quality": 100, "subsampling": 0}]
)
@pytest.mark.parametrize("lacking", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_marker_is_repaired_with_a_note(options: dict[str, Any], lacking: int) -> None:
    data = file_of(Image.fromarray(photo()), "JPEG", **options)
    assert same_pixels(data[:-lacking], data)
    results = []
    for source in (data, data[:-lacking]):
        task = read(source, MASK, limits=LIMITS)
        results.append(write(task, [np.full_like(part.picture.pixels, 90) for part in task.parts]))
    assert results[0].data == results[1].data
    assert "reason" not in results[0].record or "end marker" not in results[0].record["reason"]
    assert "no end marker" in results[1].record["reason"]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_a_jpeg_that_is_cut_off_is_refused(options: dict[str, Any]) -> None:
    data = file_of(Image.fromarray(photo()), "JPEG", **options)
    ends: Counter[str] = Counter()
    cuts = {*range(3, 60), *range(60, len(data), 37), *(at for at, _ in scans_of(data))}
    for cut in sorted(cuts):
        shorter = data[: len(data) - cut]
        try:
            decode(shorter, LIMITS)
            ends["whole"] += 1
            assert cut == 3, "only padding may be missing"
            assert same_pixels(shorter, data)
        except ImageRejected as refusal:
            ends[refusal.code] += 1
    assert ends["image_truncated"] > 50


def scans_of(data: bytes) -> Iterator[tuple[int, int]]:
    """How much to cut off so that the file ends where a scan, its tables or a restart interval begins."""
    for at in range(len(data) - 1):
        if data[at] == 0xFF and (data[at + 1] in (segments.SOS, segments.DHT) or 0xD0 <= data[at + 1] <= 0xD7):
            yield len(data) - at, data[at + 1]


@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"])
def test_a_tiff_that_is_cut_off_is_refused(compression: str) -> None:
    import tifffile

    out = io.BytesIO()
    packing = {"tiff_lzw": "lzw", "tiff_adobe_deflate": "adobe_deflate", "raw": None}.get(compression, compression)
    tifffile.imwrite(out, photo(160, 96), photometric="rgb", compression=packing, rowsperstrip=16)
    data = out.getvalue()
    for cut in (1, 2, 3, 5, 9, 40, 400, len(data) // 2):
        try:
            assert same_pixels(data[: len(data) - cut], data)
            assert cut < 3, "an end code may be missing"
        except ModelError as refusal:
            assert refusal.code.startswith("image_")

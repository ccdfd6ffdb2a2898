"""What is left of a picture outside the mark: every kind of file through the whole pipeline, held against its source.

    python -m bench.fidelity PHOTO… [--out fidelity.json]

For each file of the corpus: same format, size, mode, depth and profile; what is told about the picture; pixels changed
outside the widened mask (lossless files) or DCT coefficients outside the MCUs that it touches (JPEG); and the size.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import jpeglib
import numpy as np
import pillow_heif
import tifffile
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.corpus import Case, cases
from model.imaging import Limits
from model.imaging.coding import encode
from model.imaging.formats import boxes, jpeg, png, tiff_strips
from model.imaging.formats.splice import touched_mcus
from model.imaging.metadata.reading import has_c2pa
from model.imaging.picture import Edit
from model.imaging.turning import as_stored
from model.inpainter import LaMaInpainter
from model.masks import Mask
from model.repair import Task, fill_parts, read, write

LIMITS = Limits(max_bytes=10**9, max_pixels=10**9)
Samples = NDArray[Any]
#: Where thumbnails and strips lie may change; what they hold is compared elsewhere.
_PLACES = {0x0201, 0x0202, 273, 279, 324, 325}
#: Lossy formats in which nothing can be spliced: how far pixels may be off outside the mask is reported, not promised.
RECODED = ("webp-lossy", "webp-plain", "webp-animated-lossy", "avif", "heic")


@dataclass(frozen=True)
class Row:
    """One file's outcome."""

    name: str
    written: str
    #: What is not as it was, in words; empty: all is.
    lost: list[str]
    #: Pixels outside the mask that changed; for JPEG, coefficients outside touched MCUs. ``None``: not promised.
    changed: int | None
    #: Mean of the absolute difference outside the mask, in levels of 255.
    mean_difference: float
    #: Size of the result over that of the source.
    size: float
    #: The same for JPEG when nothing is repaired: what thumbnails made anew and restart markers left out come to.
    #: What is left of ``size`` is the content of the mask.
    unrepaired: float | None
    #: Whether anything in the mask changed.
    repaired: bool


def measure(case: Case, inpainter: LaMaInpainter) -> Row:
    """``case`` through the pipeline, with a mark in its lower third."""
    with Image.open(io.BytesIO(case.data)) as image:
        turned = image.format != "HEIF" and image.getexif().get(0x0112, 1) in range(5, 9)
        size = image.size[::-1] if turned else image.size
    task = read(case.data, mark(*size), limits=LIMITS)
    repaired = write(task, fill_parts(task, inpainter.run, lambda _: None))
    row = compare(case, repaired.data, task, repaired.record["written"])
    return replace(row, unrepaired=_unrepaired(case, task)) if case.name.startswith("jpeg") else row


def _unrepaired(case: Case, task: Task) -> float:
    assert task.document is not None
    as_it_was = [Edit(page.samples, np.zeros(page.samples.shape[:2], np.uint8)) for page in task.document.pages]
    return len(encode(task.document, as_it_was).data) / len(case.data)


def mark(width: int, height: int) -> bytes:
    """A mask: letters across the lower third, as a PNG."""
    mask = np.zeros((height, width), np.uint8)
    scale = width / 260
    cv2.putText(
        mask,
        "SHOP.EXAMPLE",
        (width // 10, height * 3 // 4),
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        255,
        max(1, round(3 * scale)),
    )
    out = io.BytesIO()
    Image.fromarray(mask).save(out, "PNG")
    return out.getvalue()


def compare(case: Case, result: bytes, task: Task, written: str) -> Row:
    """``result`` held against ``case``, both read by other means than the pipeline's."""
    before, after = list(_pixels(case.data)), list(_pixels(result))
    assert task.document is not None
    holes = _holes(task)
    lost = _lost(case.data, result)
    if [part.shape for part in before] != [part.shape for part in after]:
        lost.append("size, mode or frames")
        return Row(case.name, written, lost, None, 0, len(result) / len(case.data), None, repaired=False)
    changed, differences, repaired = 0, [], False
    for old, new, hole in zip(before, after, holes, strict=True):
        if old.dtype != new.dtype:
            lost.append("depth")
        different = (old != new).reshape(*hole.shape, -1).any(axis=2)
        changed += int((different & (hole == 0)).sum())
        repaired |= bool((different & (hole > 0)).any())
        apart = np.abs(old.astype(np.float64) - new).reshape(*hole.shape, -1)[hole == 0]
        differences.append(float(apart.mean()) / (257 if old.dtype == np.uint16 else 1) if apart.size else 0.0)
    count: int | None = changed
    if case.name.startswith("jpeg"):
        count = changed_coefficients(case.data, result, holes[0]) if written == "spliced" else None
    elif case.name.startswith("tiff-jpeg"):
        count = _changed_in_strips(case.data, result, holes[0])
    elif case.name.startswith(RECODED):
        count = None
    ratio = len(result) / len(case.data)
    return Row(case.name, written, lost, count, float(np.mean(differences)), ratio, None, repaired)


def changed_coefficients(source: bytes, result: bytes, hole: Mask) -> int:
    """DCT coefficients outside the MCUs that ``hole`` (as stored) touches that are not the source's own."""
    across, down = jpeg.sampling_mcu(source)
    touched = touched_mcus(hole, across, down)
    changed = 0
    for old, new in zip(_coefficients(source), _coefficients(result), strict=True):
        different = (old != new).any(axis=(2, 3))
        tall, wide = round(old.shape[0] / touched.shape[0] + 0.49), round(old.shape[1] / touched.shape[1] + 0.49)
        inside = touched.repeat(max(1, tall), axis=0).repeat(max(1, wide), axis=1)
        inside = inside[: old.shape[0], : old.shape[1]]
        changed += int(((old != new) & ~inside[..., None, None] & different[..., None, None]).sum())
    return changed


def _changed_in_strips(source: bytes, result: bytes, hole: Mask) -> int:
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


def _holes(task: Task) -> list[Mask]:
    """The hole of each page, as its samples are stored."""
    assert task.document is not None
    holes, at, parts = [], 0, task.parts
    for page in task.document.pages:
        holes.append(np.ascontiguousarray(as_stored(parts[at].hole, page.orientation)))
        at += 2 if page.colour == "cmyk" else 1
    return holes


def _pixels(data: bytes) -> Iterator[Samples]:
    """The samples of every frame or page as stored, in full depth."""
    with Image.open(io.BytesIO(data)) as image:
        if image.format == "TIFF":
            with tifffile.TiffFile(io.BytesIO(data)) as file:
                for page in file.pages:
                    samples = page.asarray()
                    planes = getattr(page, "planarconfig", 1) == 2 and samples.ndim == 3
                    yield samples.transpose(1, 2, 0) if planes else samples
            return
        if image.format == "PNG" and data[24] == 16:
            deep = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
            yield deep
            return
        if image.format == "HEIF" and image.info.get("bit_depth", 8) > 8:
            yield np.asarray(pillow_heif.open_heif(data, convert_hdr_to_8bit=False)).reshape(*image.size[::-1], -1)
            return
        if image.format == "AVIF" and imagecodecs.avif_decode(data).dtype == np.uint16:
            yield np.asarray(imagecodecs.avif_decode(data))
            return
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            several = getattr(image, "n_frames", 1) > 1
            shown = image.convert("RGBA") if several or image.mode == "P" else image
            yield np.array(shown)


def _lost(source: bytes, result: bytes) -> list[str]:
    """What is told about the picture, or is its kind, and is not as it was."""
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
        old, new = ([part for part in png.chunks(file) if part[0] in kept] for file in (source, result))
        lost += ["chunks"] if old != new else []
    if has_c2pa(source, format_name) != has_c2pa(result, format_name):
        lost.append("c2pa")
    return lost


def _of_avif(data: bytes) -> list[bytes]:
    """Properties of the picture; of its colours without their range."""
    kept = {b"irot", b"imir", b"clli", b"colr"}
    found = [part for kind, part in boxes.properties(data) if kind in kept]
    return sorted(part[:18] if part[8:12] == b"nclx" else part for part in found)


def _exif(image: Image.Image) -> dict[int, Any]:
    return {tag: value for tag, value in image.getexif().items() if tag not in _PLACES}


def _tags(image: Image.Image) -> dict[int, Any]:
    return {tag: value for tag, value in image.tag_v2.items() if tag not in _PLACES}  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+", help="photos, or folders of them")
    parser.add_argument("--longest", type=int, default=320, help="longest side of the pictures (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    files = [file for path in options.photos for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    rows: dict[str, list[Row]] = {}
    with LaMaInpainter(device="cpu") as inpainter:
        for file in files:
            with Image.open(file) as opened:
                photo = opened.convert("RGB")
            photo.thumbnail((options.longest, options.longest))
            for case in cases(photo):
                rows.setdefault(case.name, []).append(measure(case, inpainter))
    report(rows)
    if options.out:
        options.out.write_text(
            json.dumps({name: [asdict(row) for row in found] for name, found in rows.items()}, indent=1) + "\n"
        )


def report(rows: dict[str, list[Row]]) -> None:
    """Print one line for each kind of file, over all photos."""
    table = Table("file", "written", "lost", "changed outside", "mean difference", "size", title="Fidelity")
    for name, found in rows.items():
        lost = sorted({what for row in found for what in row.lost})
        counts = [row.changed for row in found if row.changed is not None]
        table.add_row(
            name,
            ", ".join(sorted({row.written for row in found})),
            ", ".join(lost) or "nothing",
            str(sum(counts)) if counts else "-",
            f"{np.mean([row.mean_difference for row in found]):.3f}",
            f"{min(row.size for row in found) - 1:+.1%} to {max(row.size for row in found) - 1:+.1%}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()

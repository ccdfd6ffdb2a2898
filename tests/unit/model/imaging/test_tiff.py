"""Replaced strips: their places, and that no remains of the mark stay in the file."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from model.errors import ImageRejected
from model.imaging import Limits
from model.repair.task import read, write

LIMITS = Limits(max_bytes=10**8, max_pixels=10**7)
BOX = b'{"boxes": [[8, 20, 30, 24]]}'


def noisy_mark(**options: object) -> tuple[bytes, np.ndarray]:
    """A flat picture with noise where the mark is: repaired, its strips are shorter."""
    samples = np.full((64, 48, 3), 200, np.uint8)
    samples[20:44, 8:38] = np.random.default_rng(3).integers(0, 256, (24, 30, 3))
    out = io.BytesIO()
    tifffile.imwrite(out, samples, metadata=None, photometric="rgb", **options)  # type: ignore[arg-type]
    return out.getvalue(), samples


def repaired(data: bytes, value: int | np.ndarray) -> bytes:
    task = read(data, BOX, limits=LIMITS)
    filled = task.picture.pixels.copy()
    inside = task.hole > 0
    filled[inside] = value if isinstance(value, int) else value[inside]
    return write(task, filled).data


@pytest.mark.parametrize("rows", [8, 64])
def test_shorter_strips_take_the_places_of_the_old_ones(rows: int) -> None:
    data, _ = noisy_mark(compression="lzw", rowsperstrip=rows)
    result = repaired(data, 200)
    assert len(result) <= len(data)
    assert (tifffile.imread(io.BytesIO(result)) == 200).all()


def test_nothing_of_the_old_strips_stays_behind() -> None:
    data, _ = noisy_mark(compression="lzw", rowsperstrip=8)
    result = repaired(data, 200)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        old = data[page.dataoffsets[4] : page.dataoffsets[4] + page.databytecounts[4]]  # type: ignore[union-attr]
    assert old[:40] in data
    assert all(old[at : at + 40] not in result for at in range(0, len(old) - 40, 20))


def test_longer_strips_leave_no_gap_where_the_file_ends_in_them() -> None:
    noise = np.random.default_rng(4).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    out = io.BytesIO()
    tifffile.imwrite(
        out, np.full((64, 48, 3), 90, np.uint8), metadata=None, photometric="rgb", compression="lzw", rowsperstrip=64
    )
    result = repaired(out.getvalue(), noise)
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        page = file.pages[0]
        assert page.dataoffsets[0] + page.databytecounts[0] == len(result)  # type: ignore[union-attr]
    hole = read(out.getvalue(), BOX, limits=LIMITS).hole > 0
    assert (tifffile.imread(io.BytesIO(result)) == np.where(hole[..., None], noise, 90)).all()


def test_label_is_written_into_a_bigtiff() -> None:
    from datetime import UTC, datetime

    from model.imaging.metadata.provenance import Label

    data, _ = noisy_mark(bigtiff=True)
    task = read(data, BOX, limits=LIMITS)
    label = Label(job="j1", method="network", when=datetime(2026, 1, 1, tzinfo=UTC))
    with tifffile.TiffFile(io.BytesIO(write(task, task.picture.pixels, label=label).data)) as file:
        assert b"job j1" in file.pages[0].tags[700].value  # type: ignore[union-attr]
        assert file.pages[0].asarray().shape == (64, 48, 3)


def test_strips_without_lengths_are_refused_before_anything_is_done() -> None:
    data, _ = noisy_mark(rowsperstrip=8)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        counts = file.pages[0].tags[279]  # type: ignore[union-attr]
    short = data[: counts.offset + 4] + (7).to_bytes(4, "little") + data[counts.offset + 8 :]
    with pytest.raises(ImageRejected) as refusal:
        read(short, BOX, limits=LIMITS)
    assert refusal.value.code == "image_unreadable"


def two_flat_pages() -> bytes:
    """As libtiff writes it: each page's directory behind its strips."""
    pages = [Image.fromarray(np.full((64, 48, 3), value, np.uint8)) for value in (90, 160)]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", compression="tiff_lzw", save_all=True, append_images=pages[1:])
    return out.getvalue()


def test_longer_strips_before_a_directory_go_to_the_end_and_leave_zeros_that_no_reader_minds() -> None:
    noise = np.random.default_rng(4).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    data = two_flat_pages()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        old = page.dataoffsets[0], page.dataoffsets[0] + page.databytecounts[0]  # type: ignore[union-attr]
        assert old[1] <= page.offset  # type: ignore[union-attr]
    task = read(data, BOX, limits=LIMITS)
    hole = task.hole > 0
    result = write(task, [np.where(hole[..., None], noise, part.picture.pixels) for part in task.parts]).data
    assert result[old[0] : old[1]] == bytes(old[1] - old[0])
    wanted = [np.where(hole[..., None], noise, value) for value in (90, 160)]
    with Image.open(io.BytesIO(result)) as by_pillow:
        for index, samples in enumerate(wanted):
            by_pillow.seek(index)
            assert np.array_equal(np.asarray(by_pillow), samples)
            assert np.array_equal(tifffile.imread(io.BytesIO(result), key=index), samples)
            assert np.array_equal(imagecodecs.tiff_decode(result, index=index), samples)  # libtiff itself


def packed(**options: object) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((64, 48, 3), 90, np.uint8), metadata=None, **options)  # type: ignore[arg-type]
    return out.getvalue()


def of_floats(channels: int) -> bytes:
    out = io.BytesIO()
    samples = np.zeros((64, 48, channels), np.float32)
    tifffile.imwrite(out, samples, metadata=None, photometric="rgb" if channels == 3 else "minisblack")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "what", "remedy"),
    [
        (packed(photometric="rgb", compression="webp"), "WEBP", "pack it with LZW or Deflate"),
    ],
)
def test_refusals_name_the_cause_and_a_remedy(data: bytes, what: str, remedy: str) -> None:
    with pytest.raises(ImageRejected) as refusal:
        read(data, BOX, limits=LIMITS)
    assert refusal.value.code == "image_mode_unsupported"
    assert what in str(refusal.value)
    assert remedy in str(refusal.value)


def test_tiff_that_cannot_be_opened_is_said_to_be_one() -> None:
    with pytest.raises(ImageRejected) as refusal:
        read(of_floats(3), BOX, limits=LIMITS)
    assert refusal.value.code == "image_format_unsupported"
    assert "floating point: save it as grey, RGB, palette or CMYK of 8 or 16 bits a sample" in str(refusal.value)


@pytest.mark.parametrize("where", ["page", "subifd"])
def test_small_copies_in_the_file_are_repaired_with_it(where: str) -> None:
    """As scanners and editors write them, on a page of their own or beneath the picture's (TIFF supplement 1)."""
    whole = np.full((267, 400, 3), 200, np.uint8)
    whole[100:102, 50:350] = 20
    small = np.asarray(Image.fromarray(whole).resize((80, 53), Image.Resampling.BOX))
    assert small.min() < 170
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        file.write(whole, photometric="rgb", metadata=None, compression="lzw", subifds=int(where == "subifd"))
        file.write(small, photometric="rgb", metadata=None, subfiletype=1)
    task = read(out.getvalue(), b'{"boxes": [[50, 100, 300, 2]]}', limits=LIMITS, dilation_px=0)
    fills = [np.where(part.hole[..., None] > 0, np.uint8(200), part.picture.pixels) for part in task.parts]
    result = write(task, fills).data
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        page = file.pages[0]
        copy = file.pages[1] if where == "page" else page.pages[0]  # type: ignore[union-attr, index]
        assert (page.asarray() == 200).all()
        assert (copy.asarray() == 200).all()
    if where == "subifd":
        with Image.open(io.BytesIO(write(task, fills, output="jpeg").data)) as image:
            assert image.size == (400, 267)


def faxed(compression: str, **tags: int) -> bytes:
    rows = np.random.default_rng(7).integers(0, 2, (64, 48), dtype=np.uint8) * 255
    out = io.BytesIO()
    Image.fromarray(rows).convert("1", dither=Image.Dither.NONE).save(
        out, "TIFF", compression=compression, tiffinfo={int(tag[1:]): value for tag, value in tags.items()}
    )
    return out.getvalue()


def twelve() -> bytes:
    """An uncompressed TIFF of 12 bits a sample, of an odd width."""
    samples = np.random.default_rng(7).integers(0, 4096, (64, 47)).astype(int)
    rows = [int("".join(f"{value:012b}" for value in row).ljust(568, "0"), 2).to_bytes(71) for row in samples]
    body = b"".join(rows)
    tags = [
        (256, 47), (257, 64), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 64), (279, len(body)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory + bytes(4)


def imaged(**options: object) -> bytes:
    out = io.BytesIO()
    samples, dtype = np.random.default_rng(7).integers(0, 200, (64, 48)), str(options.pop("dtype", "uint8"))
    # Over the range of the type: 200 of 65,536 levels would be flat ground.
    wide = samples * (np.iinfo(dtype).max // 256 or 1)
    tifffile.imwrite(out, wide.astype(dtype), metadata=None, **options)  # type: ignore[arg-type]
    return out.getvalue()


UNUSUAL = {
    "fax 4": faxed("group4"), "fax 3": faxed("group3"), "fax 3 of two dimensions": faxed("group3", t292=1),
    "run lengths": faxed("tiff_ccitt"), "fax of white as 0": faxed("group4", t262=0), "grey of 12": twelve(),
    "signed 8": imaged(dtype="int8"), "signed 16": imaged(dtype="int16"),
    "signed 16, predicted": imaged(dtype="int16", compression="lzw", predictor=True),
    "zstd": imaged(compression="zstd"), "lzma": imaged(compression="lzma"),
}  # fmt: skip


def measured(dtype: str, **options: object) -> bytes:
    """A picture of measured values: greater than 8 bits hold, or fractions, with one that is no number."""
    samples = np.random.default_rng(7).normal(1000, 300, (64, 48)).astype(dtype)
    if samples.dtype.kind == "f":
        samples[2, 2] = np.nan
    out = io.BytesIO()
    tifffile.imwrite(out, samples, metadata=None, **options)  # type: ignore[arg-type]
    return out.getvalue()


MEASURED = {
    "float": measured("float32"), "float, predicted": measured("float32", compression="deflate", predictor=3),
    "float of other order": measured("float32", compression="lzw", predictor=3, byteorder=">"),
    "signed 32, predicted": measured("int32", compression="lzw", predictor=2), "signed 32": measured("int32"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MEASURED)
def test_values_without_a_white_are_repaired_between_the_least_and_the_greatest(kind: str) -> None:
    data = MEASURED[kind]
    task = read(data, BOX, limits=LIMITS)
    before = tifffile.imread(io.BytesIO(data))
    shown = task.picture.pixels[..., 0].astype(float)
    rows = np.s_[40:60]
    assert np.corrcoef(shown[rows].ravel(), before[rows].astype(float).ravel())[0, 1] > 0.99
    filled = np.where(task.hole[..., None] > 0, np.uint8(255), task.picture.pixels)
    after = tifffile.imread(io.BytesIO(write(task, filled).data))
    assert (before.dtype, before.shape) == (after.dtype, after.shape)
    outside = task.hole == 0
    assert before[outside].tobytes() == after[outside].tobytes()
    assert after[25:40, 12:34].min() == after[25:40, 12:34].max() == pytest.approx(np.nanmax(before), rel=0.01)


def test_cielab_is_shown_and_written_back() -> None:
    lightness = np.random.default_rng(7).integers(40, 200, (64, 48, 1))
    lab = np.concatenate((lightness, np.full((64, 48, 2), (20, 256 - 30))), axis=2).astype(np.uint8)
    out = io.BytesIO()
    tifffile.imwrite(out, lab, photometric="cielab", metadata=None)
    task = read(out.getvalue(), BOX, limits=LIMITS)
    # a* is red, b* below zero blue.
    red, green, blue = task.picture.pixels.reshape(-1, 3).mean(axis=0)
    assert blue > red > green
    assert write(task, task.picture.pixels).data == out.getvalue()
    meant = np.array((120, 90, 150), np.uint8)
    result = write(task, np.where(task.hole[..., None] > 0, meant, task.picture.pixels)).data
    before, after = (tifffile.imread(io.BytesIO(file)) for file in (out.getvalue(), result))
    assert (before[task.hole == 0] == after[task.hole == 0]).all()
    again = read(result, BOX, limits=LIMITS).picture.pixels[25:40, 12:34]
    assert np.abs(again.astype(int) - meant).max() <= 3


def of_jpeg_with_alpha() -> bytes:
    out = io.BytesIO()
    samples = np.random.default_rng(7).integers(60, 200, (64, 48, 4), dtype=np.uint8)
    Image.fromarray(samples).save(out, "TIFF", compression="jpeg", tiffinfo={270: "a shirt", 40_000: 7})
    return out.getvalue()


def test_codings_that_cannot_be_written_are_packed_anew_without_loss() -> None:
    data = of_jpeg_with_alpha()
    task = read(data, BOX, limits=LIMITS)
    done = write(task, [np.where(part.hole[..., None] > 0, np.uint8(9), part.picture.pixels) for part in task.parts])
    assert done.record["written"] == "lossless"
    assert "packed with Deflate, without loss" in done.record["reason"]
    assert "Private and wrong tags are left out" in done.record["reason"]
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(done.data)) as after:
        assert after.tag_v2[259] == 8  # type: ignore[attr-defined]
        assert after.tag_v2[270] == "a shirt"  # type: ignore[attr-defined]
        outside = task.hole == 0
        assert (np.asarray(before)[outside] == np.asarray(after)[outside]).all()


def test_pages_that_lead_in_a_circle_end_where_it_closes() -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((64, 48), 90, np.uint8), metadata=None)
    data = bytearray(out.getvalue())
    first = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    assert (tifffile.imread(io.BytesIO(repaired(bytes(data), 200)))[25:40, 12:34] == 200).all()


@pytest.mark.parametrize("kind", UNUSUAL)
def test_unusual_codings_are_written_back_in_their_own_way(kind: str) -> None:
    data = UNUSUAL[kind]
    result = repaired(data, 255)
    before, after = (tifffile.imread(io.BytesIO(file)) for file in (data, result))
    assert (before.dtype, before.shape) == (after.dtype, after.shape)
    different = (before != after).reshape(*before.shape[:2], -1).any(axis=2)
    box = np.zeros_like(different)
    box[4:60, 0:46] = True  # the mask, widened
    assert not different[~box].any()
    assert different.any()
    whole = after.reshape(*after.shape[:2], -1)[25:40, 12:34]
    white = 1 if after.dtype == bool else 4095 if kind == "grey of 12" else np.iinfo(after.dtype).max
    assert np.unique(whole).tolist() == [0 if kind == "fax of white as 0" else white]
    with tifffile.TiffFile(io.BytesIO(data)) as old, tifffile.TiffFile(io.BytesIO(result)) as new:
        assert old.pages[0].compression == new.pages[0].compression  # type: ignore[union-attr]

"""DCT coefficients by the extension in memory and by jpeglib: the same file, proved, from threads, and on damage."""

from __future__ import annotations

import importlib
import io
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from bench.corpus.mark import letters
from bench.fidelity import subjects
from model.cells import touched_cells
from model.imaging.formats import coefficients, segments, splice
from model.imaging.formats.coefficients import Coefficients, NotSpliceable
from model.imaging.formats.segments import Segment
from model.imaging.picture import Mask, Samples
from tests.running import REPOSITORY

LIBRARIES = ("_dct", "coefficients_jpeglib")
#: Most pixels of a damaged file that is decoded here; the service has a limit of its own.
MOST_PIXELS = 10**5


def small_photo() -> Image.Image:
    with Image.open(REPOSITORY / "samples" / "originals" / "garment-0c06778b.png") as image:
        photo = image.convert("RGB")
    photo.thumbnail((120, 120))
    return photo


CORPUS = {
    subject.case.name: subject.case.data
    for subject in subjects(small_photo(), "across")
    if subject.case.name.startswith("jpeg")
}


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Use one of the libraries; skips the test where the extension is not built."""

    def chosen(name: str) -> None:
        try:
            library: ModuleType = importlib.import_module(f"model.imaging.formats.{name}")
        except ImportError:
            pytest.skip("the extension is not built")
        monkeypatch.setattr(coefficients, "_library", library)

    return chosen


def scene(data: bytes) -> tuple[Samples, Mask]:
    """The samples of a file with noise across them, and where."""
    with Image.open(io.BytesIO(data)) as image:
        samples = np.array(image).reshape(image.height, image.width, -1)
    hole = letters(samples.shape[1], samples.shape[0], "across")
    noise = np.random.default_rng(0).integers(0, 256, samples.shape)
    return np.where(hole[..., None] > 0, noise, samples).astype(np.uint8), hole


def spliced(data: bytes) -> tuple[bytes, Coefficients, Mask]:
    samples, hole = scene(data)
    meant = splice.repaired(data, samples, hole)
    described = [segment for segment in segments.split(data)[0] if segments.describes(segment)]
    return segments.under(described, meant.written()), meant, hole


@pytest.mark.parametrize("name", CORPUS)
def test_both_libraries_write_the_same_file(name: str, use: Callable[[str], None]) -> None:
    files = {}
    for library in LIBRARIES:
        use(library)
        file, meant, hole = spliced(CORPUS[name])
        splice.prove(CORPUS[name], file, meant, hole)
        files[library] = file
    in_memory, by_jpeglib = files.values()
    if "restart" in name:
        assert segments.restarts(in_memory)
        assert not segments.restarts(by_jpeglib)
    else:
        assert in_memory == by_jpeglib


@pytest.mark.parametrize("name", [name for name in CORPUS if "restart" in name])
def test_restart_markers_survive_in_memory(name: str, use: Callable[[str], None]) -> None:
    use("_dct")
    assert segments.split(Coefficients(CORPUS[name]).written())[1] == segments.split(CORPUS[name])[1]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", ["jpeg-baseline-420", "jpeg-grey", "jpeg-ycck-420"])
def test_a_single_changed_coefficient_is_found(name: str, library: str, use: Callable[[str], None]) -> None:
    use(library)
    data = CORPUS[name]
    file, meant, hole = spliced(data)
    touched = np.argwhere(touched_cells(hole, *meant.mcu))[0]
    described = [segment for segment in segments.split(data)[0] if segments.describes(segment)]
    for component, part in enumerate(meant.components):
        tall, wide = meant.mcu[0] // part.down // 8, meant.mcu[1] // part.across // 8
        # The first touched MCU; and the last block, which nothing touches.
        for row, column in ((touched[0] * tall, touched[1] * wide), (part.rows - 1, part.columns - 1)):
            wrong = Coefficients(file)
            at = np.array([row]), np.array([column])
            block = wrong.blocks(component, *at).copy()
            block[0, 1, 1] += 1
            wrong.replace(component, *at, block)
            with pytest.raises(NotSpliceable, match="differs from"):
                splice.prove(data, segments.under(described, wrong.written()), meant, hole)


def test_other_tables_sampling_and_colours_are_found() -> None:
    data = CORPUS["jpeg-baseline-420"]
    file, meant, hole = spliced(data)
    headers, _ = segments.split(file)
    told = {
        "tables": [
            Segment(part.marker, part.content[:9] + bytes((part.content[9] + 1,)) + part.content[10:])
            if part.marker == segments.DQT
            else part
            for part in headers
        ],
        "colours": [part for part in headers if not part.content.startswith(b"JFIF\0")],
        "size": [
            Segment(part.marker, part.content[:2] + bytes((part.content[2] - 1,)) + part.content[3:])
            if part.marker in segments.SOF
            else part
            for part in headers
        ],
    }
    scans = segments.split(file)[1]
    for changed in told.values():
        wrong = b"\xff\xd8" + b"".join(part.bytes for part in changed) + scans
        with pytest.raises(NotSpliceable, match="differ"):
            splice.prove(data, wrong, meant, hole)


def test_threads_splice_side_by_side(use: Callable[[str], None]) -> None:
    use("_dct")
    names = [name for name in CORPUS if "progressive" not in name]
    alone = [spliced(CORPUS[name])[0] for name in names]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(4):
            assert list(threads.map(lambda name: spliced(CORPUS[name])[0], names)) == alone


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_spliced_and_proved_or_refused(seed: int, use: Callable[[str], None]) -> None:
    use("_dct")
    rng = random.Random(seed)
    files, outcomes = list(CORPUS.values()), set()
    for _ in range(150):
        data = damaged(rng.choice(files), rng)
        try:
            frame = segments.frame(segments.split(data)[0]).content
        except ValueError:
            continue
        height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
        if height * width > MOST_PIXELS or frame[5] not in (1, 3, 4):
            continue
        hole = np.zeros((height, width), np.uint8)
        hole[height // 3 : height // 2 + 1, width // 3 :] = 255
        try:
            meant = splice.repaired(data, np.full((height, width, frame[5]), 99, np.uint8), hole)
            headers = [segment for segment in segments.split(data)[0] if segments.describes(segment)]
            splice.prove(data, segments.under(headers, meant.written()), meant, hole)
        except NotSpliceable:
            outcomes.add("refused")
        else:
            outcomes.add("spliced")
    assert outcomes == {"refused", "spliced"}


def damaged(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(2, max(len(changed), 3))
        match rng.randrange(4):
            case 0:
                changed[at : at + 1] = rng.randbytes(1)
            case 1:
                del changed[at : at + rng.randrange(1, 200)]
            case 2:
                changed[at:at] = rng.randbytes(rng.randrange(1, 50))
            case 3 if rng.random() < 0.2:
                del changed[at:]
    return bytes(changed)


def test_the_extension_refuses_what_is_not_there(use: Callable[[str], None]) -> None:
    use("_dct")
    from model.imaging.formats import _dct

    inner = _dct.Coefficients(CORPUS["jpeg-grey"])
    ((rows, columns, *_),) = inner.components()
    first, beyond = np.array([[0, 0]], np.int32), np.array([[rows, 0]], np.int32)
    block = np.zeros((1, 8, 8), np.int16)
    for wrong in (beyond, np.array([[0, columns]], np.int32), np.array([[-1, 0]], np.int32)):
        with pytest.raises(IndexError):
            inner.get(0, wrong)
        with pytest.raises(IndexError):
            inner.put(0, wrong, block)
    with pytest.raises(IndexError):
        inner.get(1, first)
    with pytest.raises(ValueError, match="64 times"):
        inner.put(0, first, block[:, :4])
    with pytest.raises(ValueError, match="one byte"):
        inner.equal(inner, 0, np.zeros((rows, columns + 1), np.uint8))
    for wrong_file in (b"", b"\xff\xd8", CORPUS["jpeg-grey"][:40]):
        with pytest.raises(ValueError):
            _dct.Coefficients(wrong_file)

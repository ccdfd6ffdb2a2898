"""Files as strangers bring them: each through reading and writing, compared with its source by other decoders.

Part of ``bench.fidelity`` (``--as-they-are``). A box in the middle is filled with its mean colour, so that no network
is needed. Every file runs in a process that is replaced when a file crashes it or takes too long.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pillow_heif
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.comparing import changed_coefficients, changed_in_strips, holes_of, lost_of, pixels_of
from model.errors import ModelError
from model.formats import READ, is_picture_name
from model.imaging import Limits
from model.imaging.formats.sizing import LEAST_DB
from model.imaging.loss import similarity_db
from model.repair.task import Task, read, write

LIMITS = Limits(max_bytes=200 << 20, max_pixels=100_000_000)
#: Seconds of computing after which a file counts as hung, and seconds after which one that computes nothing does.
HUNG_S, STILL_S = 180, 3600
_BOX = b'{"units": "relative", "boxes": [[0.4, 0.4, 0.2, 0.15]]}'
OUTCOMES = ("right", "refused rightly", "refused wrongly", "wrong", "untyped error", "hung")


@dataclass(frozen=True)
class Outcome:
    """The end of one file."""

    path: str
    #: One of ``OUTCOMES``.
    kind: str
    format: str
    #: The error's code and sentence, or what is wrong.
    reason: str = ""
    written: str = ""
    similarity_db: float | None = None
    size_ratio: float | None = None
    #: Names of the metadata that differ from the source's.
    lost: list[str] = field(default_factory=list)


def outcome(path: Path) -> Outcome:
    """Send a file through reading and writing."""
    data = path.read_bytes()
    name = _format(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            task = read(data, _BOX, limits=LIMITS, max_marked_share=1.0)
            repaired = write(task, [_filled(part) for part in task.parts])
        except ModelError as error:
            # Pages of other shapes than the first need a mask of their own.
            is_wrong = error.code != "mask_size_mismatch" and _opens(data)
            kind = "refused wrongly" if is_wrong else "refused rightly"
            return Outcome(str(path), kind, name, f"{error.code}: {error}")
        except Exception as error:  # the finding itself: an error without a type
            return Outcome(str(path), "untyped error", name, f"{type(error).__name__}: {error}")
        assert task.document is not None
        name = task.document.probe.format
        record = repaired.record
        # With its end marker where the source lacks that, as other decoders ask for it.
        faults, similarity = faults_of(task.document.data, repaired.data, task, record["written"])
        lost = lost_of(task.document.data, repaired.data)
    lost = [one for one in lost if one not in ("transparency",)]
    return Outcome(
        str(path),
        "wrong" if faults else "right",
        name,
        "; ".join(faults),
        record["written"],
        similarity,
        round(len(repaired.data) / len(data), 3),
        lost,
    )


def _filled(part: Task) -> np.ndarray:
    pixels = part.picture.pixels.copy()
    inside = part.hole > 0
    if inside.any():
        pixels[inside] = np.rint(pixels[inside].mean(axis=0)).astype(np.uint8)
    return pixels


def faults_of(source: bytes, result: bytes, task: Task, written: str) -> tuple[list[str], float | None]:
    """What differs outside the mask, and the similarity there where the file is coded again."""
    assert task.document is not None
    name, holes = task.document.probe.format, holes_of(task)
    before, after = list(pixels_of(source)), list(pixels_of(result))
    if [part.shape for part in before] != [part.shape for part in after]:
        return [f"shapes {[part.shape for part in before]} became {[part.shape for part in after]}"], None
    if written == "spliced":
        count = changed_coefficients if name == "JPEG" else changed_in_strips
        changed = count(source, result, holes[0])
        return ([f"{changed} coefficients changed"] if changed else []), None
    faults, least = [], None
    for number, (old, new, hole) in enumerate(zip(before, after, holes, strict=False)):
        if old.dtype != new.dtype:
            faults.append(f"page {number}: {old.dtype} became {new.dtype}")
            continue
        shaped = [part.reshape(*part.shape[:2], -1) for part in (old, new)]
        if shaped[0].shape[:2] != hole.shape:
            faults.append(f"page {number}: {shaped[0].shape[:2]} pixels for a mask of {hole.shape}")
            continue
        if written == "recoded":
            outside = np.where(hole > 0, np.uint8(0), np.uint8(255))
            values = [part if part.dtype in (np.uint8, np.uint16) else part.astype(np.uint8) for part in shaped]
            similarity = similarity_db(*values, outside, alpha=values[0].shape[2] in (2, 4) and name != "JPEG")
            least = similarity if least is None else min(least, similarity)
        else:
            different = (shaped[0] != shaped[1]).any(axis=2) & (hole == 0)
            if len(before) > 1 and shaped[0].shape[2] == 4:
                different &= (shaped[0][..., 3] > 0) | (shaped[1][..., 3] > 0)
            if different.any():
                faults.append(f"page {number}: {int(different.sum())} pixels changed")
    if least is not None and least < LEAST_DB:
        faults.append(f"{least:.1f} dB")
    return faults, None if least is None else round(least, 2)


def _format(data: bytes) -> str:
    try:
        with Image.open(io.BytesIO(data), formats=[*READ]) as image:
            return {"MPO": "JPEG"}.get(str(image.format), str(image.format))
    except Exception:  # any error means that Pillow has no name for it
        return "none"


def _opens(data: bytes) -> bool:
    """Whether Pillow decodes every frame and a strict decoder, where there is one, does not find damage."""
    try:
        with Image.open(io.BytesIO(data), formats=[*READ]) as image:
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame)
                image.load()
            name = image.format
    except Exception:  # a decoder's errors are of many types
        return False
    if name == "PNG":
        try:
            imagecodecs.png_decode(data) if data[28] == 0 else imagecodecs.apng_decode(data)
        except Exception:  # as above
            return False
    return True


def _serve(pipe: Connection) -> None:
    """Answer paths with outcomes, until ``None``."""
    pillow_heif.register_heif_opener()
    cv2.setNumThreads(1)
    while (path := pipe.recv()) is not None:
        # Its signal ends the process.
        signal.setitimer(signal.ITIMER_PROF, HUNG_S)
        pipe.send(outcome(Path(path)))


def noted(folders: Sequence[Path], out: Path | None) -> list[Outcome]:
    """The outcomes of all pictures in ``folders``; each is noted in ``out`` as it ends, and not tried again."""
    known = [Outcome(**json.loads(line)) for line in out.read_text().splitlines()] if out and out.exists() else []
    tried = {end.path for end in known}
    paths = [path for folder in folders for path in sorted(folder.rglob("*"))]
    ends = outcomes(path for path in paths if path.is_file() and is_picture_name(path) and str(path) not in tried)
    for end in ends:
        known.append(end)
        if out:
            with out.open("a") as file:
                file.write(json.dumps(asdict(end)) + "\n")
    return known


def outcomes(paths: Iterable[Path]) -> Iterator[Outcome]:
    """The outcome of each picture."""
    context = multiprocessing.get_context("spawn")
    process, pipe = None, None
    for path in paths:
        if process is None or pipe is None:
            pipe, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
        pipe.send(str(path))
        try:
            if pipe.poll(STILL_S):
                yield pipe.recv()
                continue
            process.kill()
            end = Outcome(str(path), "hung", "none", f"over {STILL_S} s")
        except EOFError:
            process.join()
            end = Outcome(str(path), "untyped error", "none", "the process crashed")
            if process.exitcode == -signal.SIGPROF:
                end = Outcome(str(path), "hung", "none", f"over {HUNG_S} s of computing")
        process.join()
        process = None
        yield end
    if process is not None and pipe is not None:
        pipe.send(None)
        process.join()


def report(ends: list[Outcome]) -> None:
    """Print the outcomes by format, and every file that did not end well."""
    table = Table("format", "files", *OUTCOMES, "dB outside, least", "size, median", title="Files as they are")
    for name in [*sorted({end.format for end in ends}), "all"]:
        own = [end for end in ends if name in (end.format, "all")]
        counts = Counter(end.kind for end in own)
        measured = [end.similarity_db for end in own if end.similarity_db is not None]
        sizes = [end.size_ratio for end in own if end.size_ratio is not None]
        table.add_row(
            name,
            str(len(own)),
            *(str(counts[kind]) for kind in OUTCOMES),
            f"{min(measured):.1f}" if measured else "",
            f"{np.median(sizes):.2f}" if sizes else "",
        )
    Console(width=180).print(table)
    for end in ends:
        if end.kind not in ("right", "refused rightly"):
            sys.stdout.write(f"{end.kind}: {end.path}: {end.reason}\n")

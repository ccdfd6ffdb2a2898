"""Fidelity outside the mark: every kind of file through the whole pipeline, compared with its source.

    python -m bench.fidelity PHOTO… [--place corner] [--only jpeg] [--out fidelity.json]
    python -m bench.fidelity FOLDER --as-they-are [--out strangers.jsonl]

Each photo gets an address as a mark, in a corner or across it, and is written as each file of the corpus. The script
compares format, size, mode, depth, profile and metadata. It counts the pixels that changed outside the widened mask
(lossless files), or the DCT coefficients that changed outside the touched MCUs (JPEG). A JPEG's size is compared with
three others: that of the source; that of the source written without a repair, which is the cost of writing; and that of
the same photo without the mark, saved in the same way, which a perfect repair would reach.

With ``--as-they-are`` the files of a folder are not photos to make files from, but files of strangers. Each is sent
through reading and writing (:mod:`bench.strangers`), and the script prints how many came back right, were refused
rightly or wrongly, or came back wrong, by format. ``--out`` gets a line for each file as it ends; files in it are not
tried again, so that an interrupted run continues.
"""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import strangers
from bench.comparing import changed_coefficients, changed_in_strips, holes_of, lost_of, pixels_of
from bench.corpus import Case, cases
from bench.corpus.cutouts import cutouts, goods
from bench.corpus.mark import PLACES, Mask, Place, letters, png, signed
from model.engine.inpainter import LaMaInpainter
from model.imaging import Limits
from model.imaging.coding import encode
from model.imaging.picture import Edit
from model.imaging.turning import as_seen
from model.repair.task import Task, fill_parts, read, write

LIMITS = Limits(max_bytes=10**9, max_pixels=10**9)
#: Lossy formats that cannot be spliced: differences outside the mask are reported, and no limit is promised.
RECODED = ("webp-lossy", "webp-plain", "webp-animated-lossy", "avif", "heic")
#: Share by which a JPEG's size may differ from the source's.
NEAR = 0.05


@dataclass(frozen=True)
class Row:
    """One file's outcome."""

    name: str
    written: str
    #: Names of the properties that differ from the source.
    lost: list[str]
    #: Pixels outside the mask that changed; for JPEG, coefficients outside touched MCUs. ``None``: not promised.
    changed: int | None
    #: Mean of the absolute difference outside the mask, in levels of 255.
    mean_difference: float
    #: Share of the picture that the widened mask covers.
    masked: float
    #: Whether anything in the mask changed.
    repaired: bool
    #: Size of the result over that of the source.
    size: float
    #: For JPEG: the size written without a repair over that of the source, and the size of the result over that of the
    #: photo without the mark, saved in the same way.
    unrepaired: float | None = None
    unmarked: float | None = None
    #: For cut-outs: the mean alpha, of 255, of the letters on transparent ground.
    alpha_left: float | None = None


@dataclass(frozen=True)
class Subject:
    """A file of the corpus with a mark on it."""

    case: Case
    #: The letters, in the orientation of the stored picture.
    drawn: Mask
    #: The same file of the photo without the mark.
    clean: Case | None
    #: Of a cut-out: where its ground is transparent, ``bool [H, W]``.
    ground: NDArray[np.bool_] | None = None


def subjects(photo: Image.Image, place: Place, kind: str = "") -> list[Subject]:
    """``photo`` (RGB) signed at ``place`` as every file of the corpus whose name begins with ``kind``."""
    drawn = letters(*photo.size, place)
    clean = {case.name: case for case in cases(photo, "jpeg")}
    made = [Subject(case, drawn, clean.get(case.name)) for case in cases(signed(photo, drawn), kind)]
    across = letters(*photo.size, "across")
    ground = np.asarray(goods(photo).getchannel("A")) == 0
    cuts = ((name, make) for name, make in cutouts(photo, across) if name.startswith(kind))
    return [*made, *(Subject(Case(name, make()), across, None, ground) for name, make in cuts)]


def measure(subject: Subject, inpainter: LaMaInpainter) -> Row:
    """Run a file through the pipeline and compare the result."""
    data = subject.case.data
    task = read(data, png(_as_seen(subject)), limits=LIMITS)
    repaired = write(task, fill_parts(task, inpainter.run, lambda _: None))
    row = compare(subject.case, repaired.data, task, repaired.record["written"])
    if subject.ground is not None:
        row = replace(row, alpha_left=_alpha_left(subject, repaired.data))
    if subject.clean is None:
        return row
    return replace(row, unrepaired=_unrepaired(data, task), unmarked=len(repaired.data) / len(subject.clean.data))


def _as_seen(subject: Subject) -> Mask:
    """The letters in the viewing orientation, cut to the picture's size: some files hold a little less of the photo."""
    with Image.open(io.BytesIO(subject.case.data)) as image:
        turn = 1 if image.format == "HEIF" else image.getexif().get(0x0112, 1)
        stored = subject.drawn[: image.height, : image.width]
    return np.ascontiguousarray(as_seen(stored, turn))


def _alpha_left(subject: Subject, result: bytes) -> float:
    """The mean alpha of the letters on transparent ground, over all frames, away from the goods' outline."""
    assert subject.ground is not None
    away = cv2.erode(subject.ground.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return max(float(samples[..., -1][away & (subject.drawn > 0)].mean()) for samples in pixels_of(result))


def _unrepaired(data: bytes, task: Task) -> float:
    assert task.document is not None
    as_it_was = [Edit(page.samples, np.zeros(page.samples.shape[:2], np.uint8)) for page in task.document.pages]
    return len(encode(task.document, as_it_was).data) / len(data)


def compare(case: Case, result: bytes, task: Task, written: str) -> Row:
    """Compare ``result`` with ``case``, both read by other decoders than the pipeline's."""
    before, after = list(pixels_of(case.data)), list(pixels_of(result))
    holes, lost = holes_of(task), lost_of(case.data, result)
    masked = float(np.mean([(hole > 0).mean() for hole in holes]))
    size = len(result) / len(case.data)
    if [part.shape for part in before] != [part.shape for part in after]:
        return Row(case.name, written, [*lost, "size, mode or frames"], None, 0, masked, repaired=False, size=size)
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
        count = changed_in_strips(case.data, result, holes[0])
    elif case.name.startswith(RECODED):
        count = None
    return Row(case.name, written, lost, count, float(np.mean(differences)), masked, repaired, size)


@dataclass(frozen=True)
class Spread:
    """Least, median and greatest relative change of the size; ``near`` is the share of files within ``NEAR``."""

    least: float
    median: float
    greatest: float
    near: float

    def __str__(self) -> str:
        return f"{self.least:+.1%} {self.median:+.1%} {self.greatest:+.1%}"


@dataclass(frozen=True)
class Figures:
    """One kind of file, or several, over all photos."""

    files: int
    written: list[str]
    lost: list[str]
    repaired: int
    #: Sum over the files for which zero is promised.
    changed: int | None
    #: Least and greatest.
    mean_difference: tuple[float, float]
    masked: float
    size: Spread
    unrepaired: Spread | None
    unmarked: Spread | None
    #: The greatest mean alpha that letters on transparent ground still have, of 255; for cut-outs.
    alpha_left: float | None = None


def figures(rows: list[Row]) -> Figures:
    """The summary of ``rows``."""
    counts = [row.changed for row in rows if row.changed is not None]
    differences = [row.mean_difference for row in rows]
    return Figures(
        files=len(rows),
        written=sorted({row.written for row in rows}),
        lost=sorted({name for row in rows for name in row.lost}),
        repaired=sum(row.repaired for row in rows),
        changed=sum(counts) if counts else None,
        mean_difference=(round(min(differences), 3), round(max(differences), 3)),
        masked=round(float(np.median([row.masked for row in rows])), 4),
        size=_spread([row.size for row in rows]),
        unrepaired=_spread([row.unrepaired for row in rows if row.unrepaired]) if rows[0].unrepaired else None,
        unmarked=_spread([row.unmarked for row in rows if row.unmarked]) if rows[0].unmarked else None,
        alpha_left=max((row.alpha_left for row in rows if row.alpha_left is not None), default=None),
    )


def _spread(ratios: list[float]) -> Spread:
    change = np.array(ratios) - 1
    near = float((np.abs(change) <= NEAR).mean())
    return Spread(*(round(float(value), 4) for value in (change.min(), np.median(change), change.max(), near)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+", help="photos, or folders of them")
    parser.add_argument("--longest", type=int, default=768, help="longest side of the pictures (default: %(default)s)")
    parser.add_argument("--place", choices=PLACES, default="corner", help="place of the mark (default: %(default)s)")
    parser.add_argument(
        "--only", default="", metavar="KIND", help="only files whose names begin with this, such as jpeg"
    )
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--as-they-are", action="store_true", help="send the files themselves, of any kind")
    options = parser.parse_args()
    if options.as_they_are:
        strangers.report(strangers.noted(options.photos, options.out))
        return
    files = [file for path in options.photos for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    rows: dict[str, list[Row]] = {}
    with LaMaInpainter(device="cpu") as inpainter:
        for file in track(files, "photos"):
            with Image.open(file) as opened:
                photo = opened.convert("RGB")
            photo.thumbnail((options.longest, options.longest))
            for subject in subjects(photo, options.place, options.only):
                rows.setdefault(subject.case.name, []).append(measure(subject, inpainter))
    summaries = {name: figures(of_kind) for name, of_kind in rows.items()}
    jpegs = [row for name, of_kind in rows.items() if name.startswith("jpeg") for row in of_kind]
    if jpegs:
        summaries["all JPEG"] = figures(jpegs)
    report(summaries)
    if options.out:
        settings = {"photos": len(files), "longest": options.longest, "place": options.place}
        kinds = {name: asdict(of_kind) for name, of_kind in summaries.items()}
        options.out.write_text(json.dumps({**settings, "kinds": kinds}, indent=1) + "\n")


def report(summaries: dict[str, Figures]) -> None:
    """Print one line for each kind of file."""
    sizes = ("size", "nothing repaired", "to the unmarked")
    table = Table("file", "files", "written", "lost", "changed", "difference", "alpha left", *sizes, title="Fidelity")
    for name, of_kind in summaries.items():
        table.add_row(
            name, str(of_kind.files), ", ".join(of_kind.written), ", ".join(of_kind.lost) or "nothing",
            "-" if of_kind.changed is None else str(of_kind.changed),
            "{:.3f} to {:.3f}".format(*of_kind.mean_difference),
            "" if of_kind.alpha_left is None else f"{of_kind.alpha_left:.1f}",
            *(str(spread or "") for spread in (of_kind.size, of_kind.unrepaired, of_kind.unmarked)),
        )  # fmt: skip
    Console(width=180).print(table)


if __name__ == "__main__":
    main()

"""A logo's own file, looked for in photos: how often it is found, how well it comes off, and false finds.

    python -m bench.logos PHOTOS UNMARKED [--tries 40] [--sets 8] [--unmarked-count 200] [--out FILE.json]

Each try lays a logo at a random place, in .35 to 2.8 times the size of its file, at an opacity of .3 to .9 (JPEG q88);
the search gets the file alone. A logo is found where its box overlaps the true one by an IoU of .7. It comes off well
within 1.5 dB of the same removal by the true template. Tries in which the logo changes no pixel by 6 levels count
apart. In sets of five pictures the logo has one size and opacity, and another place in each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.catalogue import Kind, Picture, anywhere, marked, psnr, shaded, thin
from bench.marks import Mark, Photos, logo, text
from model.errors import TemplateRefused
from model.watermark.known import from_logo
from model.watermark.remove import remove
from model.watermark.samples import Sample
from model.watermark.template import Quality, Rule, Template

Values = NDArray[np.float32]
#: Longest side of the pictures in px, and their coding error in levels.
_LONGEST, _NOISE = 596, 3.0
#: Least overlap of a found logo, and most loss against the true template in dB.
_LEAST_IOU, _MOST_LOSS = 0.7, 1.5
_TOGETHER = 5


@dataclass(frozen=True)
class Subject:
    """A logo, and the range of its widths as shares of a picture's."""

    mark: Callable[[int], Mark]
    widths: tuple[float, float]


SUBJECTS = {
    "disc": Subject(logo, (0.12, 0.45)),
    "badge": Subject(shaded, (0.2, 0.5)),
    "white text": Subject(text, (0.35, 0.8)),
    "thin dark text": Subject(thin, (0.55, 0.9)),
}


@dataclass
class Row:
    """The figures of one logo."""

    tries: int = 0
    #: Tries in which the logo cannot be seen.
    unseen: int = 0
    found: int = 0
    #: Found, and within ``_MOST_LOSS`` of the true template.
    well: int = 0
    losses: list[float] = field(default_factory=list)
    #: The same for the pictures of sets in which five vote together.
    together: int = 0
    found_together: int = 0
    unmarked: int = 0
    false: int = 0
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        losses = [round(loss, 2) for loss in sorted(self.losses)]
        return {**vars(self), "losses": losses, "seconds": round(self.seconds, 1)}


def laid(subject: Subject, paths: list[Path], rng: np.random.Generator) -> tuple[Mark, list[Picture]]:
    """The logo's file, and the photos with it: one size and opacity, a place in each."""
    share = float(rng.uniform(*subject.widths))
    factor = float(np.exp(rng.uniform(np.log(0.35), np.log(2.8))))
    file = subject.mark(max(24, round(share * 480 / factor)))
    kind = Kind(lambda _: file, float(rng.uniform(0.3, 0.9)), anywhere, share)
    return file, [marked(kind, path, _LONGEST, rng, carries=True) for path in paths]


def search(file: Mark, pictures: list[NDArray[np.uint8]], row: Row) -> Template | None:
    """The template of the logo in the pictures; ``None``: it is refused."""
    samples = [Sample(str(number), lambda shown=one: shown) for number, one in enumerate(pictures)]  # type: ignore[misc]
    began = time.process_time()
    try:
        return from_logo(file.coverage, file.colour, samples).templates[0]
    except TemplateRefused:
        return None
    finally:
        row.seconds += time.process_time() - began


def judged(one: Picture, template: Template) -> tuple[bool, float]:
    """Whether the template lies on the true logo, and its loss against the true template, in dB."""
    removal = remove(one.given, template, noise=_NOISE)
    if removal is None:
        return False, float("inf")
    iou = _overlap(_box(removal.changed > 0), _box(one.zone))
    true = remove(one.given, _true(one), noise=_NOISE)
    best = one.given if true is None else true.pixels
    return iou >= _LEAST_IOU, psnr(best, one.original, one.zone) - psnr(removal.pixels, one.original, one.zone)


def _true(one: Picture) -> Template:
    top, bottom, left, right = _box(one.alpha > 0)
    box = slice(top, bottom), slice(left, right)
    alpha = np.ascontiguousarray(one.alpha[box])
    mask = np.where(alpha > 0.5 * alpha.max(), np.uint8(255), np.uint8(0))
    size = int(one.given.shape[0]), int(one.given.shape[1])
    rule = Rule("top-left", "pixels", top, left, size[1], size[0], sizes=(size,))
    quality = Quality(0, 0, 0, 0.01, float(np.median(alpha[mask > 0])), 0, 0, 0, 0, 0)
    return Template(alpha, np.ascontiguousarray(one.colour[box]), mask, rule, quality)


def _box(where: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    if not rows.size:
        return 0, 0, 0, 0
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    tall = min(one[1], other[1]) - max(one[0], other[0])
    wide = min(one[3], other[3]) - max(one[2], other[2])
    both = max(tall, 0) * max(wide, 0)
    areas = [(box[1] - box[0]) * (box[3] - box[2]) for box in (one, other)]
    return both / max(sum(areas) - both, 1)


def single(subject: Subject, photos: Photos, tries: int, row: Row) -> Iterator[str]:
    """Tries in one picture each; a line about each."""
    rng = np.random.default_rng(7700)
    for path in photos.draw(rng, tries):
        file, (one,) = laid(subject, [path], rng)
        row.unseen += not one.shows
        if not one.shows:
            continue
        row.tries += 1
        template = search(file, [one.given], row)
        there, loss = (False, 0.0) if template is None else judged(one, template)
        row.found += there
        row.well += there and loss <= _MOST_LOSS
        row.losses += [loss] if there else []
        yield (
            f"found, {loss:.2f} dB below the true template" if there else "missed" if template is None else "misplaced"
        )


def in_fives(subject: Subject, photos: Photos, sets: int, row: Row) -> Iterator[str]:
    """Sets of five pictures; a line about each."""
    rng = np.random.default_rng(7800)
    for _ in range(sets):
        file, pictures = laid(subject, photos.draw(rng, _TOGETHER), rng)
        shown = [one for one in pictures if one.shows]
        template = search(file, [one.given for one in pictures], row)
        found = 0 if template is None else sum(judged(one, template)[0] for one in shown)
        row.together += len(shown)
        row.found_together += found
        yield f"found in {found} of {len(shown)}"


def without(subject: Subject, photos: Photos, count: int, row: Row) -> Iterator[str]:
    """Unmarked pictures; a line about each."""
    rng = np.random.default_rng(7900)
    for path in photos.draw(rng, count):
        file = subject.mark(round(float(rng.uniform(60, 300))))
        one = marked(Kind(subject.mark, 0.0, anywhere, 0.3), path, _LONGEST, rng, carries=False)
        false = search(file, [one.given], row) is not None
        row.unmarked += 1
        row.false += false
        yield "false" if false else "none found"


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("unmarked", type=Path, help="photos in which no logo is laid")
    parser.add_argument("--tries", type=int, default=40, help="single pictures of each logo")
    parser.add_argument("--sets", type=int, default=8, help="sets of five pictures of each logo")
    parser.add_argument("--unmarked-count", type=int, default=200, help="over all logos")
    parser.add_argument("--only", nargs="*", choices=SUBJECTS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    photos, unmarked = Photos(options.photos), Photos(options.unmarked)
    rows = {name: Row() for name in options.only or SUBJECTS}
    clean = options.unmarked_count // len(SUBJECTS)
    parts = {
        "single": lambda name: single(SUBJECTS[name], photos, options.tries, rows[name]),
        "fives": lambda name: in_fives(SUBJECTS[name], photos, options.sets, rows[name]),
        "unmarked": lambda name: without(SUBJECTS[name], unmarked, clean, rows[name]),
    }
    for part, name in product(parts, rows):
        for line in parts[part](name):
            print(f"{name}, {part}: {line}", flush=True)
            if options.out:
                report = {key: row.document() for key, row in rows.items()}
                options.out.write_text(json.dumps(report, indent=1) + "\n")
    for name, row in rows.items():
        print(
            f"{name}: found {row.found} of {row.tries}, {row.well} of them well; in fives {row.found_together} of "
            f"{row.together}; {row.false} false in {row.unmarked}; {row.seconds:.0f} s of CPU"
        )


if __name__ == "__main__":
    main()

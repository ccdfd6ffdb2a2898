"""Recovery of the picture under marks on photos whose originals are known, beside the fill, Telea and exact inversion.

    python -m bench.recovery FOLDER [--photos 14] [--kinds "white text .45" ...] [--evidence] [--out recovery.json]

Every photo is marked and saved as a JPEG (``--quality``). A person paints wider than the mark (``--wider``).
PSNR covers the mark's own pixels. "Exact" un-blends with the true opacity and colour of each pixel: it is what the
JPEG leaves. Opaque kinds, pasted objects and paint over the goods themselves ("erased") have nothing below them: there
``auto`` must equal ``fill`` ("kept").
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.marks import Photos, logo, plate, text, tile
from bench.methods import classical
from bench.metrics import masked_psnr
from bench.subjects import LIMITS, Look, file_of, painted, png
from model.engine.inpainter import LaMaInpainter
from model.repair.recovery import Recovery, is_sure
from model.repair.task import Task, read, recovered
from model.repair.unblending import unblended

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
#: Opacity of a pixel from which on it belongs to the mark that is scored and painted over.
LEAST = 0.02


@dataclass(frozen=True, eq=False)
class Mark:
    """Opacity (``float32 [H, W]``, 0 to 1) and colour (``float32 [H, W, 3]``, levels) of a mark on a whole picture."""

    opacity: Values
    colour: Values


Draw = Callable[[Pixels, np.random.Generator], Mark]


def _laid(coverage: Values, colour: Values, picture: Pixels, middle: tuple[float, float]) -> Mark:
    """A small mark laid on the size of ``picture``, its middle at these shares of the width and height."""
    height, width = picture.shape[:2]
    tall, wide = coverage.shape
    top, left = (
        int(np.clip(round(share * whole - part / 2), 0, whole - part))
        for share, whole, part in ((middle[1], height, tall), (middle[0], width, wide))
    )
    place = slice(top, top + tall), slice(left, left + wide)
    opacity, ink = np.zeros((height, width), np.float32), np.zeros((height, width, 3), np.float32)
    opacity[place], ink[place] = coverage, colour
    return Mark(opacity, ink)


def words(opacity: float, ink: tuple[int, int, int]) -> Draw:
    """A line of text across the goods."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        line = text(round(picture.shape[1] * 0.7), ink=ink)
        return _laid(line.coverage * np.float32(opacity), line.colour, picture, (0.5, float(rng.uniform(0.35, 0.65))))

    return draw


def outlined(opacity: float, ink: tuple[int, int, int], rim: tuple[int, int, int]) -> Draw:
    """Text with an outline of another colour."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        line = text(round(picture.shape[1] * 0.7))
        inner = np.pad(line.coverage, 3)
        outer = cv2.GaussianBlur(cv2.dilate(inner, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))), (0, 0), 0.5)
        share = (inner / np.maximum(outer, 1e-3)).clip(0, 1)[..., None]
        colour = share * np.float32(ink) + (1 - share) * np.float32(rim)
        return _laid(outer * np.float32(opacity), colour, picture, (0.5, float(rng.uniform(0.35, 0.65))))

    return draw


def shadowed(opacity: float) -> Draw:
    """White text over its own soft dark shadow."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        line = np.pad(text(round(picture.shape[1] * 0.7)).coverage, 8)
        shadow = cv2.GaussianBlur(np.roll(line, (2, 2), (0, 1)), (0, 0), 1.5) * np.float32(opacity)
        top = line * np.float32(opacity)
        alpha = top + shadow * (1 - top)
        colour = 255 * (top / np.maximum(alpha, 1e-3))[..., None] * np.ones(3, np.float32)
        return _laid(alpha, colour, picture, (0.5, float(rng.uniform(0.35, 0.65))))

    return draw


def rimmed(opacity: float, rim: float) -> Draw:
    """White text with a thin dark line around it, each of its own opacity."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        inner = np.pad(text(round(picture.shape[1] * 0.7)).coverage, 3)
        outer = cv2.dilate(inner, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
        body, line = inner * np.float32(opacity), (outer - inner) * np.float32(rim)
        colour = 255 * (body / np.maximum(body + line, 1e-3))[..., None] * np.ones(3, np.float32)
        return _laid(body + line, colour, picture, (0.5, float(rng.uniform(0.35, 0.65))))

    return draw


def embossed(opacity: float) -> Draw:
    """Letters that are told by a light edge and a dark one alone."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        line = np.pad(text(round(picture.shape[1] * 0.7)).coverage, 4)
        relief = line - np.roll(line, (2, 2), (0, 1))
        colour = np.where(relief > 0, np.float32(255), np.float32(0))[..., None] * np.ones(3, np.float32)
        return _laid(np.abs(relief) * np.float32(opacity), colour, picture, (0.5, float(rng.uniform(0.35, 0.65))))

    return draw


def halved(opacity: float, left: tuple[int, int, int], right: tuple[int, int, int]) -> Draw:
    """Text of two colours: the first word in one, the second in the other."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        line = text(round(picture.shape[1] * 0.7))
        across = (np.arange(line.coverage.shape[1]) > 0.38 * line.coverage.shape[1])[None, :, None]
        colour = np.where(across, np.float32(right), np.float32(left)) * np.ones((*line.coverage.shape, 1), np.float32)
        where = (0.5, float(rng.uniform(0.35, 0.65)))
        return _laid(line.coverage * np.float32(opacity), colour, picture, where)

    return draw


def plated(opacity: float) -> Draw:
    """A dark plate with light letters."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        mark = plate(round(picture.shape[1] * 0.6))
        where = (0.5, float(rng.uniform(0.35, 0.65)))
        return _laid(mark.coverage * np.float32(opacity), mark.colour, picture, where)

    return draw


def fading(ink: tuple[int, int, int], first: float, last: float) -> Draw:
    """Text whose opacity changes from left to right."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        mark = words(1, ink)(picture, rng)
        return replace(mark, opacity=mark.opacity * np.linspace(first, last, picture.shape[1], dtype=np.float32))

    return draw


def band(opacity: float, ink: tuple[int, int, int]) -> Draw:
    """A plain band across the picture."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        height, width = picture.shape[:2]
        tall = round(height * 0.12)
        coverage = np.full((tall, width), opacity, np.float32)
        return _laid(coverage, np.float32(ink), picture, (0.5, float(rng.uniform(0.35, 0.65))))

    return draw


def tiled(opacity: float) -> Draw:
    """White slanted text all over the picture."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        cell = tile(round(picture.shape[1] * 0.42)).coverage * np.float32(opacity)
        height, width = picture.shape[:2]
        rows, columns = (np.arange(n) + int(rng.integers(m)) for n, m in zip((height, width), cell.shape, strict=True))
        coverage = cell[np.ix_(rows % cell.shape[0], columns % cell.shape[1])]
        return Mark(coverage, np.full((height, width, 3), 255, np.float32))

    return draw


def disc(opacity: float, ink: tuple[int, int, int] | None = None) -> Draw:
    """The logo of two colours, or a plain disc, in the lower right corner."""

    def draw(picture: Pixels, rng: np.random.Generator) -> Mark:
        mark = logo(round(picture.shape[1] * 0.16))
        colour = mark.colour if ink is None else np.broadcast_to(np.float32(ink), mark.colour.shape)
        where = (float(rng.uniform(0.86, 0.9)), float(rng.uniform(0.86, 0.92)))
        return _laid(mark.coverage * np.float32(opacity), colour, picture, where)

    return draw


def pasted(picture: Pixels, rng: np.random.Generator) -> Mark:
    """An object: a piece of the picture itself, turned and laid elsewhere."""
    height, width = picture.shape[:2]
    tall, wide = round(height * 0.2), round(width * 0.25)
    top, left = round(height * 0.1), round(width * 0.4)
    piece = picture[top : top + tall, left : left + wide][::-1].astype(np.float32)
    shape = np.zeros((tall, wide), np.float32)
    cv2.ellipse(shape, ((wide / 2, tall / 2), (wide - 4, tall - 4), 0), 1.0, -1, cv2.LINE_AA)
    return _laid(shape, piece, picture, (float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.5, 0.7))))


def erased(draw: Draw) -> Draw:
    """No mark at all: a person paints this shape over the goods themselves, to be rid of them."""

    def drawn(picture: Pixels, rng: np.random.Generator) -> Mark:
        shape = (draw(picture, rng).opacity > LEAST).astype(np.float32)
        return Mark(shape, picture.astype(np.float32))

    return drawn


def blobs(picture: Pixels, rng: np.random.Generator) -> Mark:
    """One to three ellipses."""
    height, width = picture.shape[:2]
    shape = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        middle = float(rng.uniform(0.25, 0.75) * width), float(rng.uniform(0.15, 0.85) * height)
        axes = float(rng.uniform(0.04, 0.25) * width), float(rng.uniform(0.04, 0.25) * width)
        cv2.ellipse(shape, (middle, axes, float(rng.uniform(0, 180))), 1.0, -1)
    return Mark(shape, picture.astype(np.float32))


BLUE, WHITE, RED, DARK = (30, 70, 190), (255, 255, 255), (200, 20, 30), (20, 20, 20)
#: Marks through which the picture shows, and others.
TRANSLUCENT: dict[str, Draw] = {
    "white text .45": words(0.45, WHITE),
    "dark text .35": words(0.35, DARK),
    "white band .5": band(0.5, WHITE),
    "dark band .5": band(0.5, DARK),
    "blue outlined .6": outlined(0.6, BLUE, WHITE),
    "tiled .25": tiled(0.25),
    "white text .7": words(0.7, WHITE),
    "red text .5": words(0.5, RED),
    "shadowed text .5": shadowed(0.5),
    "two-coloured disc .5": disc(0.5),
}
OPAQUE: dict[str, Draw] = {
    "opaque white text": words(1, WHITE),
    "opaque red text": words(1, RED),
    "opaque outlined": outlined(1, BLUE, WHITE),
    "fading text 1 to .6": fading(DARK, 1, 0.6),
    "opaque disc": disc(1, DARK),
    "opaque logo": disc(1),
    "pasted object": pasted,
}
#: Marks that came later. A kind's place in the list is part of its seed: new ones come last.
FURTHER: dict[str, Draw] = {
    "white text .15": words(0.15, WHITE),
    "white text .3": words(0.3, WHITE),
    "white text .85": words(0.85, WHITE),
    "dark text .6": words(0.6, DARK),
    "green text .35": words(0.35, (30, 150, 60)),
    "rimmed text .5": rimmed(0.5, 0.3),
    "embossed text .5": embossed(0.5),
    "two words .5": halved(0.5, RED, BLUE),
    "dark plate .5": plated(0.5),
    "fading text .6 to .3": fading(WHITE, 0.6, 0.3),
}
#: Paint over the goods themselves: there is nothing to recover, and ``auto`` must equal ``fill``.
ERASED: dict[str, Draw] = {
    "erased: text": erased(words(1, WHITE)),
    "erased: band": erased(band(1, DARK)),
    "erased: tiles": erased(tiled(1)),
    "erased: blobs": blobs,
}
KINDS = {**TRANSLUCENT, **OPAQUE, **FURTHER, **ERASED}


@dataclass(frozen=True)
class Case:
    """One mark on one photo."""

    kind: str
    photo: str
    original: Pixels
    mark: Mark
    task: Task


@dataclass(frozen=True)
class Score:
    """PSNR in the mark of each way in dB, the share recovered, and the CPU seconds of filling and of ``auto``."""

    kind: str
    photo: str
    telea: float
    fill: float
    auto: float
    exact: float
    recovered: float
    fill_seconds: float
    auto_seconds: float
    #: Every pixel of ``auto`` is the fill's.
    kept: bool


def cases(
    folder: Path,
    kinds: list[str],
    photos: int,
    seed: int,
    *,
    quality: int,
    wider: tuple[int, int],
    width: int | None,
    shift: int = 0,
) -> Iterator[Case]:
    """Each of ``photos`` photos of the folder, evenly chosen, under a mark of each kind.

    ``shift``: places in the folder by which the choice is moved on, for other photos. ``quality`` of the marked JPEG;
    ``wider``: least and most px that the mask is painted beyond the mark; ``width`` to which photos are scaled, in px.
    """
    paths = Photos(folder).paths
    for index in np.unique(np.linspace(0, len(paths) - 1, photos).astype(int) + shift) % len(paths):
        stored = cv2.imread(str(paths[index]), cv2.IMREAD_COLOR)
        original = np.ascontiguousarray(np.asarray(stored, np.uint8)[..., ::-1])
        if width is not None:
            size = width, round(original.shape[0] * width / original.shape[1])
            how = cv2.INTER_CUBIC if width > original.shape[1] else cv2.INTER_AREA
            original = np.asarray(cv2.resize(original, size, interpolation=how), np.uint8)
        for kind in kinds:
            rng = np.random.default_rng((seed, int(index), list(KINDS).index(kind)))
            yield case_of(kind, paths[index].name, original, rng, quality=quality, wider=wider)


def case_of(
    kind: str, photo: str, original: Pixels, rng: np.random.Generator, *, quality: int, wider: tuple[int, int]
) -> Case:
    mark = KINDS[kind](original, rng)
    alpha = mark.opacity[..., None]
    given = np.rint(original * (1 - alpha) + mark.colour * alpha).astype(np.uint8)
    look = Look(quality=quality, wider=int(rng.integers(wider[0], wider[1] + 1)))
    drawn = painted(rng, np.where(mark.opacity > LEAST, np.uint8(255), np.uint8(0)), look)
    task = read(file_of(given, look), png(drawn), limits=LIMITS, max_marked_share=1)
    return Case(kind, photo, original, mark, task)


def inverted(case: Case) -> Pixels:
    """The marked picture un-blended with the true opacity and colour."""
    alpha, seen = np.minimum(case.mark.opacity, np.float32(0.97)), case.task.picture.pixels.astype(np.float32)
    clean, _ = unblended(seen, alpha, case.mark.colour, alpha > LEAST)
    return np.rint(clean.clip(0, 255)).astype(np.uint8)


def score(case: Case, inpainter: LaMaInpainter) -> tuple[Score, Recovery]:
    """The figures of one case, without copied texture; ``auto`` begins from the same fill."""
    task = replace(case.task, texture=0.0)
    began = time.process_time()
    fill = inpainter.run(replace(task, method="fill"), lambda _: None)
    filled_s = time.process_time() - began
    began = time.process_time()
    recovery = recovered(task, fill)
    auto_s = filled_s + time.process_time() - began
    where = np.where(case.mark.opacity > LEAST, np.uint8(255), np.uint8(0))
    results = classical(cv2.INPAINT_TELEA)(case.task), fill, recovery.pixels, inverted(case)
    telea, filled, auto, exact = (masked_psnr(result, case.original, where) for result in results)
    figures = telea, filled, auto, exact, recovery.recovered, filled_s, auto_s, np.array_equal(recovery.pixels, fill)
    return Score(case.kind, case.photo, *figures), recovery


def report(scores: list[Score], console: Console) -> None:
    """Means by kind, pictures that were recovered, those that kept the fill, and the worst differences of one."""
    table = Table(
        "kind", "Telea", "fill", "auto", "exact", "gain", "pictures", "kept", "worst - fill", "worst - Telea", "CPU"
    )
    for kind in dict.fromkeys(one.kind for one in scores):
        rows = [one for one in scores if one.kind == kind]
        table.add_row(
            kind,
            *(f"{np.mean([getattr(one, name) for one in rows]):.2f}" for name in ("telea", "fill", "auto", "exact")),
            f"{np.mean([one.auto - one.fill for one in rows]):+.2f}",
            f"{sum(one.recovered > 0 for one in rows)}/{len(rows)}",
            f"{sum(one.kept for one in rows)}/{len(rows)}",
            f"{min(one.auto - one.fill for one in rows):+.2f}",
            f"{min(one.auto - one.telea for one in rows):+.2f}",
            f"{sum(one.auto_seconds for one in rows) / max(sum(one.fill_seconds for one in rows), 1e-9):.2f}x",
        )
    console.print(table)


def evidence_of(case: Case, inpainter: LaMaInpainter) -> list[dict[str, Any]]:
    """The candidate of each part of the mask, sure or not, with its evidence."""
    recoveries: list[Recovery] = []
    inpainter.run(replace(case.task, method="recover"), lambda _: None, on_recovery=recoveries.append)
    return [
        {
            "sure": is_sure(veil),
            "opacity": round(veil.opacity, 3),
            "colour": [round(float(level)) for level in veil.colour],
            **{name: round(float(value), 3) for name, value in asdict(veil.evidence).items()},
        }
        for veil in recoveries[0].veils
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of photos, none of them used in training")
    parser.add_argument("--photos", type=int, default=14, help="evenly chosen (default: 14)")
    parser.add_argument("--shift", type=int, default=0, help="take the photos this many places further on")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quality", type=int, default=90, help="of the marked JPEG (default: 90)")
    parser.add_argument(
        "--wider", type=int, nargs=2, default=(2, 4), help="px of the mask beyond the mark (default: 2 4)"
    )
    parser.add_argument("--width", type=int, help="scale the photos to this width in px (default: as they are)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evidence", action="store_true", help="print each picture's candidates and their evidence")
    parser.add_argument("--out", type=Path, help="write every picture's figures here as JSON")
    options = parser.parse_args(arguments)
    scores: list[Score] = []
    with LaMaInpainter(device="cpu", threads=options.threads) as inpainter:
        how = {"quality": options.quality, "wider": tuple(options.wider), "width": options.width}
        for case in cases(options.folder, options.kinds, options.photos, options.seed, shift=options.shift, **how):
            one, _ = score(case, inpainter)
            scores.append(one)
            if options.evidence:
                print(json.dumps({**asdict(one), "veils": evidence_of(case, inpainter)}), flush=True)
    report(scores, Console(width=150))
    if options.out:
        options.out.write_text(json.dumps([asdict(one) for one in scores], indent=1) + "\n")


if __name__ == "__main__":
    main()

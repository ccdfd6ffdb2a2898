"""Marks of many kinds on a shop's own photos: who is cleaned, how well, and what is damaged elsewhere.

    python -m bench.catalogue PHOTOS [--quick] [--draws 3] [--only KIND…] [--out FILE.json] [--sheets FOLDER]

Look-alike photos, as shops have them (one model, one pose, one light), are the hard case. Each kind marks a seeded draw
of the photos, estimates the templates from that folder, and applies them to it, to further marked photos and to clean
ones. A picture counts where its mark shows by 6 levels or more. Figures are PSNR in dB inside the mark, beside Telea
with the true mask and exact inversion by the true template. ``--quick``: one draw, 24 pictures of 360 px.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from bench.marks import Mark, Photos, logo, scaled, text, tile
from model.errors import TemplateRefused
from model.imaging import Limits
from model.watermark.estimate import estimate
from model.watermark.files import clean
from model.watermark.samples import Sample
from model.watermark.template import Template

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
LIMITS = Limits(max_bytes=10**9, max_pixels=10**9)
#: A mark that changes no pixel by this many levels cannot be seen.
SEEN = 6
#: A change of more levels than this, farther from the mark than this many px, is damage.
DAMAGE, FAR = 12, 16
#: Loss against Telea, in dB, from which a picture that is not flagged counts as silently bad.
BAD = 1.0


def outlined(width: int) -> Mark:
    """Letters of which only the outline is drawn."""
    fine = text(4 * width).coverage
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    edge = np.asarray(np.clip(cv2.dilate(fine, kernel) - cv2.erode(fine, kernel), 0, 1), np.float32)
    return _reduced(edge, np.full((*edge.shape, 3), 255, np.float32), width)


def shadowed(width: int) -> Mark:
    """White letters over a soft dark shadow."""
    letters = np.pad(text(width).coverage, 8)
    shadow = 0.6 * cv2.GaussianBlur(np.roll(letters, (3, 3), (0, 1)), (0, 0), 2)
    coverage = letters + (1 - letters) * shadow
    share = (letters / np.maximum(coverage, 1e-6))[..., None]
    return Mark(coverage, (255 * share + 20 * (1 - share)).repeat(3, axis=2).astype(np.float32))


def with_soft_shadow(width: int) -> Mark:
    """An opaque disc over a soft shadow."""
    disc = logo(width - 16)
    coverage, colour = np.pad(disc.coverage, 8), np.pad(disc.colour, ((8, 8), (8, 8), (0, 0)))
    shadow = 0.5 * cv2.GaussianBlur(np.roll(coverage, (2, 2), (0, 1)), (0, 0), 3)
    whole = coverage + (1 - coverage) * shadow
    share = (coverage / np.maximum(whole, 1e-6))[..., None]
    return Mark(whole, np.asarray(colour * share, np.float32))


def shaded(width: int) -> Mark:
    """A rounded badge whose colour runs from orange to violet, with a lighter rim as of an emboss."""
    height = width // 2
    shape = Image.new("L", (4 * width, 4 * height), 0)
    ImageDraw.Draw(shape).rounded_rectangle((4, 4, 4 * width - 5, 4 * height - 5), 2 * height, fill=255)
    coverage = np.asarray(np.asarray(shape, np.float32) / 255, np.float32)
    run = np.linspace(0, 1, 4 * width, dtype=np.float32)[None, :, None]
    colour = np.array((250, 150, 20), np.float32) * (1 - run) + np.array((120, 40, 200), np.float32) * run
    colour = np.broadcast_to(colour, (*coverage.shape, 3)).copy()
    light = coverage - np.roll(cv2.GaussianBlur(coverage, (0, 0), 6), (12, 12), (0, 1))
    colour = np.asarray(np.clip(colour + 120 * np.clip(light, -1, 1)[..., None], 0, 255), np.float32)
    return _reduced(coverage, colour, width)


def coloured(mark: Mark, ink: tuple[int, int, int]) -> Mark:
    """The mark in one other colour."""
    return Mark(mark.coverage, np.broadcast_to(np.array(ink, np.float32), mark.colour.shape).copy())


def thin(width: int) -> Mark:
    """A long line of small dark letters."""
    return coloured(text(width, "www.example-shop.com - all rights reserved"), (70, 70, 70))


def _reduced(coverage: Values, colour: Values, width: int) -> Mark:
    size = width, max(8, round(coverage.shape[0] * width / coverage.shape[1]))
    coverage = np.asarray(cv2.resize(coverage, size, interpolation=cv2.INTER_AREA), np.float32)
    return Mark(coverage.clip(0, 1), np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_AREA), np.float32))


#: Height and width of a picture, height and width of the mark, and chance, to top and left.
Place = Callable[[tuple[int, int], tuple[int, int], np.random.Generator], tuple[int, int]]


def at(down: float, across: float, margin: float = 0.03) -> Place:
    """A place by anchor shares, with a margin in shares of each side."""

    def place(size: tuple[int, int], mark: tuple[int, int], _: np.random.Generator) -> tuple[int, int]:
        gaps = [round(margin * side) for side in size]
        free = [side - extent - 2 * gap for side, extent, gap in zip(size, mark, gaps, strict=True)]
        return gaps[0] + round(down * free[0]), gaps[1] + round(across * free[1])

    return place


def in_px(down: float, across: float, margin: int = 12) -> Place:
    """A place by anchor shares, with a margin in px."""

    def place(size: tuple[int, int], mark: tuple[int, int], _: np.random.Generator) -> tuple[int, int]:
        free = [side - extent - 2 * margin for side, extent in zip(size, mark, strict=True)]
        return margin + round(down * free[0]), margin + round(across * free[1])

    return place


def corner(size: tuple[int, int], mark: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """Any of the four corners."""
    return in_px(int(rng.integers(2)), int(rng.integers(2)))(size, mark, rng)


def anywhere(size: tuple[int, int], mark: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """Any place."""
    return in_px(float(rng.random()), float(rng.random()))(size, mark, rng)


@dataclass(frozen=True)
class Kind:
    """A way in which a shop marks its pictures."""

    mark: Callable[[int], Mark]
    opacity: float
    #: ``None``: repeated over the whole picture.
    place: Place | None
    #: Width of the mark as a share of the picture's width, or of what ``by`` says.
    share: float
    by: str = "width"
    #: Pictures of several sizes and shapes; the mark follows by ``by``.
    mixed: bool = False
    #: Share of the pictures that carry the mark.
    marked: float = 1.0
    #: Factor by which the marked picture is resized before it is saved.
    resized: float = 1.0
    format: str = "JPEG"
    #: Pictures for each one of the usual number.
    more: float = 1.0
    #: Places of a mark between two pixels, along each axis; 1: whole pixels alone.
    steps: int = 1


KINDS: dict[str, Kind] = {
    "text .4": Kind(text, 0.4, at(0.5, 0.5), 0.45),
    "outline .5": Kind(outlined, 0.5, at(0.6, 0.5), 0.6),
    "shadow .6": Kind(shadowed, 0.6, at(0.6, 0.5), 0.4),
    "tiled grey .3": Kind(lambda width: coloured(tile(width), (128, 128, 128)), 0.3, None, 0.4),
    "opaque logo": Kind(with_soft_shadow, 1.0, in_px(1, 1), 0.22),
    "disc .5": Kind(logo, 0.5, in_px(0.55, 0.5), 0.25),
    "shaded badge .6": Kind(shaded, 0.6, in_px(1, 0.5), 0.35),
    "by width, per cent": Kind(text, 0.5, at(1, 1), 0.4, mixed=True),
    "by shorter side": Kind(logo, 0.5, in_px(1, 1), 0.25, by="shorter", mixed=True),
    "four corners": Kind(logo, 0.6, corner, 0.2),
    "30 % marked": Kind(text, 0.5, at(0.5, 0.5), 0.45, marked=0.3, more=1.67),
    "thin dark .5": Kind(thin, 0.5, at(0.97, 0.5), 0.7),
    "resized, saved again": Kind(text, 0.5, at(0.5, 0.5), 0.5, resized=0.8),
    "random places": Kind(logo, 0.6, anywhere, 0.25),
    "WebP": Kind(text, 0.5, at(0.4, 0.5), 0.5, format="WEBP"),
    "quarters of a pixel": Kind(text, 0.45, at(0.55, 0.5), 0.45, steps=4),
    "none": Kind(text, 0.0, at(0.5, 0.5), 0.45, marked=0.0, more=1.33),
}


@dataclass(frozen=True, eq=False)
class Picture:
    """A marked picture, its original, and the true mark."""

    given: Pixels
    file: bytes = field(repr=False)
    original: Pixels
    alpha: Values
    colour: Values

    @property
    def zone(self) -> NDArray[np.bool_]:
        return self.alpha > 0.02

    @property
    def shows(self) -> bool:
        """Whether the mark changes the picture visibly."""
        change = np.abs(self.alpha[..., None] * (self.colour - self.original)).max(axis=2)
        return bool((change >= SEEN).sum() >= 20)


def marked(kind: Kind, path: Path, longest: int, rng: np.random.Generator, *, carries: bool) -> Picture:
    """A photo with the mark of ``kind``."""
    whole = cv2.cvtColor(np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)
    if kind.mixed:
        # Cut to another shape, and scaled to another size, as pictures of several years are.
        height, width = whole.shape[:2]
        tall = round(height * float(rng.uniform(0.6, 1.0)))
        wide = round(width * float(rng.uniform(0.8, 1.0)))
        top, left = int(rng.integers(height - tall + 1)), (width - wide) // 2
        whole = whole[top : top + tall, left : left + wide]
        longest = round(longest * float(rng.choice((0.8, 1.0, 1.25))))
    factor = longest / max(whole.shape[:2])
    size = round(whole.shape[1] * factor), round(whole.shape[0] * factor)
    original = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    alpha, colour = _laid(kind, original.shape[:2], rng, longest)
    alpha *= carries
    blended = original * (1 - alpha[..., None]) + colour * alpha[..., None]
    given = np.rint(blended).astype(np.uint8)
    if kind.resized != 1:
        size = round(size[0] * kind.resized), round(size[1] * kind.resized)
        given = _shrunk(_coded(given, "JPEG")[0], size)
        original, alpha, colour = _shrunk(original, size), _shrunk(alpha, size), _shrunk(colour, size)
    given, file = _coded(given, kind.format)
    return Picture(given, file, original, alpha, colour)


def _shrunk(part: Any, size: tuple[int, int]) -> Any:
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), part.dtype)


def _laid(kind: Kind, size: tuple[int, ...], rng: np.random.Generator, longest: int) -> tuple[Values, Values]:
    height, width = size[0], size[1]
    reference = {"width": width, "height": height, "shorter": min(height, width), "longer": max(height, width)}[kind.by]
    if kind.place is None:
        mark = kind.mark(round(kind.share * longest))
        rows = (np.arange(height) + int(rng.integers(1000)))[:, None] % mark.coverage.shape[0]
        columns = (np.arange(width) + int(rng.integers(1000)))[None, :] % mark.coverage.shape[1]
        return mark.coverage[rows, columns] * np.float32(kind.opacity), mark.colour[rows, columns]
    if kind.steps > 1:
        mark = _between_pixels(kind.mark(kind.steps * round(kind.share * reference)), kind.steps, rng)
    else:
        mark = kind.mark(round(kind.share * longest))
        mark = scaled(mark, kind.share * reference / mark.coverage.shape[1])
    tall, wide = mark.coverage.shape
    top, left = kind.place((height, width), (tall, wide), rng)
    alpha, colour = np.zeros((height, width), np.float32), np.zeros((height, width, 3), np.float32)
    alpha[top : top + tall, left : left + wide] = mark.coverage * kind.opacity
    colour[top : top + tall, left : left + wide] = mark.colour
    return alpha, colour


def _between_pixels(fine: Mark, steps: int, rng: np.random.Generator) -> Mark:
    """A mark drawn ``steps`` times as large, reduced at any of that many places between two pixels."""
    starts = (int(step) for step in rng.integers(steps, size=2))
    padding = [(start, -(start + side) % steps) for start, side in zip(starts, fine.coverage.shape, strict=True)]
    coverage, colour = np.pad(fine.coverage, padding), np.pad(fine.colour, (*padding, (0, 0)), mode="edge")
    return _reduced(coverage, colour, coverage.shape[1] // steps)


def _coded(pixels: Pixels, form: str) -> tuple[Pixels, bytes]:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, quality=88)
    with Image.open(out) as picture:
        return np.array(picture.convert("RGB")), out.getvalue()


@dataclass
class Row:
    """The figures of one kind, over all draws."""

    draws: int = 0
    refused: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    templates: int = 0
    #: Marked pictures whose mark shows; of them cleaned, cleaned and flagged, flagged without being cleaned, skipped.
    marked: int = 0
    cleaned: int = 0
    flagged: int = 0
    skipped: int = 0
    #: Marked pictures whose mark cannot be seen.
    unseen: int = 0
    #: Cleaned pictures, not flagged, that are worse than Telea's by more than BAD.
    silently_bad: int = 0
    damaged: int = 0
    clean: int = 0
    clean_touched: int = 0
    seconds: float = 0.0
    psnr: dict[str, list[float]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        means = {name: round(float(np.mean(values)), 2) for name, values in self.psnr.items()}
        worst = {f"{name}, worst": round(min(values), 2) for name, values in self.psnr.items()}
        return {**asdict(self), "seconds": round(self.seconds, 1), "psnr": means | worst}


@dataclass(frozen=True)
class Scale:
    """The size of a run."""

    #: Pictures that are estimated from, those of them and further ones that are scored, and clean ones.
    samples: int
    scored: int
    further: int
    clean: int
    longest: int


QUICK, FULL = Scale(24, 8, 4, 6, 446), Scale(36, 24, 6, 12, 596)


def run(kind: Kind, photos: Photos, draw: int, scale: Scale, row: Row) -> list[tuple[Picture, Pixels, str]]:
    """One draw of a kind; returns pictures with their results for a contact sheet."""
    rng = np.random.default_rng(9000 + draw)
    count = round(scale.samples * kind.more)
    paths = photos.draw(rng, min(count + scale.further + scale.clean, len(photos.paths)))
    carriers = rng.permutation(count) < round(kind.marked * count)
    samples = [
        marked(kind, path, scale.longest, rng, carries=bool(carries))
        for path, carries in zip(paths, carriers, strict=False)
    ]
    row.draws += 1
    began = time.process_time()
    try:
        made = estimate([Sample(str(n), lambda shown=one.given: shown) for n, one in enumerate(samples)])  # type: ignore[misc]
    except TemplateRefused as refused:
        row.refused.append(f"{refused.code}: {refused}")
        return []
    finally:
        row.seconds += time.process_time() - began
    row.templates += len(made.templates)
    row.warnings += map(str, made.warnings)
    scored = [one for one, carries in zip(samples, carriers, strict=True) if carries][: scale.scored]
    unmarked = [one for one, carries in zip(samples, carriers, strict=True) if not carries]
    if kind.marked:
        scored += [
            marked(kind, path, scale.longest, rng, carries=True) for path in paths[count : count + scale.further]
        ]
    unmarked += [marked(kind, path, scale.longest, rng, carries=False) for path in paths[count + scale.further :]]
    shown = []
    for one in scored:
        result, state = score(one, made.templates, row)
        shown.append((one, result, state))
    for one in unmarked:
        touched = clean(one.file, made.templates, limits=LIMITS)
        row.clean += 1
        row.clean_touched += not touched.skipped
        if not touched.skipped:
            shown.append((one, touched.pixels[0], "touched"))
    return shown


def score(one: Picture, templates: list[Template], row: Row) -> tuple[Pixels, str]:
    """Count one marked picture; returns its result, and how it ended."""
    outcome = clean(one.file, templates, limits=LIMITS)
    result = one.given if outcome.skipped else outcome.pixels[0]
    zone = one.zone
    far = cv2.dilate((one.alpha > 0.004).astype(np.uint8), np.ones((2 * FAR + 1, 2 * FAR + 1), np.uint8)) == 0
    change = np.abs(result.astype(np.int16) - one.given).max(axis=2)
    row.damaged += bool((change[far] > DAMAGE).any())
    if not one.shows:
        row.unseen += 1
        return result, "unseen"
    row.marked += 1
    state = "skipped" if outcome.skipped else "cleaned"
    if outcome.residual or getattr(outcome, "unremovable", False):
        state = "flagged"
    setattr(row, state, getattr(row, state) + 1)
    hole = cv2.dilate((one.alpha > 0.02).astype(np.uint8) * 255, np.ones((5, 5), np.uint8))
    through = np.maximum(1 - one.alpha, 0.03)[..., None]
    figures = {
        "marked": psnr(one.given, one.original, zone),
        "telea": psnr(cv2.inpaint(one.given, hole, 3, cv2.INPAINT_TELEA), one.original, zone),
        "exact": psnr(np.clip((one.given - one.alpha[..., None] * one.colour) / through, 0, 255), one.original, zone),
        "result": psnr(result, one.original, zone),
    }
    for name, value in figures.items():
        if state == "cleaned" or name != "result":
            row.psnr.setdefault(name, []).append(value)
        if state == "cleaned":
            row.psnr.setdefault(f"{name}, cleaned", []).append(value)
    if state == "cleaned" and figures["result"] < figures["telea"] - BAD:
        row.silently_bad += 1
        state = "silently bad"
    return result, f"{state} {figures['result']:.1f} (Telea {figures['telea']:.1f}, exact {figures['exact']:.1f})"


def psnr(result: NDArray[Any], original: Pixels, zone: NDArray[np.bool_]) -> float:
    """In dB, over the pixels of ``zone``."""
    error = (np.rint(result.astype(np.float32)) - original)[zone]
    return float(10 * np.log10(255**2 / max(float(np.mean(error**2)), 0.01)))


def sheet(shown: list[tuple[Picture, Pixels, str]]) -> Image.Image:
    """The pictures around their marks: given, result, original; and the difference of given and result, amplified."""
    rows = []
    for one, result, state in shown[:14]:
        difference = np.clip(4 * np.abs(result.astype(np.int16) - one.given), 0, 255).astype(np.uint8)
        line = Image.fromarray(np.hstack((one.given, result, one.original, difference)))
        ImageDraw.Draw(line).text((4, 4), state, fill=(200, 0, 0), font=ImageFont.load_default(18))
        rows.append(line)
    out = Image.new("RGB", (max(line.width for line in rows), sum(line.height for line in rows)), "white")
    top = 0
    for line in rows:
        out.paste(line, (0, top))
        top += line.height
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--draws", type=int, help="draws of photos (default: 3, quick: 1)")
    parser.add_argument("--first-draw", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=KINDS, help="kinds (default: all)")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--sheets", type=Path, help="folder for a contact sheet of each kind")
    options = parser.parse_args()
    photos = Photos(options.photos)
    scale = QUICK if options.quick else FULL
    draws = options.draws or (1 if options.quick else 3)
    rows: dict[str, Row] = {}
    for name in options.only or KINDS:
        row = rows[name] = Row()
        shown: list[tuple[Picture, Pixels, str]] = []
        for draw in range(options.first_draw, options.first_draw + draws):
            shown += run(KINDS[name], photos, draw, scale, row)
        if options.sheets and shown:
            options.sheets.mkdir(parents=True, exist_ok=True)
            sheet(shown).save(options.sheets / f"{name.replace(' ', '-').replace('%', 'percent')}.png")
        if options.out:
            report = {key: value.document() for key, value in rows.items()}
            options.out.write_text(json.dumps(report, indent=1) + "\n")
        table({name: row})
    table(rows)


def table(rows: dict[str, Row]) -> None:
    """Print the rows as a table."""
    names = ("kind", "draws", "refused", "marked", "cleaned", "flagged", "skipped", "silently bad", "damaged",
             "clean touched", "marked dB", "Telea", "exact", "result", "Telea, cleaned", "worst", "Telea worst",
             "CPU s")  # fmt: skip
    shown = Table(*names)
    for name, row in rows.items():
        figures = row.document()["psnr"]
        wanted = ("marked", "telea", "exact", "result", "telea, cleaned", "result, worst", "telea, cleaned, worst")
        shown.add_row(
            name, *(str(value) for value in (row.draws, len(row.refused), row.marked, row.cleaned, row.flagged,
            row.skipped, row.silently_bad, row.damaged, f"{row.clean_touched}/{row.clean}")),
            *(f"{figures[key]:.1f}" if key in figures else "" for key in wanted), f"{row.seconds:.0f}",
        )  # fmt: skip
        for line in (*row.refused, *row.warnings):
            print(f"  {name}: {line}", flush=True)
    Console(width=190).print(shown)


if __name__ == "__main__":
    main()
